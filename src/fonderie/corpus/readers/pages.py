"""HTML pages: their text, and what they say of themselves.

The text is Resiliparse's (Bevendorff et al., "Elastic ChatNoir", ECIR 2018): no markup, scripts or hidden elements,
and unless asked for no navigation, header or footer either. What a page says of licence and of robots goes along.
"""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from fonderie.corpus.readers.raw import Raw, language_code, read_whole

PageText = Literal["main", "all"]

_ROBOTS = re.compile(
    r"robots|[\w.-]*bot|tdm-[\w-]+|content-usage|(?:no)?ai|noimageai|[\w.-]*(?:licen[cs]e|rights)", re.I
)
"""Names of <meta> kept for the opt-out rules: robots and any single robot (Google's convention names them *bot),
TDMRep (W3C community group report, section 6.3), and what speaks of rights."""
_META_SELECTOR = ",".join(
    f'meta[name*="{part}" i]' for part in ("bot", "tdm-", "content-usage", "ai", "licen", "rights")
)
"""Finds all that the names above may match, and of a usual page little else."""
_LICENCE_SELECTOR = "[rel~=license][href]"
_META_CHARACTERS = 2_000
"""Of one kept <meta>: a page could put megabytes there."""
MOST_STATEMENTS = 300
"""<meta> of robots and rights, or links to licences. Resiliparse takes time with the square of their number:
0.4 s for 400, 1.7 s for 800 (docs/decisions/0030-readers-tried.md)."""
DEEPEST = 1_000
"""Elements within each other: to find the main text takes time with the square of it. Chromium itself flattens what
lies deeper than 512 (kMaximumHTMLParserDOMTreeDepth)."""


def read_html(path: Path, *, text: PageText) -> Iterator[Raw]:
    """The file is one page; its encoding is what it declares, else what it looks like."""
    yield page(read_whole(path), charset=None, text=text)


def page(data: bytes, *, charset: str | None, text: PageText) -> Raw:
    """A page's text with title, language, robots and licence; `charset` is what the server said, if it did.

    Only a <link rel="license"> in the head states the licence of the page. One in the body may speak of a single
    picture, and counts for nothing; all are in metadata "licence_links". A page that is nested too deep, or states
    its rights too often, to be read in time is left out.
    """
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding
    from resiliparse.parse.html import HTMLTree

    encoding = known_encoding(charset) or known_encoding(detect_encoding(data, from_html_meta=True)) or "utf-8"
    tree = HTMLTree.parse(bytes_to_str(data, encoding, errors="replace"))
    hostile = _hostile(tree, data)
    if hostile is not None:
        return Raw("", left_out="page would take too long", detail=hostile)
    root = tree.document.query_selector("html") if tree.document else None
    metadata = {"title": " ".join((tree.title or "").split())} if tree.title else {}
    metas = _metas(tree)
    if metas:
        metadata["html_meta"] = json.dumps(metas, ensure_ascii=False, sort_keys=True)
    in_head, everywhere = _licences(tree)
    if everywhere:
        metadata["licence_links"] = json.dumps(everywhere, ensure_ascii=False)
    return Raw(
        text=extract_plain_text(tree, main_content=text == "main", alt_texts=False).strip(),
        licence=in_head[0] if len(in_head) == 1 else None,
        language=language_code(root.getattr("lang") if root is not None else None),
        metadata=metadata,
    )


def _hostile(tree: Any, data: bytes) -> str | None:
    """What of a page would take time with the square of its size, if anything does."""
    if not tree.document:
        return None
    for selector, words in ((_META_SELECTOR, "<meta> of rights"), (_LICENCE_SELECTOR, "links to licences")):
        count = len(tree.document.query_selector_all(selector))
        if count > MOST_STATEMENTS:
            return f"{count:,} {words}"
    # Few pages have so many elements that they could be so deep: of these alone each is looked at.
    if data.count(b"<") <= DEEPEST or (depth := _depth(tree)) <= DEEPEST:
        return None
    return f"elements nested {depth:,} deep"


def _depth(tree: Any) -> int:
    from resiliparse.parse.html import traverse_dom

    deepest = 0

    def note(context: Any) -> None:
        nonlocal deepest
        deepest = max(deepest, context.depth)

    traverse_dom(tree.document, note)
    return deepest


def known_encoding(name: str | None) -> str | None:
    """An encoding that a server or page declares, if there is one of that name that makes text of bytes."""
    try:
        return codecs.lookup(name).name if name and codecs.lookup(name)._is_text_encoding else None
    except (LookupError, ValueError):
        return None


def _metas(tree: Any) -> dict[str, str]:
    """Content of the <meta> elements about robots and rights, by lower-case name; several of a name are joined."""
    found: dict[str, list[str]] = {}
    for element in tree.document.query_selector_all(_META_SELECTOR) if tree.document else ():
        name = (element.getattr("name") or "").strip().lower()
        content = (element.getattr("content") or "").strip()[:_META_CHARACTERS]
        if content and _ROBOTS.fullmatch(name):
            found.setdefault(name, []).append(content)
    return {name: ", ".join(contents) for name, contents in found.items()}


def _licences(tree: Any) -> tuple[list[str], list[str]]:
    """What <link rel="license"> in the head says, and all such links, each once in the page's order."""
    in_head: list[str] = []
    everywhere: list[str] = []
    for element in tree.document.query_selector_all(_LICENCE_SELECTOR) if tree.document else ():
        target = (element.getattr("href") or "").strip()[:_META_CHARACTERS]
        if target and target not in everywhere:
            everywhere.append(target)
        if target and element.tag == "link" and target not in in_head:
            in_head.append(target)
    return in_head, everywhere
