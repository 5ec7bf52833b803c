"""From anything back to documents: what became of each, and which steps saw it."""
