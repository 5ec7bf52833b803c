"""Documents for people, once, in two languages: a list of headings, sentences and tables, and their Markdown.

Every sentence is one of the catalogue's; figures come from the release, quoted paragraphs from publisher.toml. So
the French and the English of a document cannot say different things, and none of them can lack a section.
"""

import re
import string
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from importlib.resources import files

from fonderie.core.placeholders import is_placeholder
from fonderie.release.law.publisher import FILE, Words
from fonderie.release.writing import words
from fonderie.release.writing.tables import Column, Table, cell, markdown_table
from fonderie.release.writing.words import Language

CATALOGUES = ("common", "public-summary", "model-documentation-form", "copyright-policy", "index")

_NO_BREAK, _NARROW = "\u00a0", "\u202f"
_MONTHS = {
    "en": [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    "fr": [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_ADDRESS = re.compile(r"https?://[^\s<>]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


@cache
def catalogue(name: str, language: Language) -> Mapping[str, str]:
    """The sentences of one document in one language, by key; French is typeset as French is printed."""
    text = (files("fonderie.release.writing") / "catalogue" / f"{name}.{language}.toml").read_text(encoding="utf-8")
    entries: dict[str, str] = tomllib.loads(text)
    return {key: typeset(value) for key, value in entries.items()} if language == "fr" else entries


def typeset(text: str) -> str:
    """French spaces and apostrophes, for sentences written with plain ones."""
    text = text.replace("'", "’").replace("« ", f"«{_NO_BREAK}").replace(" »", f"{_NO_BREAK}»")
    text = re.sub(r" (?=:(?:\s|$))", _NO_BREAK, text)
    return re.sub(r" (?=[;?!%])", _NARROW, text)


def fields_of(message: str) -> set[str]:
    """The names that a sentence leaves open."""
    return {name for _, name, _, _ in string.Formatter().parse(message) if name}


class Speaker:
    """One language's way to say things: sentences of a catalogue, numbers, dates, shares."""

    def __init__(self, name: str, language: Language) -> None:
        self.language = language
        self._entries = {**catalogue("common", language), **catalogue(name, language)}

    def say(self, key: str, **values: str) -> str:
        """A sentence of the catalogue, its names filled in; KeyError if there is none or one is not given."""
        return self._entries[key].format_map(values)

    def number(self, value: int) -> str:
        """A whole number, its thousands set apart."""
        return words.decimal(value, 0, self.language)

    def decimal(self, value: float, digits: int) -> str:
        """A number with so many digits after the point."""
        return words.decimal(value, digits, self.language)

    def power(self, value: float) -> str:
        """A large number as a power of ten, with three digits."""
        if not value:
            return "0"
        digits, _, exponent = f"{value:.2e}".partition("e")
        digits = digits.replace(".", ",") if self.language == "fr" else digits
        return f"{digits} × 10{str(int(exponent)).translate(_RAISED)}"

    def share(self, part: int, whole: int) -> str:
        """A part of a whole, in per cent."""
        if not whole:
            return "–"
        return self.decimal(100 * part / whole, 1) + (f"{_NARROW}%" if self.language == "fr" else "%")

    def day(self, value: date) -> str:
        """A date in words."""
        month = _MONTHS[self.language][value.month - 1]
        first = "1er" if self.language == "fr" and value.day == 1 else str(value.day)
        return f"{first} {month} {value.year}"

    def reason(self, text: str) -> str:
        """A reason of the ledger, in words where there are some."""
        return words.reason(text, self.language)

    def method(self, text: str) -> str:
        """How something was measured, in words where there are some."""
        return words.known("method", text, self.language)

    def yes(self, value: bool) -> str:
        """Yes or no."""
        return self.say("yes" if value else "no")


class Page(Speaker):
    """A document being written, top down."""

    def __init__(self, name: str, language: Language) -> None:
        super().__init__(name, language)
        self._parts: list[str] = []
        self._level = 1
        self.waiting: list[str] = []
        """Fields of publisher.toml that this page has a place for, and that nobody has filled in."""

    def heading(self, level: int, key: str, **values: str) -> None:
        """A section's heading."""
        self._level = level
        self._parts.append(f"{'#' * level} {self.say(key, **values)}")

    def field(self, key: str, **values: str) -> None:
        """An item of the section: one level below it, so that no level is skipped."""
        self._parts.append(f"{'#' * (self._level + 1)} {self.say(key, **values)}")

    def title(self, text: str) -> None:
        """A heading below an item, in someone else's words."""
        self._parts.append(f"{'#' * (self._level + 2)} {cell(text)}")

    def title_text(self, text: str) -> None:
        """A paragraph in someone else's words, of one line."""
        self._parts.append(_inline(text))

    def text(self, key: str, **values: str) -> None:
        """A paragraph of the catalogue."""
        self._parts.append(self.say(key, **values))

    def items(self, lines: Iterable[str]) -> None:
        """A list; the lines are Markdown already."""
        self._parts.append("\n".join(f"- {line}" for line in lines))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> None:
        """A table; `columns` are keys, the last `numbers` of which stand to the right. Cells are plain text."""
        titles = [self.say(key) for key in columns]
        first = len(columns) - numbers
        heads = tuple(Column(title, number=place >= first) for place, title in enumerate(titles))
        self._parts.append(markdown_table(Table("", heads, tuple(tuple(row) for row in rows))).rstrip("\n"))

    def quote(self, value: Words | str | None, field: str, label: str = "") -> None:
        """What the publisher says in a field, as a quotation; a visible gap where they say nothing.

        `label` is a key, for what would not be understood without it.
        """
        text = getattr(value, self.language) if isinstance(value, Words) else value
        where = f"{field}.{self.language}" if isinstance(value, Words) else field
        if not text or is_placeholder(text):
            self.gap(where)
            return
        said = paragraphs(text)
        if label:
            said[0] = self.say("labelled", label=self.say(label), text=said[0])
        self._parts.append("\n>\n".join(f"> {paragraph}" for paragraph in said))

    def gap(self, field: str) -> None:
        """A place that waits for a person."""
        self.waiting.append(field)
        self._parts.append(self.say("gap", field=field, file=FILE))

    def quote_day(self, value: date | None, field: str) -> None:
        """A date that the publisher gives."""
        self.quote(self.day(value) if value else None, field)

    def quote_yes(self, value: bool | None, field: str) -> None:
        """An answer that the publisher gives."""
        self.quote(None if value is None else self.yes(value), field)

    def markdown(self) -> str:
        """The whole page."""
        return "\n\n".join(self._parts) + "\n"


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text by a person, as Markdown that is no markup but for its addresses."""
    found = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip())]
    return [_plain(part) for part in found if part]


def _plain(text: str) -> str:
    parts: list[str] = []
    end = 0
    for match in _ADDRESS.finditer(text):
        # A full stop or bracket after an address ends the sentence, not the address.
        address = match.group().rstrip(".,;:!?)’»")
        parts += [_inline(text[end : match.start()]), f"<{address}>"]
        end = match.start() + len(address)
    escaped = "".join([*parts, _inline(text[end:])])
    return re.sub(r"^([#+=~-])", r"\\\1", re.sub(r"^(\d+)([.)])", r"\1\\\2", escaped))


def _inline(text: str) -> str:
    # `cell` joins and trims white space; between two parts of a paragraph it is kept.
    if not text.strip():
        return " " if text else ""
    lead, trail = text[0].isspace(), text[-1].isspace()
    return f"{' ' * lead}{cell(text).replace('[', chr(92) + '[').replace('_', chr(92) + '_')}{' ' * trail}"
