"""The shapes everything else is made of: digests, steps, recipes, the store, runs."""
