"""A document as one HTML page that stands alone: it prints as PDF, is light or dark, and needs no script or net."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fonderie.release.writing.words import Language

if TYPE_CHECKING:
    from markdown_it.token import Token

_STYLE = """
/* Contrast of every ink on every paper below is at least 4.5 to 1 (WCAG 2.2, 1.4.3). */
:root { color-scheme: light dark; --ink: #1b1b1f; --paper: #fdfdfc; --soft: #5c5c66; --line: #d4d4da;
  --tint: #f1f1f4; --accent: #1d4f91; --alert: #8a1c1c; --alert-tint: #fbeaea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6ea; --paper: #16161a; --soft: #a5a5b0; --line: #3b3b45;
  --tint: #212128; --accent: #8db8f2; --alert: #ffb3b3; --alert-tint: #3a1d1d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, "Liberation Sans", sans-serif; }
nav { display: flex; gap: 1.5rem; padding: .8rem 1.2rem; border-bottom: 1px solid var(--line); font-size: .92rem; }
nav a:last-child { margin-left: auto; }
main { max-width: 50rem; margin: 0 auto; padding: 1rem 1.2rem 4rem; }
h1, h2, h3, h4, h5, h6 { line-height: 1.25; }
h1 { text-wrap: balance; font-size: 1.8rem; margin: 1.2rem 0 1rem; }
h2 { font-size: 1.35rem; margin: 2.6rem 0 .8rem; padding-bottom: .3rem; border-bottom: 2px solid var(--line); }
h3 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
h4 { font-size: 1rem; margin: 1.3rem 0 .2rem; }
h5, h6 { font-size: .95rem; margin: 1rem 0 .2rem; color: var(--soft); }
p, ul { margin: .4rem 0; }
a { color: var(--accent); overflow-wrap: anywhere; }
code { font: .88em ui-monospace, "Liberation Mono", monospace; overflow-wrap: anywhere; }
blockquote { margin: .4rem 0; padding: .05rem 0 .05rem 1rem; border-left: 3px solid var(--accent); }
blockquote + blockquote { margin-top: -.4rem; padding-top: .15rem; }
blockquote.notice { margin: 1rem 0; border-left-color: var(--alert); background: var(--alert-tint);
  padding: .6rem 1rem; }
.notice strong { color: var(--alert); }
.gap { color: var(--alert); }
.wide { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: .4rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { background: var(--tint); }
tbody th { font-weight: 600; min-width: 7rem; overflow-wrap: anywhere; }
td { overflow-wrap: anywhere; min-width: 4rem; }
.right { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; top: 1rem; }
@page { size: A4; margin: 20mm 18mm 22mm;
  @bottom-right { content: counter(page) " / " counter(pages); font-size: 9pt; } }
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; --soft: #333; --line: #999; --tint: #eee; --accent: #000;
    --alert: #8a1c1c; --alert-tint: #fff; }
  body { font-size: 10pt; } nav, .skip { display: none; } main { max-width: none; padding: 0; }
  h2, h3, h4, h5, h6, thead { break-after: avoid; } tr, blockquote, li { break-inside: avoid; }
  thead { display: table-header-group; }
  .wide { overflow: visible; } p { orphans: 3; widows: 3; }
}
"""

# Figures are drawn on white.
_PICTURES = "img { max-width: 100%; height: auto; background: #fff; } pre { white-space: pre-wrap; }"

NOTICE, GAP = "notice", "gap"


def to_html(
    markdown: str,
    *,
    title: str,
    language: Language,
    skip: str,
    links: Sequence[tuple[str, str, str]] = (),
    pictures: bool = False,
) -> str:
    """One page. `links` stand at its head: address, words, and the language of what they lead to.

    A page does without pictures; with `pictures`, those beside it on the same server are shown.

    Markdown is read as CommonMark with tables; HTML in it is shown, never obeyed. What anyone wrote stays text: the
    page's policy forbids scripts, frames and anything from elsewhere, should some of it slip through.
    """
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(markdown)
    _make_accessible(tokens)
    body = reader.renderer.render(tokens, reader.options, {})
    body = body.replace("<table>", '<div class="wide">\n<table>').replace("</table>", "</table>\n</div>")
    style = _PICTURES if pictures else ""
    return standing_alone(
        body, title=title, language=language, skip=skip, links=links, style=style, pictures=pictures
    )


def standing_alone(
    body: str,
    *,
    title: str,
    language: Language,
    skip: str,
    links: Sequence[tuple[str, str, str]] = (),
    style: str = "",
    pictures: bool = False,
) -> str:
    """A page around a body that is HTML already, with all that people wrote escaped; `style` adds to ours."""
    policy = "default-src 'none'; style-src 'unsafe-inline'" + ("; img-src 'self' data:" if pictures else "")
    head = "".join(
        f'<a href="{html.escape(address)}" lang="{there}" hreflang="{there}">{html.escape(words)}</a>'
        for address, words, there in links
    )
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#content">{html.escape(skip)}</a>\n'
        + (f"<nav>{head}</nav>\n" if head else "")
        + f'<main id="content">\n{body}</main>\n</body>\n</html>\n'
    )


def _make_accessible(tokens: "Sequence[Token]") -> None:
    """Tables: scroll alone, name their rows and columns. Quotations that are notices look like it."""
    place = 0
    for number, token in enumerate(tokens):
        if token.type == "thead_open":
            place = -1
        elif token.type == "tr_open":
            place = 0
        elif token.type == "th_open":
            token.attrSet("scope", "col")
            _align(token)
        elif token.type == "td_open":
            _align(token)
            if place == 0:
                token.tag = "th"
                token.attrSet("scope", "row")
        elif token.type == "td_close":
            if place == 0:
                token.tag = "th"
            place += 1
        elif token.type == "blockquote_open" and _first_words(tokens, number).startswith("**"):
            token.attrSet("class", NOTICE)
        elif token.type == "paragraph_open" and _first_words(tokens, number).startswith("*("):
            token.attrSet("class", GAP)


def _align(token: "Token") -> None:
    # markdown-it writes style="text-align:right", which no policy without inline styles would let through.
    if token.attrs.pop("style", "") == "text-align:right":
        token.attrSet("class", "right")


def _first_words(tokens: "Sequence[Token]", number: int) -> str:
    return next((token.content for token in tokens[number:] if token.type == "inline"), "")
