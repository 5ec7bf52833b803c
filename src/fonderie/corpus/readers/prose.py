"""Plain text, and Markdown with YAML front matter."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from fonderie.core.errors import InputError
from fonderie.corpus.readers.raw import Raw, decode, language_code, read_whole

_HEADING = re.compile(r"^(#{1,6})[ \t]+(.+)$", re.MULTILINE)
_FENCE = re.compile(r"^(```|~~~)", re.MULTILINE)
_CREATED_FIELDS = ("created", "date", "publication_date", "last_updated")


def read_text(path: Path) -> Iterator[Raw]:
    """The whole file is one document."""
    yield Raw(decode(read_whole(path), path))


def read_markdown(path: Path, *, parts: bool) -> Iterator[Raw]:
    """The whole file is one document, or each section that has text of its own is one, headed by its heading.

    The headings above a section go to its metadata ("section"). Front matter gives title, author, date, language
    and licence; what it holds besides is kept as metadata.
    """
    text = decode(read_whole(path), path).replace("\r\n", "\n")
    front, body = split_front_matter(text, path)
    stated = front.pop("licence", front.pop("license", None))
    created = next((str(front[name]) for name in _CREATED_FIELDS if front.get(name)), None)
    author, language = front.pop("author", None), front.pop("language", None)
    metadata = {str(name): str(value) for name, value in front.items() if value is not None}
    sections = _sections(body) if parts else [("", "", body.strip())]
    for fragment, above, section in sections:
        yield Raw(
            text=section,
            fragment=fragment,
            licence=None if stated is None else str(stated),
            language=None if language is None else language_code(str(language)),
            created=created,
            author=None if author is None else str(author),
            metadata={**metadata, **({"section": above} if above else {})},
        )


def split_front_matter(text: str, path: Path) -> tuple[dict[str, Any], str]:
    """YAML between two lines of three hyphens at the very top, and the rest; InputError if it is not YAML."""
    if not text.startswith("---\n"):
        return {}, text
    head, mark, body = text[4:].partition("\n---\n")
    if not mark:
        return {}, text  # a thematic break, not front matter
    try:
        front = yaml.safe_load(head)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: the front matter is not YAML: {error}") from error
    if not isinstance(front, dict):
        raise InputError(f"{path}: the front matter is not a table of names and values")
    return front, body


def _sections(body: str) -> list[tuple[str, str, str]]:
    """(fragment, headings above, text) of each section whose own text is not empty."""
    fences = [match.start() for match in _FENCE.finditer(body)]
    # An odd number of fences before a line puts it inside a code block, where # is no heading.
    headings = [match for match in _HEADING.finditer(body) if bisect_left(fences, match.start()) % 2 == 0]
    found: list[tuple[str, str, str]] = []
    preface = body[: headings[0].start()].strip() if headings else body.strip()
    if preface:
        found.append(("", "", preface))
    above: list[tuple[int, str]] = []
    for number, (match, following) in enumerate(zip(headings, [*headings[1:], None], strict=True), start=1):
        level, title = len(match[1]), _title(match[2])
        above = [(depth, name) for depth, name in above if depth < level]
        own = body[match.end() : following.start() if following else len(body)].strip()
        if own:
            found.append((f"#section-{number}", " > ".join(name for _, name in above), f"{title}\n\n{own}"))
        above.append((level, title))
    return found


def _title(heading: str) -> str:
    """A heading without the signs that may close it (CommonMark 4.2); by an expression, many of them take hours."""
    return heading.rstrip("#").rstrip(" \t") or heading[0]
