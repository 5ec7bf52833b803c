"""Asking for one published file as any stranger would, without an account: is it there, and is it the same?

What a server sends is counted and hashed as it comes, never kept, and never more of it than the file should have.
Five answers are kept apart, because the remedy differs:

    ok           it can be downloaded, and is what it was (how far that was seen is the evidence)
    missing      the place answers that there is no such file
    altered      there is one, of another size or content
    refused      the place answers, but does not give it to the public: a login, a gate, a block
    unreachable  no usable answer: no connection, silence, an error of the server, a transfer broken off
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from fonderie.audit.watch_plan import Manners, Published
from fonderie.core.digest import digest_file
from fonderie.core.watchdog import Watchdog

if TYPE_CHECKING:
    import httpx2

Status = Literal["ok", "missing", "altered", "refused", "unreachable"]
Evidence = Literal["sha256", "stated", "etag", "size", "presence", "none"]
"""From the strongest: all bytes were hashed; the hub states the expected hash; the ETag is that of the day
when all bytes were hashed; the size is right; something is there."""

WAIT_LIMIT_SECONDS = 60.0
"""The longest Retry-After that is waited for."""
SILENT_FILES = 3
"""Unreachable files in a row after which a server is left alone for the rest of this watch."""
USER_AGENT = "fonderie-watch"

_REDIRECTS = (301, 302, 303, 307, 308)
_GONE = (404, 410)
_CLOSED = (401, 403, 407, 451)
_LATER = (408, 425, 429, 500, 502, 503, 504)
# What the hub says beside the status, which is 401 for a repository that is not there, as for one that is private.
_HUB_GONE = ("RepoNotFound", "EntryNotFound", "RevisionNotFound")
_HUB_HASH = "X-Linked-Etag"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HUB_ERROR = "X-Error-Code"


class Outcome(BaseModel):
    """What came of asking for one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Status
    evidence: Evidence = "none"
    detail: str = ""
    etag: str | None = None
    """A strong ETag, as the server sent it."""
    read_bytes: int = 0


class _LaterError(Exception):
    """An answer that may be another one a moment later."""

    def __init__(self, detail: str, after_seconds: float = 0.0) -> None:
        super().__init__(detail)
        self.detail = detail
        self.after_seconds = after_seconds


def new_client(manners: Manners) -> "httpx2.Client":
    """An HTTP client with these manners' limits; the caller closes it."""
    import httpx2

    # A watchdog knows its connection from the beginning, so none is used twice.
    limits = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.Client(timeout=manners.timeout_seconds, limits=limits, follow_redirects=False)


def check_file(published: Published, *, quick: bool) -> Outcome:
    """Look for a file on this machine, or on a disk that it mounts."""
    path = Path(published.address)
    try:
        if not path.is_file():
            what = "it is no regular file" if path.exists() else "nothing is there"
            return Outcome(status="altered" if path.exists() else "missing", detail=what)
        size = path.stat().st_size
        if size != published.size_bytes:
            return _wrong_size(size, published)
        if quick:
            return Outcome(status="ok", evidence="size")
        return _compare(digest_file(path), size, published, None)
    except PermissionError:
        return Outcome(status="refused", detail="it may not be read")
    except OSError as error:
        return Outcome(status="unreachable", detail=error.strerror or str(error))


@dataclass
class Web:
    """Asks servers, one request at a time; the client is received, and does not follow redirects by itself."""

    client: "httpx2.Client"
    manners: Manners
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _silent: dict[str, int] = field(default_factory=dict)
    _last: dict[str, float] = field(default_factory=dict)

    def check(self, published: Published, *, quick: bool, known_etag: str | None = None) -> Outcome:
        """Ask for one file; `known_etag` is the one it had when all its bytes were last hashed."""
        import httpx2

        host = httpx2.URL(published.address).netloc.decode("ascii")
        if self._silent.get(host, 0) >= SILENT_FILES:
            return Outcome(
                status="unreachable",
                detail=f"not asked for: {host} gave no usable answer for {SILENT_FILES} files in a row",
            )
        outcome = self._patiently(published, quick, known_etag)
        self._silent[host] = self._silent.get(host, 0) + 1 if outcome.status == "unreachable" else 0
        return outcome

    def _patiently(self, published: Published, quick: bool, known_etag: str | None) -> Outcome:
        import httpx2

        wait = self.manners.retry_seconds
        for attempt in range(1, self.manners.attempts + 1):
            try:
                if quick:
                    return self._quick(published, known_etag)
                return self._full(published)
            except _LaterError as error:
                detail, after = error.detail, error.after_seconds
            except (httpx2.UnsupportedProtocol, httpx2.TooManyRedirects, httpx2.InvalidURL, UnicodeError) as error:
                return Outcome(status="unreachable", detail=f"leads nowhere: {error}"[:500])
            except httpx2.HTTPError as error:
                detail, after = f"{type(error).__name__}: {error}".rstrip(": "), 0.0
            if attempt < self.manners.attempts:
                self.sleep(min(max(wait, after), WAIT_LIMIT_SECONDS))
                wait *= 2
        return Outcome(status="unreachable", detail=f"{detail} ({self.manners.attempts} attempts)"[:500])

    def _full(self, published: Published) -> Outcome:
        """Download and hash."""
        opened = self._answer("GET", published.address)
        with opened as answer:
            unusable = self._judge(answer)
            if unusable:
                return unusable
            declared = _length(answer)
            if declared is not None and declared != published.size_bytes:
                return _wrong_size(declared, published)
            slowest = self.manners.slowest_bytes_per_second
            with opened.within(
                self.manners.timeout_seconds + published.size_bytes / slowest,
                f"slower than {slowest:,} bytes a second, broken off",
            ):
                return self._hash(answer, published)

    @staticmethod
    def _hash(answer: "httpx2.Response", published: Published) -> Outcome:
        hashed, size = hashlib.sha256(), 0
        for chunk in answer.iter_raw():
            size += len(chunk)
            if size > published.size_bytes:
                return Outcome(
                    status="altered",
                    detail=f"larger than the {published.size_bytes:,} bytes it should have",
                    read_bytes=size,
                )
            hashed.update(chunk)
        return _compare(f"sha256:{hashed.hexdigest()}", size, published, _strong_etag(answer))

    def _quick(self, published: Published, known_etag: str | None) -> Outcome:
        """Look at what the server says of the file; download it only where that raises a doubt."""
        with self._answer("HEAD", published.address) as answer:
            if answer.status_code == 200 or _stated(answer):
                return self._say(answer, published, known_etag) or self._full(published)
        # Some servers answer HEAD with an error, for a file that they do give away.
        with self._answer("GET", published.address) as answer:
            found = self._say(answer, published, known_etag)
        return found or self._full(published)

    def _say(self, answer: "httpx2.Response", published: Published, known_etag: str | None) -> Outcome | None:
        """What headers alone say; None if only the bytes can tell."""
        stated = _stated(answer)
        if stated:
            same = f"sha256:{stated}" == published.sha256
            detail = "" if same else f"the hub states another hash, {stated[:12]}…"
            return Outcome(status="ok" if same else "altered", evidence="stated", detail=detail)
        unusable = self._judge(answer)
        if unusable:
            return unusable
        declared, etag = _length(answer), _strong_etag(answer)
        if declared is not None and declared != published.size_bytes:
            return _wrong_size(declared, published)
        if etag is not None and known_etag is not None:
            return Outcome(status="ok", evidence="etag", etag=etag) if etag == known_etag else None
        evidence: Evidence = "presence" if declared is None else "size"
        return Outcome(status="ok", evidence=evidence, etag=etag)

    def _answer(self, method: str, address: str) -> "_Answer":
        return _Answer(self, method, address)

    def pause(self, host: str) -> None:
        """Wait until this server may be asked again."""
        last = self._last.get(host)
        if last is not None:
            self.sleep(max(0.0, last + self.manners.pause_seconds - self.clock()))
        self._last[host] = self.clock()

    @staticmethod
    def _judge(answer: "httpx2.Response") -> Outcome | None:
        """What a status means; None for a 200 whose bytes can be compared. _LaterError if it may pass."""
        status, said = answer.status_code, answer.headers.get(_HUB_ERROR, "")[:60]
        text = f"HTTP {status}" + (f", {said}" if said else "")
        if status == 200:
            coding = answer.headers.get("Content-Encoding", "identity")
            if coding.lower() == "identity":
                return None
            return Outcome(
                status="unreachable",
                detail=f"sent as {coding[:30]} though its plain bytes were asked for: they cannot be compared",
            )
        if status in _GONE or said in _HUB_GONE:
            return Outcome(status="missing", detail=text)
        if status in _CLOSED:
            return Outcome(status="refused", detail=text)
        if status in _LATER:
            raise _LaterError(text, _retry_after(answer))
        return Outcome(status="unreachable", detail=text)


@dataclass
class _Answer:
    """An open response, redirects followed under our own rules; a context manager."""

    web: Web
    method: str
    address: str
    _open: "httpx2.Response | None" = None
    _watchdog: Watchdog | None = None

    @contextmanager
    def within(self, seconds: float, problem: str) -> Iterator[None]:
        """What is done here with the connection ends in time, or is a _LaterError with this problem."""
        import httpx2

        watchdog = self._watchdog
        assert watchdog is not None, "nothing is open"
        watchdog.allow(seconds)
        try:
            yield
        except httpx2.HTTPError as error:
            if watchdog.bitten:
                raise _LaterError(problem) from error
            raise
        if watchdog.bitten:
            raise _LaterError(problem)

    def __enter__(self) -> "httpx2.Response":
        try:
            return self._follow()
        except BaseException:
            self._close()
            raise

    def _follow(self) -> "httpx2.Response":
        import httpx2

        url = httpx2.URL(self.address)
        for _ in range(self.web.manners.redirects + 1):
            self.web.pause(url.netloc.decode("ascii"))
            answer = self._ask(url)
            where = answer.headers.get("Location")
            if answer.status_code not in _REDIRECTS or not where:
                return answer
            if self.method == "HEAD" and _stated(answer):
                # The hub's storage takes GET only on the address it signs; the hash is said here already.
                return answer
            self._close()
            there = url.join(where)
            if there.scheme not in ("http", "https") or (url.scheme == "https" and there.scheme == "http"):
                raise httpx2.UnsupportedProtocol(f"redirected from {url.scheme} to {there.scheme or 'nowhere'}")
            url = there
        raise httpx2.TooManyRedirects(f"more than {self.web.manners.redirects} redirects")

    def _ask(self, url: "httpx2.URL") -> "httpx2.Response":
        # To connect, to send, and to wait for the first word may take one silence each, and headers no longer.
        seconds = 3 * self.web.manners.timeout_seconds
        self._watchdog = Watchdog(seconds)
        # Compressed bytes would have another size and hash, and could unpack without end.
        headers = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        request = self.web.client.build_request(
            self.method, url, headers=headers, extensions={"trace": self._watchdog.trace}
        )
        with self.within(seconds, f"headers that did not end within {seconds:g} seconds, broken off"):
            self._open = self.web.client.send(request, stream=True, follow_redirects=False)
        return self._open

    def _close(self) -> None:
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._open is not None:
            self._open.close()

    def __exit__(self, *_: object) -> None:
        self._close()


def _compare(digest: str, size: int, published: Published, etag: str | None) -> Outcome:
    if size != published.size_bytes:
        return _wrong_size(size, published)
    if digest != published.sha256:
        detail = f"other bytes: {digest.removeprefix('sha256:')[:12]}…"
        return Outcome(status="altered", evidence="sha256", detail=detail, read_bytes=size)
    return Outcome(status="ok", evidence="sha256", etag=etag, read_bytes=size)


def _wrong_size(size: int, published: Published) -> Outcome:
    detail = f"{size:,} bytes, where there should be {published.size_bytes:,}"
    return Outcome(status="altered", evidence="size", detail=detail)


def _length(answer: "httpx2.Response") -> int | None:
    text = answer.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() and len(text) < 20 else None


def _stated(answer: "httpx2.Response") -> str:
    """The SHA-256 that a hub states for a large file, beside the redirect to its storage; empty if it does not."""
    text: str = answer.headers.get(_HUB_HASH, "").strip('"')
    usable = answer.status_code == 200 or answer.status_code in _REDIRECTS
    return text if usable and _SHA256.fullmatch(text) else ""


def _strong_etag(answer: "httpx2.Response") -> str | None:
    """RFC 9110, 8.8.1: a weak one may stay while bytes change."""
    etag: str = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') and len(etag) <= 200 else None


def _retry_after(answer: "httpx2.Response") -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() and len(text) < 9 else 0.0
