"""Seals: what shows that an answer which a browser brings back was given here, though nothing of it was kept."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.concurrency import run_in_threadpool

from fonderie.serve.database.base import Database
from fonderie.serve.database.settings import hold_setting, write_setting

JUDGED_DAYS: Final = 30
"""For so long an answer can be judged, at least: the page says so."""
KEY_DAYS: Final = 7
"""A key makes seals for so long; then another is drawn."""
_KEYS: Final = "seal_keys"
"""Their name in the table of settings."""
_DAY_SECONDS: Final = 86_400.0


@dataclass(frozen=True)
class Answered:
    """What a seal is made of."""

    digest: str
    """The release's."""
    settings: Mapping[str, Any]
    asked: tuple[tuple[str, str], ...]
    """Role and text of every turn before."""
    answer: str
    reason: str
    """Why the answer ended."""


@dataclass(frozen=True)
class _Key:
    secret: bytes
    drawn_at: float


class Seals:
    """Makes and checks seals. Their keys are in the database, so that they outlive a restart; each seals for a week
    and is deleted when no seal of its can be taken any more.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        """Reads the keys, and draws one if there is none."""
        self._database, self._clock = database, clock
        self._keys: tuple[_Key, ...] = ()
        self._renew()

    async def renew(self) -> None:
        """Draw another key if this one has sealed for long enough; before an answer is asked for."""
        if not 0 <= self._clock() - self._keys[-1].drawn_at < KEY_DAYS * _DAY_SECONDS:
            await run_in_threadpool(self._renew)

    def seal(self, what: Answered) -> str:
        """HMAC-SHA-256 over all of it, in hexadecimal."""
        return _seal(self._keys[-1], what)

    def holds(self, seal: str, what: Answered) -> bool:
        """Whether a seal is one of this, by a key that is not too old."""
        now = self._clock()
        return any(hmac.compare_digest(seal, _seal(key, what)) for key in self._keys if _is_taken(key, now))

    def _renew(self) -> None:
        now = self._clock()
        with self._database.write() as connection:
            kept = hold_setting(connection, _KEYS, now) or []
            keys = [_Key(bytes.fromhex(row["key"]), row["at"]) for row in kept]
            keys = [key for key in keys if _is_taken(key, now)]
            if not keys or not 0 <= now - keys[-1].drawn_at < KEY_DAYS * _DAY_SECONDS:
                keys.append(_Key(secrets.token_bytes(32), now))
            rows = [{"key": key.secret.hex(), "at": key.drawn_at} for key in keys]
            write_setting(connection, _KEYS, rows, now)
        self._keys = tuple(keys)


def _is_taken(key: _Key, now: float) -> bool:
    return now - key.drawn_at < (KEY_DAYS + JUDGED_DAYS) * _DAY_SECONDS


def _seal(key: _Key, what: Answered) -> str:
    parts = [what.digest, what.settings, what.asked, what.answer, what.reason]
    return hmac.new(key.secret, orjson.dumps(parts, option=orjson.OPT_SORT_KEYS), hashlib.sha256).hexdigest()
