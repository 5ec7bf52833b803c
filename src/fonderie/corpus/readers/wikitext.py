"""Wikitext to running text, in one pass and in linear time (MediaWiki help, "Formatting", "Links", "Tables").

Templates, tables, references, files and categories are left out: what they show depends on the wiki, not the page.
Why not mwparserfromhell: docs/decisions/0021-readers.md has its speed, and what hostile pages do to it.
"""

import html
import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"\{\{|\}\}|^[ \t:]*\{\||\|\}|\[\[|\]\]|<!--"
    r"|<(?P<tag>nowiki|pre|ref|gallery|math|chem|timeline|score|syntaxhighlight|source|graph|imagemap|templatestyles|"
    r"templatedata|mapframe|maplink|inputbox|categorytree|section|references)\b[^<>]{0,1000}>",
    re.IGNORECASE | re.MULTILINE,
)
_CLOSES = {"}}": "{{", "|}": "{|"}
_LITERAL = ("nowiki", "pre")
"""Elements whose content shows as it is written; that of the others in the pattern does not show."""
_DEEPEST = 100
"""What is nested deeper opens nothing: articles nest ten deep, and joining each level's text costs its depth."""

_EXTERNAL = re.compile(r"\[(?:https?:|ftp:|mailto:)?//[^\s\[\]]{0,2000}(?:[ \t]([^\[\]\n]{0,1000}))?\]")
_BREAK = re.compile(r"<(?:br|hr|/?p|/?div|/?blockquote|/?poem|/li)\b[^<>]{0,1000}>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]{0,1000}>", re.IGNORECASE)
_QUOTES = re.compile(r"'{2,}")
_SWITCH = re.compile(r"__[^\W\d_]{2,30}__")
_EMPTY_BRACKETS = re.compile(r" ?\([\s,;:]{0,10}\)")
_SPACES = re.compile(r"[ \t]{2,}")
_BLANK_LINES = re.compile(r"\n{3,}")
_LIST = re.compile(r"[*#:;]+[ \t]*")
_INTERWIKI = re.compile(r"[a-z]{2,3}(?:-[a-z]{2,12}){0,3}")
_RESERVED = str.maketrans({mark: f"&#{ord(mark)};" for mark in "&<>'[]{}|=*#:;_"})


def plain_text(wikitext: str, hidden: set[str]) -> str:
    """What a reader sees as running text; `hidden` are namespaces (case folded) whose links show none.

    Headings stand alone between blank lines, items of lists begin with a hyphen.
    """
    text = _TAG.sub("", _BREAK.sub("\n", _EXTERNAL.sub(r"\1", _without_nested(wikitext, hidden))))
    text = _EMPTY_BRACKETS.sub("", _SWITCH.sub("", text))
    lines = "\n".join(_line(_without_quotes(line.strip())) for line in text.split("\n"))
    return _SPACES.sub(" ", html.unescape(_BLANK_LINES.sub("\n\n", lines))).strip()


def _without_quotes(line: str) -> str:
    """A line without the marks of bold (three) and italics (two), by MediaWiki's own rules.

    Four are an apostrophe and bold, more than five end with both. Where bold and italics are both left open, one
    bold is an apostrophe and italics: "l'''Iliade''" is the Iliad with its article, a common sight in French.
    """
    if "''" not in line:
        return line
    marks = [(mark.start(), mark.end() - mark.start()) for mark in _QUOTES.finditer(line)]
    bold = [at + size - 3 for at, size in marks if size in (3, 4)]
    both = sum(size >= 5 for _, size in marks)
    italics = sum(size == 2 for _, size in marks)
    apostrophe = (
        _closest_apostrophe(line, bold) if (len(bold) + both) % 2 and (italics + both) % 2 and bold else None
    )
    kept: list[str] = []
    end = 0
    for at, size in marks:
        extra = max(size - 5, 0) if size != 4 else 1
        kept += [line[end:at], "'" * (extra + (apostrophe == at + size - 3 and size in (3, 4)))]
        end = at + size
    return "".join([*kept, line[end:]])


def _closest_apostrophe(line: str, bold: list[int]) -> int:
    """The bold mark after a word of one letter, else after a word, else the first."""
    after_letter = (at for at in bold if at > 0 and line[at - 1] != " " and (at == 1 or line[at - 2] == " "))
    after_word = (at for at in bold if at > 0 and line[at - 1] != " ")
    return next(after_letter, next(after_word, bold[0]))


def _line(line: str) -> str:
    if line.startswith("=") and line.endswith("=") and len(line) > 4:
        return f"\n{line.strip('= ')}\n"
    if line.startswith("----"):
        return ""
    mark = _LIST.match(line)
    if mark is None:
        return line
    rest = line[mark.end() :]
    return f"- {rest}" if rest and mark[0].strip()[-1] in "*#" else rest


@dataclass(slots=True)
class _Open:
    """An opening that waits for its end, and what was read since."""

    token: str
    parts: list[str] = field(default_factory=list)


def _without_nested(wikitext: str, hidden: set[str]) -> str:
    """Without templates, tables and elements that show nothing, and with links as they show.

    An opening without an end is text. Every position is passed once: the search for the end of an element that has
    none is made once per name.
    """
    stack = [_Open("")]
    endless: set[str] = set()
    at = 0
    while match := _TOKEN.search(wikitext, at):
        stack[-1].parts.append(wikitext[at : match.start()])
        at = match.end()
        token = match[0].lstrip(" \t:")
        if token in ("{{", "{|", "[["):
            if len(stack) <= _DEEPEST:
                stack.append(_Open(token))
            else:
                stack[-1].parts.append(token)
        elif token == "]]":
            _close_link(stack, hidden)
        elif token in _CLOSES:
            at -= _close_block(stack, token)
        else:
            at = _skip_element(wikitext, match, stack, endless)
    stack[-1].parts.append(wikitext[at:])
    return "".join(part for opened in stack for part in (opened.token, *opened.parts))


def _close_link(stack: list[_Open], hidden: set[str]) -> None:
    if stack[-1].token == "[[":
        link = "".join(stack.pop().parts)
        stack[-1].parts.append(_link(link, hidden))
    else:
        stack[-1].parts.append("]]")


def _close_block(stack: list[_Open], token: str) -> int:
    """End a template or table with all that is open within; returns how many characters to read again."""
    if all(opened.token != _CLOSES[token] for opened in stack):
        if token == "|}":
            stack[-1].parts.append("|")
            return 1  # {{a|}} ends with two braces
        stack[-1].parts.append(token)
        return 0
    if token == "|}" and stack[-1].token == "{{":
        return 1
    while stack.pop().token != _CLOSES[token]:
        pass
    return 0


def _skip_element(wikitext: str, match: re.Match[str], stack: list[_Open], endless: set[str]) -> int:
    """Pass a comment or an element that shows nothing or is literal; returns where to go on."""
    name = (match["tag"] or "").lower()
    if name and match[0].endswith("/>"):
        return match.end()
    end = f"</{name}" if name else "-->"
    close = (
        None
        if end in endless
        else re.compile(rf"{end}[^<>]{{0,100}}>" if name else end, re.I).search(wikitext, match.end())
    )
    if close is None:
        endless.add(end)
        return match.end()
    if name in _LITERAL:
        stack[-1].parts.append(wikitext[match.end() : close.start()].translate(_RESERVED))
    return close.end()


def _link(link: str, hidden: set[str]) -> str:
    """What a link shows: its words, else its target; nothing for a file, a category or the same page elsewhere."""
    target, bar, words = link.partition("|")
    prefix, colon, _ = target.partition(":")
    name = prefix.strip().replace("_", " ").casefold()
    # [[en:Paris]] is the article in another language and shows nothing; [[:en:Paris]] is a link and shows.
    if colon and (name in hidden or _INTERWIKI.fullmatch(prefix.strip())):
        return ""
    return words if bar and words.strip() else target.lstrip(":")
