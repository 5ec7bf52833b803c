"""What the head of a fetched page says of reservations; pages read from archives bring this along themselves."""

import re
from html.parser import HTMLParser

from fonderie.corpus.optout.robots import decode

_END = re.compile(rb"<body[\s>]", re.IGNORECASE)


class _Metas(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = (given.get("name") or "").strip().lower()
        if tag == "meta" and name:
            self.found.setdefault(name, []).append((given.get("content") or "").strip())


def head_of(data: bytes) -> tuple[bytes, bool]:
    """A page up to its body, and whether that was reached: no more of it is evidence, or needs keeping."""
    end = _END.search(data)
    return (data[: end.start()], True) if end else (data, False)


def metas(data: bytes) -> dict[str, str]:
    """Content of every named <meta>, by lower-case name; several of one name are joined by commas."""
    parser = _Metas()
    try:
        parser.feed(decode(data))
        parser.close()
    except AssertionError:
        # html.parser gives up on some malformed declarations; what came before them stands.
        pass
    return {name: ", ".join(contents) for name, contents in parser.found.items()}
