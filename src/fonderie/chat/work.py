"""Proof of work: a puzzle whose answer costs a person's browser a second, and a bot a second for every vote.

Hashcash (A. Back, "Hashcash: a denial of service counter-measure", 2002) over SHA-256: the answer is any text such
that SHA-256(challenge ":" answer) begins with enough zero bits. Off unless `--proof-of-work BITS` is given: it
costs phones' batteries, and slows a bot down no further than its owner pays for.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Final

from fonderie.core.errors import UsageError
from fonderie.serve.api.errors import ApiError

LIFETIME_SECONDS: Final = 600.0
"""From the asking to the answer: duels are read in between."""
MOST_BITS: Final = 22
"""2^22 hashes take a browser a minute: by work.js, Chromium made 42,000 to 128,000 a second on one of our cores."""
ANSWER_LIMIT: Final = 64


class Work:
    """Puzzles of one process; each is for one session, holds for ten minutes and is taken once."""

    def __init__(
        self, bits: int, *, secret: bytes | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`bits` of 0 asks for nothing; UsageError for more than anybody would wait for."""
        if not 0 <= bits <= MOST_BITS:
            raise UsageError(f"a proof of work of {bits} bits is not between 0 and {MOST_BITS}")
        self.bits, self._clock = bits, clock
        self._secret = secret or secrets.token_bytes(32)
        self._taken: dict[str, float] = {}
        """Challenges that were answered, until they would have run out, the oldest first."""

    def challenge(self, session_id: int) -> str | None:
        """A new puzzle for a session; None if none is asked for."""
        if not self.bits:
            return None
        head = f"{self.bits}.{self._clock() + LIFETIME_SECONDS:.3f}.{secrets.token_hex(16)}"
        return f"{head}.{self._seal(session_id, head)}"

    def check(self, session_id: int, challenge: str | None, answer: str | None) -> None:
        """ApiError 403 unless a session's puzzle is solved; its challenge is used up then, and not before."""
        if not self.bits:
            return
        if challenge is None or answer is None:
            raise _refused("a proof of work is asked for here", "work_required")
        head, _, seal = challenge.rpartition(".")
        if not hmac.compare_digest(_bytes(seal), self._seal(session_id, head).encode()):
            raise _refused("this proof of work is for somebody else", "work_unknown")
        bits, ends_at = int(head.split(".", 1)[0]), float(".".join(head.split(".")[1:3]))
        now = self._clock()
        self._forget(now)
        if now > ends_at or challenge in self._taken:
            raise _refused("this proof of work has run out, or was used", "work_expired")
        if len(answer) > ANSWER_LIMIT or zero_bits(challenge, answer) < bits:
            raise _refused("this is no proof of work", "work_wrong")
        self._taken[challenge] = ends_at

    def _seal(self, session_id: int, head: str) -> str:
        return hmac.new(self._secret, _bytes(f"{session_id} {head}"), hashlib.sha256).hexdigest()

    def _forget(self, now: float) -> None:
        for challenge in [challenge for challenge, ends_at in self._taken.items() if ends_at < now]:
            del self._taken[challenge]


def zero_bits(challenge: str, answer: str) -> int:
    """With how many zero bits the hash of an answer begins."""
    digest = hashlib.sha256(_bytes(f"{challenge}:{answer}")).digest()
    return 256 - int.from_bytes(digest, "big").bit_length()


def _bytes(text: str) -> bytes:
    # JSON may hold half a character, which UTF-8 cannot.
    return text.encode(errors="replace")


def _refused(message: str, code: str) -> ApiError:
    return ApiError(403, message, code=code)
