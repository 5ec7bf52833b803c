"""Signing a release with a local key, and checking it offline: in-toto in DSSE, or OpenSSF model signing."""
