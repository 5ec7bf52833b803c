"""What a training can be asked. Imports no torch, so that recipes can be checked without it."""
