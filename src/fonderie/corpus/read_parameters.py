"""The parameters of corpus.read, and which of them mean something for which format."""

from typing import Literal, Self

from pydantic import Field, model_validator

from fonderie.core.step import CallName, Parameters, Policy, RecipePolicy, SourceFiles
from fonderie.corpus.readers.dialogue import Dialogues, Speakers, Speech
from fonderie.corpus.readers.pages import PageText

Format = Literal[
    "jsonl",
    "parquet",
    "hub",
    "text",
    "markdown",
    "tei",
    "html",
    "warc",
    "wet",
    "mediawiki",
    "pdf",
    "alto",
    "tesseract",
    "ocr",
    "claire",
    "drama",
]

TABLES = ("jsonl", "parquet", "hub")
STATE_THEIR_OWN = (*TABLES, "html", "warc")
"""Formats whose single documents may state a licence: they are judged as they are read."""
_DIALOGUES = ("claire", "drama")

_MEANT_FOR: dict[str, tuple[str, ...]] = {
    "text_field": TABLES,
    "unit": ("tei", "markdown", "pdf", "alto", "tesseract", "ocr", *_DIALOGUES),
    "restricted_rows": STATE_THEIR_OWN,
    "page_text": ("html", "warc"),
    "namespaces": ("mediawiki",),
    "speakers": _DIALOGUES,
    "speech": _DIALOGUES,
    "part_characters": _DIALOGUES,
}


class ReadParameters(Parameters):
    """Where the files lie, how to read them, and under which licence they are."""

    path: SourceFiles
    """A file or a glob; relative to the recipe's folder, or to yours when given by --set. On a hub:
    "hf://datasets/OWNER/NAME@COMMIT/data/*.parquet"."""
    format: Format
    """JSON Lines, WARC, WET, MediaWiki dumps, ALTO and Claire's text may end in .gz, .bz2 or .zst. "hub" reads JSON
    Lines and Parquet, by each file's ending. "ocr" is plain text with form feeds between pages, "tesseract" its
    table of words, "claire" a transcript with one turn a line, "drama" the speeches of a TEI play."""
    unit: Literal["file", "part"] = "file"
    """One document a file, or one a chapter (TEI division, Markdown section), a page (PDF, ALTO, OCR), or a run of
    turns (dialogues)."""
    text_field: str = "text"
    """JSON Lines and Parquet: the field that holds the text."""
    page_text: PageText = "main"
    """HTML and WARC: the main text of a page, or all of it with its menus."""
    namespaces: tuple[int, ...] = (0,)
    """MediaWiki: the numbers of the namespaces to read; 0 holds the articles."""
    speakers: Speakers = "numbered"
    """Dialogues: [Intervenant 1:], or the speakers' names where they have some."""
    speech: Speech | None = None
    """Dialogues: how they came to be, kept in their metadata; corpus.dialogue varies spontaneous speech."""
    part_characters: int = Field(default=10_000, ge=200)
    """Dialogues with unit = "part": documents end with the last whole turn before so many characters."""
    licence: str | None = None
    """SPDX identifier of the content's licence; may be left out where the files state it."""
    collection_licence: str | None = None
    """SPDX identifier of the licence of the collection, which does not license its content."""
    sourcing: SourceFiles | None = None
    """The sourcing form of this source, a TOML file: who holds it, under what rights, with whose personal data. It
    must agree with the licences given here; see docs/guide/sources.md."""
    language: str | None = Field(default=None, min_length=2, max_length=3)
    """ISO 639 code, where the files do not state it."""
    restricted_rows: Literal["stop", "drop"] = "stop"
    """Tables and pages: one under a licence that the policy refuses stops the build, or is dropped."""
    damaged: Literal["stop", "quarantine"] = "stop"
    """A file that is truncated, corrupt or not of its format stops the build; or none of it goes on, and the ledger
    and the statistics say so. Quarantine reads every file twice, so that nothing of a damaged one is let in."""
    source: CallName
    """The name of this source in documents, ledger and reports."""
    policy: RecipePolicy = Policy()
    """The recipe's [policy]."""

    @model_validator(mode="after")
    def _every_parameter_has_a_meaning(self) -> Self:
        for name, formats in _MEANT_FOR.items():
            if self.format not in formats and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} means nothing for {self.format}: it is for {', '.join(formats)}")
        return self

    @property
    def in_parts(self) -> bool:
        """Whether a file gives several documents where it can."""
        return self.unit == "part"

    @property
    def dialogues(self) -> Dialogues:
        """What the readers of dialogues need to know."""
        return Dialogues(self.speakers, self.speech, self.part_characters if self.in_parts else None)
