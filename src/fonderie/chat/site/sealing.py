"""Seals: what shows that an answer which a browser brings back was given here, though nothing of it was kept."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import orjson


class Seals:
    """Makes and checks seals; they hold until the service restarts, because its key is never written anywhere."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)

    def seal(self, digest: str, settings: Mapping[str, Any], turns: Iterable[tuple[str, str]], answer: str) -> str:
        """HMAC-SHA-256 over a release, its settings, what it was asked and what it answered; in hexadecimal."""
        what = orjson.dumps([digest, settings, list(turns), answer], option=orjson.OPT_SORT_KEYS)
        return hmac.new(self._key, what, hashlib.sha256).hexdigest()

    def holds(
        self, seal: str, digest: str, settings: Mapping[str, Any], turns: Iterable[tuple[str, str]], answer: str
    ) -> bool:
        """Whether a seal is this one."""
        return hmac.compare_digest(seal, self.seal(digest, settings, turns, answer))
