"""One name for one web page: addresses that differ in nothing that servers usually heed are made equal."""

import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

_TRACKING = re.compile(
    r"utm_\w+|fbclid|gclid|dclid|msclkid|yclid|igshid|mc_[ce]id|_ga|phpsessid|jsessionid", re.IGNORECASE
)
"""Parameters that follow the visitor, not the page."""
_SECTION = re.compile(r"#section-\d+$")
_PORTS = {"http": 80, "https": 443}
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_NEVER_ESCAPED = re.compile(r"[A-Za-z0-9._~-]")
"""Unreserved characters: the same escaped or not (RFC 3986, section 2.3). The others may mean something else."""
_PATH = "-._~!$&'()*+,;=:@/%"
"""Characters that stand in a path as they are (section 3.3)."""


def url_of(origin: str, stated: str | None) -> str | None:
    """The normal form of the address a document comes from: its metadata's `url`, else its origin if that is one.

    The fragment of an origin says which of a page's documents it is, and stays; of a file that states its address
    once for all its sections, each section has its own.
    """
    if stated:
        found, section = normal_url(stated), _SECTION.search(origin)
        return f"{found}{section[0]}" if found and section else found
    address, hash_sign, fragment = origin.partition("#")
    found = normal_url(address)
    return f"{found}{hash_sign}{fragment}" if found else None


def normal_url(url: str) -> str | None:
    """Scheme, `www.`, default port, fragment, tracking parameters, order of parameters and escapes made alike.

    None if it is no address of the web.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return None
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".").removeprefix("www.")
    if scheme not in _PORTS or not host:
        return None
    place = f"{host}:{port}" if port not in (None, *_PORTS.values()) else host
    path = _ESCAPE.sub(_unescape, quote(parts.path, safe=_PATH)).rstrip("/")
    kept = sorted(
        item for item in parse_qsl(parts.query, keep_blank_values=True) if not _TRACKING.fullmatch(item[0])
    )
    # Pages that a script shows by the fragment are pages of their own; other fragments are places in one page.
    fragment = f"#{parts.fragment}" if parts.fragment.startswith("!") else ""
    return f"//{place}{path}{'?' + urlencode(kept) if kept else ''}{fragment}"


def _unescape(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _NEVER_ESCAPED.fullmatch(character) else escape[0].upper()
