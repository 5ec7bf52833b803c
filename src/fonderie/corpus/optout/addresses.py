"""Addresses of documents, and the path patterns that robots.txt, TDMRep and ai.txt share."""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes, urlsplit

_PORTS = {"http": 80, "https": 443}
_SAFE = "/-._~!$&'()*+,;=:@%?"
"""Characters left as they stand when a path is escaped (RFC 3986, section 3.3 and 3.4)."""


class Address(NamedTuple):
    """A page on the web, as signals speak of it."""

    site: str
    """Scheme, host and port, what one robots.txt speaks for (RFC 9309, section 2.3); without a default port."""
    path: str
    """Path and query, beginning with a slash, each character escaped or not in one way, to be compared."""
    asked: str
    """Path and query as a server is asked for them: as they were written."""

    @property
    def url(self) -> str:
        """The whole address as it was written, without fragment."""
        return self.site + self.asked


def stated_url(origin: str, metadata: Mapping[str, str]) -> str | None:
    """The web address that a document says it comes from; None if it is from no place on the web."""
    for candidate in (metadata.get("url"), origin):
        if candidate and candidate.strip().lower().startswith(("http://", "https://")):
            return candidate.strip()
    return None


def parse_address(url: str) -> Address | None:
    """Split an address; None if it names no host, or is none."""
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
        if parts.scheme not in _PORTS or not host:
            return None
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        return None
    if any(character.isspace() or not character.isprintable() or character in "/\\@" for character in name):
        return None
    place = f"[{name}]" if ":" in name else name
    if port is not None and port != _PORTS[parts.scheme]:
        place += f":{port}"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    asked = quote((path if path.startswith("/") else f"/{path}").encode("utf-8", "replace"), safe=_SAFE)
    return Address(f"{parts.scheme}://{place}", escape(asked), asked)


def escape(path: str) -> str:
    """A path in which every character that needs it is escaped once: "é" and "%C3%A9" become the same."""
    return quote(unquote_to_bytes(path.encode("utf-8", "replace")), safe=_SAFE)


def matches(pattern: str, path: str) -> bool:
    """Whether a pattern is the start of a path; "*" is anything, a last "$" the end (RFC 9309, section 2.2.3).

    Never slower than the product of their lengths: the parts between stars are looked for from left to right.
    """
    anchored = pattern.endswith("$")
    first, *rest = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    if not rest:
        return not anchored or path == first
    place = len(first)
    for part in rest[:-1]:
        found = path.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    if anchored:
        return path.endswith(rest[-1]) and len(path) - len(rest[-1]) >= place
    return path.find(rest[-1], place) >= 0
