"""Asking servers for their reservations: politely, within bounds, and only when somebody asked for it.

One request at a time for each host, with a pause between two; a User-Agent that says who to write to; limits on
time, size and redirects. Names that lead into a private network are not followed, whoever wrote them: the address
that was checked is the one that is connected to, so that no second look-up can lead elsewhere.
"""

import ipaddress
import socket
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from fonderie.core.watchdog import Watchdog
from fonderie.corpus.optout.addresses import parse_address
from fonderie.corpus.optout.evidence import HEADERS, Answer
from fonderie.corpus.optout.robots import MOST_BYTES

if TYPE_CHECKING:
    import httpx2

_REDIRECTS = (301, 302, 303, 307, 308)
_ABSENT = (404, 410)
_LONGEST_PAUSE_SECONDS = 60.0
"""Of a Crawl-delay: the longest that is honoured; some sites ask for days."""


@dataclass(frozen=True)
class Manners:
    """How servers are asked."""

    contact: str
    """Address or page of whoever asks, told to every server."""
    version: str = ""
    """Of Fonderie."""
    pause_seconds: float = 1.0
    """Between the end of one request to a host and the next."""
    timeout_seconds: float = 10.0
    """For connecting, and for each silence."""
    whole_seconds: float = 30.0
    """For one answer, however fast it trickles."""
    redirects: int = 5
    """RFC 9309, section 2.3.1.2: at least five are followed."""
    most_bytes: int = MOST_BYTES
    allow_loopback: bool = False
    """Ask this machine's own servers too: for tests."""

    @property
    def user_agent(self) -> str:
        """How the fetcher names itself."""
        return f"fonderie-evidence/{self.version or '0'} (+{self.contact})"


class Fetched(NamedTuple):
    """What came of asking for one address."""

    answer: Answer
    status: int | None = None
    data: bytes = b""
    truncated: bool = False
    headers: Mapping[str, str] = {}
    final_url: str | None = None
    problem: str = ""


class _RefusedError(Exception):
    """The address must not be asked, or leads nowhere."""


Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of a name, as the machine's resolver says; OSError if there are none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def new_client(manners: Manners) -> "httpx2.Client":
    """An HTTP client with these limits that keeps no cookies and takes no proxy; the caller closes it."""
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    import httpx2

    return httpx2.Client(
        timeout=manners.timeout_seconds,
        # A connection is named by its IP address, so that kept alive it could serve another host of that address,
        # for which no certificate was checked.
        limits=httpx2.Limits(max_keepalive_connections=0),
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


@dataclass
class Fetcher:
    """Asks, from several threads if need be; the client is received."""

    client: "httpx2.Client"
    manners: Manners
    resolve: Resolve = resolve
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _hosts: dict[str, "_Host"] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, url: str, *, pause_seconds: float = 0.0) -> Fetched:
        """Ask for one address, following redirects; never raises for anything that a server does."""
        import httpx2

        start = url
        try:
            for _ in range(self.manners.redirects + 1):
                fetched, there = self._once(url, max(pause_seconds, self.manners.pause_seconds))
                if there is None:
                    return fetched._replace(final_url=url if url != start else None)
                url = there
            problem = f"more than {self.manners.redirects} redirects"
        except _RefusedError as error:
            problem = str(error)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}".rstrip(": ")
        return Fetched("unreachable", problem=problem[:300], final_url=url if url != start else None)

    def _once(self, url: str, pause_seconds: float) -> tuple[Fetched, str | None]:
        """One request; the answer, or where it leads."""
        address = parse_address(url)
        if address is None:
            raise _RefusedError("leads to no address of the web")
        with self._host(address.site) as host:
            host.wait(min(pause_seconds, _LONGEST_PAUSE_SECONDS), self.sleep, self.clock)
            try:
                return self._ask(address.url)
            finally:
                host.last = self.clock()

    def _ask(self, url: str) -> tuple[Fetched, str | None]:
        import httpx2

        asked = httpx2.URL(url)
        port = asked.port or (443 if asked.scheme == "https" else 80)
        connect = asked.copy_with(host=self._public(asked.host, port))
        headers = {
            "Host": asked.netloc.decode("ascii"),
            "User-Agent": self.manners.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        with Watchdog(self.manners.whole_seconds) as watchdog:
            # The certificate is checked against the name, while the connection goes to the address checked above.
            extensions = {"sni_hostname": asked.host, "trace": watchdog.trace}
            request = self.client.build_request("GET", connect, headers=headers, extensions=extensions)
            try:
                found = self._send(request, asked)
            except Exception:
                if not watchdog.bitten:
                    raise
        # An answer of no stated length that was cut looks like a whole one.
        if watchdog.bitten:
            return Fetched("unreachable", problem=f"slower than {self.manners.whole_seconds:g} s"), None
        return found

    def _send(self, request: "httpx2.Request", asked: "httpx2.URL") -> tuple[Fetched, str | None]:
        answer = self.client.send(request, stream=True)
        try:
            where = answer.headers.get("Location")
            if answer.status_code in _REDIRECTS and where:
                return Fetched("unreachable"), str(asked.join(where))
            return self._read(answer), None
        finally:
            answer.close()

    def _read(self, answer: "httpx2.Response") -> Fetched:
        status = answer.status_code
        if status in _ABSENT:
            return Fetched("absent", status)
        if not 200 <= status < 300:
            return Fetched("unreachable", status, problem=f"HTTP {status}")
        data, most = b"", self.manners.most_bytes
        for chunk in answer.iter_raw():
            data += chunk
            if len(data) > most:
                break
        cut = len(data) > most
        coding = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if coding in ("gzip", "x-gzip", "deflate"):
            # Some servers compress unasked; what unpacks without end is cut like what is long.
            try:
                data, whole = _unpacked(data, most)
            except zlib.error as error:
                return Fetched("unreachable", status, problem=f"cannot be unpacked: {error}")
            if not whole and not cut and len(data) <= most:
                return Fetched("unreachable", status, problem="cannot be unpacked: its end is missing")
        elif coding not in ("", "identity"):
            return Fetched(
                "unreachable", status, problem=f"sent as {coding[:30]}, though plain bytes were asked for"
            )
        # Kept whole, however long: a word at their end counts too. The client reads no more than 100 kB of headers.
        kept = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
        return Fetched("found", status, data[:most], cut or len(data) > most, kept)

    def _public(self, host: str, port: int) -> str:
        """An IP address of the host, if all of them are public."""
        try:
            found = self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise _RefusedError(f"there is no host {host}: {error}") from error
        for text in found:
            ip = ipaddress.ip_address(text.partition("%")[0])
            if ip.is_loopback and self.manners.allow_loopback:
                continue
            if not ip.is_global or ip.is_multicast:
                raise _RefusedError(f"{host} is {ip}, which is no public address")
        if not found:
            raise _RefusedError(f"there is no address of host {host}")
        return found[0]

    def _host(self, site: str) -> "_Host":
        name = site.partition("://")[2]
        with self._lock:
            return self._hosts.setdefault(name, _Host())


def _unpacked(data: bytes, most: int) -> tuple[bytes, bool]:
    """What gzip or deflate holds, up to a byte more than `most`, and whether that is all of it.

    gzip may come in several members, one after the other (RFC 1952, section 2.2).
    """
    found = b""
    while data:
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
        found += unpacker.decompress(data, most + 1 - len(found))
        if not unpacker.eof:
            return found, False
        if len(found) > most:
            break
        data = unpacker.unused_data
    return found, True


@dataclass
class _Host:
    """One host's turn: held while it is asked."""

    last: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> "_Host":
        self.lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def wait(self, seconds: float, sleep: Callable[[float], None], clock: Callable[[], float]) -> None:
        """Until the host may be asked again."""
        if self.last is not None:
            sleep(max(0.0, self.last + seconds - clock()))
