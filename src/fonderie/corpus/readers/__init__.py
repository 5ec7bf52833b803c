"""Readers: one file to the raw documents in it."""
