"""What the public service remembers: keys, sessions, consent, and what people agreed to have kept."""
