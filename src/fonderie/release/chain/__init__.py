"""The way from the weights back to the sources, and whether all of a release tells one story."""
