"""Grading anyone's release: three criteria with evidence, contradictions, two outside frameworks; replay; watch."""
