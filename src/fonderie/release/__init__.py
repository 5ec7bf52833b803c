"""From a trained model to a folder that strangers can load, read and check."""
