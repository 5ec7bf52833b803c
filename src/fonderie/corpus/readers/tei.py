"""TEI P5 XML: novels, plays and verse (TEI Guidelines, chapters 2 "The TEI Header" and 4 "Default Text Structure").

Only the text of the work is kept, but all of it, whatever it stands in: no header, notes, page numbers, title page,
table of contents or cast; of an editor's alternatives (chapter 3.5) the corrected or expanded one. Of a play, stage
directions between scenes and speeches and within a line are kept, those between the lines of a speech are not.
Nothing is fetched or read from elsewhere, whatever a document type declaration asks for.
"""

import re
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from lxml import etree

from fonderie.core.errors import InputError
from fonderie.corpus.readers.raw import DOCUMENT_BYTES, Raw, language_code

TEI = "{http://www.tei-c.org/ns/1.0}"
_XML = "{http://www.w3.org/XML/1998/namespace}"
_BLOCKS = {"p", "head", "ab", "stage", "trailer", "opener", "closer", "salute", "signed", "dateline", "item"}
_LINES = {*_BLOCKS, "div", "l", "lg", "row", "sp"} - {"stage"}
"""Elements that are no part of the line in which they stand; a stage direction is, within one."""
_TITLE_PAGE = {"titlePage", "docTitle", "docAuthor", "docEdition", "docImprint", "docDate"}
_SKIPPED = {"note", "fw", "figDesc", "gap", "teiHeader", "castList", "rdg", "del", *_TITLE_PAGE}
_FIRST_FORMS = {"sic", "orig", "abbr"}
"""Within <choice>, what the editor gives another form of."""
_APPARATUS = {"titlepage", "notes", "imprint", "contents"}
"""Types of division that are apparatus, not text of the work."""
_SPACES = re.compile(r"\s+")


def read_tei(path: Path, *, parts: bool) -> Iterator[Raw]:
    """The whole work is one document, or each division (chapter, letter, scene) is one, less those within it.

    InputError names file and line if it is not XML or not TEI.
    """
    root = parse_tei(path)
    header = header_of(root)
    text = root.find(f"{TEI}text")
    if text is None:
        raise InputError(f"{path} has no <text>: not a TEI document")
    language = language_of(root)
    if not parts:
        yield Raw("\n\n".join(blocks(text, nested=True)), language=language, **header)
        return
    for number, division in enumerate(divisions(text)):
        paragraphs = list(blocks(division, nested=False))
        if not paragraphs:
            continue
        own = {"division": division.get("type", ""), "section": plain(division.find(f"{TEI}head"))}
        metadata = {**header["metadata"], **{name: value for name, value in own.items() if value}}
        yield Raw("\n\n".join(paragraphs), f"#div-{number}", language=language, **{**header, "metadata": metadata})


def stated_licence(path: Path) -> str | None:
    """The licence in the header, reading no further than the header; InputError if the file is not XML."""
    try:
        for _, element in etree.iterparse(
            str(path), events=("end",), tag=f"{TEI}teiHeader", resolve_entities="internal", no_network=True
        ):
            return _licence(element)
    except (etree.XMLSyntaxError, OSError) as error:
        raise _not_xml(path, error) from error
    raise InputError(f"{path} has no TEI header", hint='If it is not TEI, give another format than "tei".')


def parse_tei(path: Path) -> Any:
    """The root element; InputError if it is not XML, or larger than one document can be."""
    if path.stat().st_size > DOCUMENT_BYTES:
        raise InputError(
            f"{path} has {path.stat().st_size:,} bytes: a TEI file is read whole, up to {DOCUMENT_BYTES >> 20} MiB",
            hint="Cut the collection into one file a work.",
        )
    parser = etree.XMLParser(resolve_entities="internal", no_network=True, load_dtd=False, remove_comments=True)
    try:
        return etree.parse(str(path), parser).getroot()
    except (etree.XMLSyntaxError, OSError) as error:
        raise _not_xml(path, error) from error


def _not_xml(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is not well-formed XML: {error}")


def header_of(root: Any) -> dict[str, Any]:
    """Licence, date, author and metadata, as the fields of a `Raw`."""
    header = root.find(f"{TEI}teiHeader")
    if header is None:
        return {"licence": None, "created": None, "author": None, "metadata": {}}
    title = header.find(f".//{TEI}titleStmt/{TEI}title")
    author = header.find(f".//{TEI}titleStmt/{TEI}author")
    reference = header.find(f".//{TEI}publicationStmt//{TEI}ref")
    metadata = {
        "title": plain(title),
        "identifier": root.get(f"{_XML}id", ""),
        "reference": reference.get("target", "") if reference is not None else "",
    }
    return {
        "licence": _licence(header),
        "created": _first_edition(header),
        "author": _author(author),
        "metadata": {name: value for name, value in metadata.items() if value},
    }


def _licence(header: Any) -> str | None:
    # The publication statement licenses this encoding; a source description may license what it was made from.
    licence = header.find(f".//{TEI}publicationStmt//{TEI}licence")
    if licence is not None:
        return str(licence.get("target") or plain(licence)) or None
    availability = header.find(f".//{TEI}publicationStmt//{TEI}availability")
    return plain(availability) or None


def _first_edition(header: Any) -> str | None:
    for kind in ("firstEdition", "printSource", "originalSource"):
        date = header.find(f".//{TEI}bibl[@type='{kind}']/{TEI}date")
        if date is not None:
            year = re.search(r"\d{4}", date.get("when") or plain(date))
            if year:
                return year.group()
    return None


def _author(author: Any) -> str | None:
    if author is None:
        return None
    surname, forename = author.find(f".//{TEI}surname"), author.find(f".//{TEI}forename")
    if surname is not None and forename is not None:
        return f"{plain(forename)} {plain(surname)}"
    return plain(author) or None


def language_of(root: Any) -> str | None:
    """What the root or the header declares."""
    declared = root.get(f"{_XML}lang")
    if declared is None:
        language = root.find(f".//{TEI}langUsage/{TEI}language")
        declared = language.get("ident") if language is not None else None
    return language_code(declared)


def divisions(element: Any) -> Iterator[Any]:
    """The element itself and every division below it that is text of the work, in reading order."""
    yield element
    for child in element:
        if not isinstance(child.tag, str) or _is_apparatus(child):
            continue
        if child.tag == f"{TEI}div":
            yield from divisions(child)
        else:
            yield from (inner for inner in divisions(child) if inner is not child)


def _is_apparatus(element: Any) -> bool:
    name = etree.QName(element).localname
    if name in _FIRST_FORMS:
        parent = element.getparent()
        return parent is not None and parent.tag == f"{TEI}choice" and len(parent) > 1
    return name in _SKIPPED or (name == "div" and element.get("type") in _APPARATUS)


class _Kind(Enum):
    """What a piece of text is to those beside it."""

    BLOCK = auto()
    """It stands alone."""
    VERSE = auto()
    """A line of a stanza."""
    WORDS = auto()
    """It runs on."""
    END = auto()
    """Nothing runs over it."""


def blocks(element: Any, *, nested: bool) -> Iterator[str]:
    """The paragraphs of an element, in reading order, with or without those of the divisions in it.

    A speech is one paragraph, its speaker before it; so is a stanza, so are verses that follow each other, and so
    are words that stand in no paragraph.
    """
    for kind, group in groupby(_pieces(element, nested=nested), key=itemgetter(0)):
        texts = [text for _, text in group]
        match kind:
            case _Kind.VERSE:
                yield "\n".join(texts)
            case _Kind.WORDS:
                yield from filter(None, [_on_one_line(texts)])
            case _Kind.BLOCK:
                yield from filter(None, texts)


def _pieces(element: Any, *, nested: bool) -> Iterator[tuple[_Kind, str]]:
    # Where words stand beside elements, they run into each other; else each element has its own.
    mixed = any(not words.isspace() for words in _own_words(element))
    speech = element.tag == f"{TEI}sp"
    if mixed:
        yield _Kind.WORDS, element.text or ""
    for child in element:
        if isinstance(child.tag, str) and not _is_apparatus(child):
            name = etree.QName(child).localname
            if not (speech and name in ("speaker", "stage")):
                yield from _piece(child, name, nested=nested, mixed=mixed)
        if mixed:
            yield _Kind.WORDS, child.tail or ""


def _piece(child: Any, name: str, *, nested: bool, mixed: bool) -> Iterator[tuple[_Kind, str]]:
    if name == "div" and not nested:
        return
    if name == "l":
        yield _Kind.VERSE, plain(child)
    elif name == "sp":
        yield _Kind.BLOCK, _speech(child, nested=nested)
    elif name == "row":
        yield _Kind.BLOCK, "\t".join(plain(cell) for cell in child if isinstance(cell.tag, str))
    elif name in _BLOCKS or name == "lg":
        yield _Kind.BLOCK, "\n".join(blocks(child, nested=nested)) if _holds_lines(child) else plain(child)
    elif _holds_lines(child):
        yield _Kind.END, ""
        yield from _pieces(child, nested=nested)
        yield _Kind.END, ""
    elif mixed:
        yield _Kind.WORDS, "".join(_around(child))
    elif words := plain(child):  # a page's end is no end of a stanza
        yield _Kind.BLOCK, words


def _own_words(element: Any) -> Iterator[str]:
    yield from filter(None, [element.text, *(child.tail for child in element)])


def _holds_lines(element: Any) -> bool:
    return any(
        isinstance(inner.tag, str) and etree.QName(inner).localname in _LINES for inner in element.iterdescendants()
    )


def _speech(sp: Any, *, nested: bool) -> str:
    speaker = plain(sp.find(f"{TEI}speaker")).rstrip(" .,:")
    spoken = "\n".join(blocks(sp, nested=nested))
    return f"{speaker} : {spoken}" if speaker and spoken else spoken


def plain(element: Any) -> str:
    """The text of an element on one line, notes left out, line breaks of the source read as spaces."""
    if element is None:
        return ""
    return _on_one_line(_strings(element))


def _on_one_line(texts: Iterable[str]) -> str:
    return _SPACES.sub(" ", "".join(texts)).strip()


def _strings(element: Any) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if isinstance(child.tag, str) and not _is_apparatus(child):
            yield from _around(child)
        yield child.tail or ""


def _around(child: Any) -> Iterator[str]:
    """The words of an element within a line; one that breaks the line stands for a space."""
    if etree.QName(child).localname in ("lb", "pb"):
        yield " " if child.get("break") != "no" else ""
    yield from _strings(child)
