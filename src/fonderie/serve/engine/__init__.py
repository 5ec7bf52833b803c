"""The embedded engine: many requests at once on one model, each answered as if it were alone."""
