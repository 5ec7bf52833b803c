"""The steps that train, and those that bring a model in from elsewhere, each with what it alone needs."""
