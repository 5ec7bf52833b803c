"""MediaWiki XML dumps (schema export-0.10 and 0.11), .xml or .xml.bz2: one document per page.

Streamed: one page is held at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lxml import etree

from fonderie.core.errors import InputError
from fonderie.corpus.readers.raw import Raw, language_code, open_binary
from fonderie.corpus.readers.wikitext import plain_text

_FILE, _CATEGORY = 6, 14
"""Numbers of the namespaces whose links show a picture or nothing; their names depend on the wiki's language."""


@dataclass
class _Site:
    """What the head of a dump says of its wiki."""

    base: str = ""
    """Where its pages are: "https://fr.wikipedia.org/wiki/"."""
    language: str | None = None
    hidden: set[str] = field(default_factory=lambda: {"file", "image", "category"})
    """Names of the namespaces for files and categories, case folded; the English ones hold on every wiki."""


@dataclass
class _Page:
    title: str = ""
    namespace: int = 0
    identifier: str = ""
    revision: str = ""
    redirect: str | None = None
    text: str = ""
    """Of the last revision: a dump with history has them in order."""
    stamp: str = ""


def read_mediawiki(path: Path, *, namespaces: tuple[int, ...]) -> Iterator[Raw]:
    """Articles as text, headed by their titles; redirects and pages of other namespaces are left out and say so.

    InputError names file and line, or the offset where a compressed one ends.
    """
    found_page = False
    for site, page in _pages(path):
        found_page = True
        metadata = {"title": page.title, "page": page.identifier, "revision": page.revision}
        if site.base:
            metadata["url"] = site.base + quote(page.title.replace(" ", "_"), safe="/:@!$&'()*+,;=~-._")
        common: dict[str, Any] = {
            "fragment": f"#page-{page.identifier}",
            "language": site.language,
            "metadata": metadata,
            "created": page.stamp or None,
        }
        if page.namespace not in namespaces:
            yield Raw(page.title, left_out="not an article", detail=f"namespace {page.namespace}", **common)
        elif page.redirect is not None:
            yield Raw(page.title, left_out="redirect", detail=page.redirect, **common)
        else:
            body = plain_text(page.text, site.hidden)
            yield Raw(f"{page.title}\n\n{body}" if body else "", **common)
    if not found_page:
        raise InputError(f"{path} holds no <page>: not a MediaWiki dump")


def _pages(path: Path) -> Iterator[tuple[_Site, _Page]]:
    site, page = _Site(), _Page()
    with open_binary(path) as file:
        events = etree.iterparse(file, events=("start", "end"), resolve_entities=False, no_network=True)
        try:
            for event, element in events:
                name = etree.QName(element).localname
                if event == "start":
                    if name == "page":
                        page = _Page()
                    elif name == "mediawiki":
                        site.language = language_code(element.get("{http://www.w3.org/XML/1998/namespace}lang"))
                    continue
                if name == "page":
                    yield site, page
                else:
                    _take(name, element, page, site)
                # All that was read of the page or revision goes: else the tree grows with the file.
                if name in ("page", "revision", "siteinfo"):
                    element.clear()
                    while element.getprevious() is not None:
                        del element.getparent()[0]
        except etree.XMLSyntaxError as error:
            raise InputError(
                f"{path} is truncated or not well-formed, after the page '{page.title}': {error}",
                hint="Fetch the file again, or take it out of the recipe's path.",
            ) from error


def _take(name: str, element: Any, page: _Page, site: _Site) -> None:
    """One closed element of the head or of a page."""
    text = element.text or ""
    parent = element.getparent()
    within = etree.QName(parent).localname if parent is not None else ""
    match name:
        case "base":
            site.base = text.rpartition("/")[0] + "/" if "/" in text else ""
        case "namespace" if element.get("key") in (str(_FILE), str(_CATEGORY)) and text:
            site.hidden.add(text.casefold())
        case "title":
            page.title = text
        case "ns":
            page.namespace = int(text) if text.lstrip("-").isdigit() else -1
        case "redirect":
            page.redirect = element.get("title") or ""
        case "id" if within == "page":
            page.identifier = text
        case "id" if within == "revision":
            page.revision = text
        case "timestamp" if within == "revision":
            page.stamp = text
        case "text" if within == "revision":
            page.text = text
