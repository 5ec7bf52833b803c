"""What a training leaves behind: commitment and chain, log, checkpoints."""
