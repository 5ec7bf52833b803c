"""Small French suites of our own: agreement, arithmetic, false premises, absurd questions, identity.

Each is composed from tables of words by a seed, so that anyone can make the same items, or fresh ones that no model
has seen; each is scored by likelihood or by a written rule, never by another model.
"""
