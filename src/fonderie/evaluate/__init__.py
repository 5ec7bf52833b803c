"""Held-out scores with their intervals, and sample answers."""
