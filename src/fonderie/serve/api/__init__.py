"""The HTTP interface: what OpenAI's clients expect, and nothing accepted that is then ignored."""
