"""Fonderie: really open language models, from licensed documents to answers that can be traced."""
