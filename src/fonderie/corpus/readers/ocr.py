"""Pages read by machine, with the confidence that their reader states: ALTO XML, Tesseract's table, plain text.

`ocr_confidence` in the metadata goes from 0 to 100, as Tesseract and the national libraries state it: the mean over
words, each weighed by its letters. Where a file states none there is none, and a rule must say what that means.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxml import etree

from fonderie.core.errors import InputError
from fonderie.corpus.readers.raw import Raw, decode, language_code, open_binary, read_whole

UNSURE = 60.0
"""Below this a word is counted as unsure: Tesseract's own documentation calls words under 60 doubtful."""
_STATED_RATE = re.compile(r"taux de reconnaissance[^.\d%]{0,80}?(\d{1,3}(?:[.,]\d+)?)\s*%", re.IGNORECASE)
"""How Gallica's plain text states the rate of a whole document, in its head."""
_HEAD_CHARACTERS = 5_000
_TESSERACT = ["level", "page_num", "block_num", "par_num", "line_num", "word_num"]


@dataclass
class _Page:
    """One page as it is read."""

    lines: list[str] = field(default_factory=list)
    letters: float = 0.0
    weighed: float = 0.0
    unsure: int = 0
    words: int = 0
    stated: float | None = None
    """A confidence stated for the page as a whole."""
    language: str | None = None

    def hear(self, word: str, confidence: float | None) -> None:
        """Count a word."""
        self.words += 1
        if confidence is not None:
            self.letters += len(word)
            self.weighed += confidence * len(word)
            self.unsure += confidence < UNSURE

    @property
    def text(self) -> str:
        return "\n".join(self.lines).strip()


def read_alto(path: Path, *, parts: bool) -> Iterator[Raw]:
    """ALTO 2 to 4: the whole file is one document, or each page is one. Streamed page by page.

    A word cut at the end of a line is whole again (HypPart1 and SUBS_CONTENT), blocks stand between blank lines.
    """
    yield from _documents(_alto_pages(path), f"{path} has no <Page>: not an ALTO file", parts=parts)


def read_tesseract(path: Path, *, parts: bool) -> Iterator[Raw]:
    """The table that `tesseract … tsv` writes: a row a word, with its confidence; InputError names the row."""
    yield from _documents(_tesseract_pages(path), f"{path} holds no page: Tesseract's table has none", parts=parts)


def read_ocr_text(path: Path, *, parts: bool) -> Iterator[Raw]:
    """Plain text whose pages end with a form feed; its confidence is the rate stated in its head, if one is."""
    text = decode(read_whole(path), path).replace("\r\n", "\n")
    stated = _STATED_RATE.search(text[:_HEAD_CHARACTERS])
    rate = _confidence(stated[1], 100, f"{path}, in its head") if stated else None
    pages = (_Page(lines=[page.strip()], words=len(page.split()), stated=rate) for page in text.split("\f"))
    yield from _documents(pages, f"{path} holds no page", parts=parts)


def _documents(pages: Iterable[_Page], if_none: str, *, parts: bool) -> Iterator[Raw]:
    whole, texts, count = _Page(), [], 0
    for count, page in enumerate(pages, start=1):
        if parts:
            yield _raw([page.text], page, f"#page-{count}", 1)
            continue
        texts.append(page.text)
        whole.letters, whole.weighed = whole.letters + page.letters, whole.weighed + page.weighed
        whole.unsure, whole.words = whole.unsure + page.unsure, whole.words + page.words
        whole.stated, whole.language = page.stated or whole.stated, page.language or whole.language
    if not count:
        raise InputError(if_none)
    if not parts:
        yield _raw(texts, whole, "", count)


def _raw(texts: list[str], page: _Page, fragment: str, pages: int) -> Raw:
    confidence = page.weighed / page.letters if page.letters else page.stated
    metadata = {"pages": str(pages)}
    if confidence is not None:
        metadata["ocr_confidence"] = f"{confidence:.2f}"
    return Raw(
        "\n\n".join(text for text in texts if text),
        fragment,
        language=page.language,
        metadata=metadata,
        counted={"OCR pages": pages, "OCR words": page.words, "OCR words unsure": page.unsure},
    )


def _alto_pages(path: Path) -> Iterator[_Page]:
    page = _Page()
    with open_binary(path) as file:
        try:
            for event, element in etree.iterparse(
                file, events=("start", "end"), resolve_entities=False, no_network=True
            ):
                name = etree.QName(element).localname
                if event == "start":
                    if name == "Page":
                        page = _Page(stated=_page_rate(element, path))
                    continue
                if name == "TextLine":
                    _alto_line(element, page, path)
                elif name == "TextBlock" and page.lines and page.lines[-1]:
                    page.language = page.language or language_code(element.get("LANG") or element.get("language"))
                    page.lines.append("")
                elif name == "Page":
                    yield page
                if name in ("TextBlock", "Page"):
                    element.clear()
        except etree.XMLSyntaxError as error:
            raise InputError(f"{path} is truncated or not well-formed XML: {error}") from error


def _page_rate(page: Any, path: Path) -> float | None:
    """ACCURACY is a percentage, PC a share of one (ALTO 4.4, attributes of PageType)."""
    where = f"{path}, line {page.sourceline}"
    accuracy = _confidence(page.get("ACCURACY"), 100, where)
    return accuracy if accuracy is not None else _confidence(page.get("PC"), 1, where)


def _alto_line(line: Any, page: _Page, path: Path) -> None:
    words = []
    for string in line:
        if not isinstance(string.tag, str) or etree.QName(string).localname != "String":
            continue
        part = string.get("SUBS_TYPE")
        if part == "HypPart2" and string.get("SUBS_CONTENT"):
            continue  # its first part stands for the whole
        word = (string.get("SUBS_CONTENT") if part == "HypPart1" else None) or string.get("CONTENT") or ""
        if word.strip():
            page.hear(word, _confidence(string.get("WC"), 1, f"{path}, line {string.sourceline}"))
            words.append(word)
    if words:
        page.lines.append(" ".join(words))


def _confidence(text: str | None, most: int, where: str) -> float | None:
    """From 0 to 100, of a number from 0 to `most`; None if none is stated, InputError if it is no such number."""
    if text is None or not text.strip():
        return None
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise InputError(
            f"{where}: '{text}' is no confidence from 0 to {most}",
            hint='Correct the file, or give damaged = "quarantine" to go on without it.',
        )
    return 100 * number / most


def _tesseract_pages(path: Path) -> Iterator[_Page]:
    text = decode(read_whole(path), path)
    # Not splitlines, for which a recognised "\x85" or "\u2028" ends a row; nor csv, as nothing is quoted.
    rows = (row.split("\t") for row in text.replace("\r\n", "\n").split("\n"))
    header = next(rows, [])
    if header[: len(_TESSERACT)] != _TESSERACT or "conf" not in header or "text" not in header:
        raise InputError(f"{path}, row 1: not the header of Tesseract's table")
    conf, word_at = header.index("conf"), header.index("text")
    page, number, block, line = _Page(), "", "", ""
    for row_number, row in enumerate(rows, start=2):
        if len(row) <= max(conf, word_at):
            if any(row) and row[0] == "5":
                raise InputError(f"{path}, row {row_number}: truncated, {len(row)} of {len(header)} fields")
            continue
        if row[1] != number:
            if number:
                yield page
            page, number, block, line = _Page(), row[1], "", ""
        word = row[word_at].strip()
        if row[0] != "5" or not word:
            continue
        page.hear(word, _confidence(row[conf], 100, f"{path}, row {row_number}"))
        if row[2:4] != [*block.split()] and page.lines:
            page.lines.append("")
        if (row[2], row[3], row[4]) != tuple(line.split()):
            page.lines.append(word)
        else:
            page.lines[-1] += " " + word
        block, line = f"{row[2]} {row[3]}", f"{row[2]} {row[3]} {row[4]}"
    if number:
        yield page
