"""What a training learns from: the order of sequences, and batches of them, from a step's number alone."""
