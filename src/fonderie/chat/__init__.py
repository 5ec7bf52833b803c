"""Talking with a model."""
