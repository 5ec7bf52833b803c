"""The words of the pages, in French and in English: one TOML file for each part of the site and each language.

`chat.fr.toml` and `chat.en.toml` hold the same keys; a test says so. The server sends codes, these files the words.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from markupsafe import Markup, escape

from fonderie.release.writing.document import typeset

Language = Literal["fr", "en"]
LANGUAGES: tuple[Language, ...] = ("fr", "en")
DEFAULT: Language = "en"
"""For those whose browser asks for neither."""


class Words(Mapping[str, str]):
    """Every text of one language, by dotted key: "chat.send"."""

    def __init__(self, language: Language, texts: Mapping[str, str]) -> None:
        self.language = language
        self._texts = dict(texts)

    def __getitem__(self, key: str) -> str:
        return self._texts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __call__(self, key: str, **values: Any) -> Markup:
        """A text as HTML, braces filled in, all escaped but what is markup already; KeyError if there is none."""
        return Markup(escape(self._texts[key])).format(**values)

    def known(self, key: str, otherwise: str) -> str:
        """A text, or something else where the catalogue has no such key."""
        return self._texts.get(key, otherwise)


@cache
def read_words(language: Language) -> Words:
    """All catalogues of one language."""
    texts: dict[str, str] = {}
    for part, tables in catalogues(language).items():
        texts.update(_flat(tables, f"{part}."))
    # French is typeset as French is printed: no line begins with a colon.
    return Words(language, {key: typeset(text) for key, text in texts.items()} if language == "fr" else texts)


def catalogues(language: Language) -> dict[str, dict[str, Any]]:
    """What each part's file holds."""
    ending = f".{language}.toml"
    found = sorted(
        (entry for entry in (files("fonderie.chat.site") / "words").iterdir() if entry.name.endswith(ending)),
        key=lambda entry: entry.name,
    )
    return {entry.name.removesuffix(ending): tomllib.loads(entry.read_text(encoding="utf-8")) for entry in found}


def _flat(tables: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for name, value in tables.items():
        if isinstance(value, str):
            yield before + name, value
        else:
            yield from _flat(value, f"{before}{name}.")


def preferred(accept_language: str) -> Language:
    """The language of ours that a browser asks for most (RFC 9110, 12.5.4)."""
    best, most = DEFAULT, 0.0
    for item in accept_language.split(","):
        name, _, parameters = item.partition(";")
        primary = name.strip().lower().split("-", 1)[0]
        weight = _weight(parameters)
        for language in LANGUAGES:
            if primary == language and weight > most:
                best, most = language, weight
    return best


def _weight(parameters: str) -> float:
    name, _, value = parameters.partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
