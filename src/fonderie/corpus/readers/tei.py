"""TEI P5 XML: novels, plays and verse (TEI Guidelines, chapters 2 "The TEI Header" and 4 "Default Text Structure").

Only the text of the work is kept: no header, notes, page numbers, title page or table of contents.
Nothing is fetched or read from elsewhere, whatever a document type declaration asks for.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from fonderie.core.errors import InputError
from fonderie.corpus.readers.raw import DOCUMENT_BYTES, Raw, language_code

TEI = "{http://www.tei-c.org/ns/1.0}"
_XML = "{http://www.w3.org/XML/1998/namespace}"
_BLOCKS = {"p", "head", "ab", "stage", "trailer", "opener", "closer", "salute", "signed", "dateline", "item"}
_SKIPPED = {"note", "fw", "figDesc", "gap", "teiHeader", "castList"}
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
        yield Raw("\n\n".join(_blocks(text, nested=True)), language=language, **header)
        return
    for number, division in enumerate(divisions(text)):
        blocks = list(_blocks(division, nested=False))
        if not blocks:
            continue
        own = {"division": division.get("type", ""), "section": plain(division.find(f"{TEI}head"))}
        metadata = {**header["metadata"], **{name: value for name, value in own.items() if value}}
        yield Raw("\n\n".join(blocks), f"#div-{number}", language=language, **{**header, "metadata": metadata})


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
    return name in _SKIPPED or (name == "div" and element.get("type") in _APPARATUS)


def _blocks(element: Any, *, nested: bool) -> Iterator[str]:
    """The paragraphs of an element, in reading order, with or without those of the divisions in it.

    A speech is one paragraph, its speaker before it; so is a stanza, and so are verses that follow each other.
    """
    verses: list[str] = []
    for child in element:
        if not isinstance(child.tag, str) or _is_apparatus(child):
            continue
        name = etree.QName(child).localname
        if name == "l":
            verses.append(plain(child))
            continue
        if verses:
            yield "\n".join(verses)
            verses = []
        if name == "div" and not nested:
            continue
        if name in _BLOCKS or name in ("sp", "lg"):
            block = _block(child, name)
            if block:
                yield block
        else:
            yield from _blocks(child, nested=nested)
    if verses:
        yield "\n".join(verses)


def _block(element: Any, name: str) -> str:
    if name == "sp":
        return _speech(element)
    if name == "lg":
        return "\n".join(plain(line) for line in element.iter(f"{TEI}l"))
    return plain(element)


def _speech(sp: Any) -> str:
    speaker = plain(sp.find(f"{TEI}speaker")).rstrip(" .,:")
    lines = []
    for element in sp.iter(f"{TEI}l", f"{TEI}p", f"{TEI}ab"):
        line = plain(element)
        if line:
            lines.append(line)
    spoken = "\n".join(lines)
    return f"{speaker} : {spoken}" if speaker and spoken else spoken


def plain(element: Any) -> str:
    """The text of an element on one line, notes left out, line breaks of the source read as spaces."""
    if element is None:
        return ""
    return _SPACES.sub(" ", "".join(_strings(element))).strip()


def _strings(element: Any) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if isinstance(child.tag, str) and etree.QName(child).localname not in _SKIPPED:
            if etree.QName(child).localname in ("lb", "pb"):
                yield " " if child.get("break") != "no" else ""
            yield from _strings(child)
        yield child.tail or ""
