"""Findings: how far a release meets the three criteria of openness, each with what it rests on."""
