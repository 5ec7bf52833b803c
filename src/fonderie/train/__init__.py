"""Pre-training: data order, schedule, optimizer, checkpoints, and one readable loop."""
