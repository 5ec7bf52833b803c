"""What a text says beside the reference it resembles: words added, and permissions taken away.

The alignment is a longest common subsequence of words (RapidFuzz, bit-parallel: the largest licence against itself
takes milliseconds, and no text makes it worse than the product of both lengths over 64).
"""

import re
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from fonderie.licences.match import Claim
from fonderie.licences.texts import reference_texts
from fonderie.licences.words import FUNCTION_WORDS, Span, Words, word_set

MIN_KEPT = 0.9
"""Share of a reference's words, optional parts aside, that must stand in the text. Names of holders and small edits
stay above it; a licence with a section cut out does not."""

_GRANT = re.compile(
    r" (?:hereby (?:granted|grants?)|grants? (?:to )?(?:you|recipient|licensee|everyone|each|any|a )|"
    r"permission (?:to|is)|(?:are|is) permitted|(?:you|anyone|everyone|licensee|recipient|"
    r"user)s? (?:\w+ ){0,4}may|"
    r"free to|right to|rights to|may be (?:used|copied|sold|distributed|redistributed|reproduced)|"
    r"permet|autorise|concede|accorde|est libre) "
)
"""A sentence of a reference that gives something: what is taken from it, or added to it, changes what is given."""

_NEGATIONS = frozenset({"not", "no", "never", "nor", "without", "neither", "ne", "pas", "sans", "aucun", "aucune"})

_DISCLAIMER = re.compile(
    r" (?:warrant\w*|liab\w*|merchantab\w*|damages?|as is|endors\w*|garantie?s?|responsab\w*|dommages?) "
)

_HARMLESS = word_set(
    "a an and or the this that these those of to in on its it is are be software program library work works "
    "file "
    "files documentation font fonts data dataset database model models weights code source materials product "
    "package and associated accompanying copyright c tm le la les de du des et ou ce cette d l"
)
"""Words that may come into a grant without taking anything from it."""

_HARMLESS_LOSS = _HARMLESS - word_set("source code weights data all")
"""Words that may go from a grant: articles, and the name of the work."""

_BEFORE_NAMES = word_set("of the this these using le la les ce cette")

_TAIL = re.compile(
    r"end of (?:the )?terms and conditions|how to apply (?:these|the)|appendix how to apply|"
    r"creative commons is not a party to|creative commons may be contacted|exhibit [ab] |"
    r"addendum how to use|how to use this license for your"
)
_PREAMBLE = (" creative commons corporation ", " section 1 definitions ")
_PLACEHOLDER = re.compile(r"<[^<>\n]{1,60}>|\[[^\[\]\n]{1,60}\]|\{[^{}\n]{1,60}\}")
_NOTICE = re.compile(
    r"(?im)^[ \t>*/#]*(?:portions )?(?:copyright (?:\(c\)|©|\d|<|\[|by\b)|\(c\)|©|all rights reserved).*$"
)


@dataclass(frozen=True)
class Residue:
    """How a window of the text differs from its reference."""

    same: tuple[Span, ...]
    """Runs of words of the text that are the reference's own, in its order."""
    kept: float
    """Share of the reference's words, optional parts aside, that stand in the text."""
    distance: int
    """Words added, and words of the reference missing, optional parts aside."""
    taken: tuple[str, ...]
    """Sentences of the reference that give or deny something and stand in the text only in part, each with what
    is missing between square brackets."""
    narrowed: tuple[Span, ...]
    """Words of the text put into a sentence of the reference that gives something."""


@dataclass(frozen=True)
class _Canon:
    words: Words
    optional: np.ndarray
    """True for words that copies leave out or fill in: notices, placeholders, titles, appendices."""
    gives: np.ndarray
    """True for words of a sentence that gives something."""
    sentence: np.ndarray
    """Number of the sentence of each word."""


def closest(words: Words, claim: Claim) -> tuple[Claim, Residue]:
    """The reference, of a claim and its rivals, that the text differs least from; and how it differs."""
    best, residue = claim, compare(words, claim)
    for rival in claim.rivals:
        if residue.distance == 0:
            break
        other = replace(claim, reference=rival)
        its = compare(words, other)
        if its.distance < residue.distance:
            best, residue = other, its
    return best, residue


def compare(words: Words, claim: Claim) -> Residue:
    """Align a claim's window with its reference."""
    from rapidfuzz.distance import Indel

    canon = _canon(claim.reference.identifier)
    mine = words.words[claim.window.first : claim.window.last]
    same, missing, narrowed, added = [], np.zeros(len(canon.words), dtype=bool), [], 0
    for step in Indel.opcodes(canon.words.words, mine):
        first, last = claim.window.first + step.dest_start, claim.window.first + step.dest_end
        if step.tag == "equal":
            same.append(Span(first, last))
        elif step.tag == "delete":
            missing[step.src_start : step.src_end] = True
        else:
            added += last - first
            if _inside_grant(canon, step.src_start) and _narrows(words, Span(first, last)):
                narrowed.append(Span(first, last))
    required = ~canon.optional
    lost = missing & required
    kept = 1 - float(lost.sum() / required.sum()) if required.any() else 1.0
    return Residue(tuple(same), kept, int(lost.sum()) + added, tuple(_taken(canon, lost, words)), tuple(narrowed))


def _inside_grant(canon: _Canon, place: int) -> bool:
    """Whether the gap before word `place` of the reference lies within one sentence that gives something."""
    if not 0 < place < len(canon.words):
        return False
    if canon.optional[place] or canon.optional[place - 1]:
        return False
    return bool(canon.sentence[place] == canon.sentence[place - 1] and canon.gives[place])


def _narrows(words: Words, span: Span) -> bool:
    """Whether added words are more than harmless ones, or the name of the work after "of", "the" or "this"."""
    named = span.first > 0 and words.words[span.first - 1] in _BEFORE_NAMES
    for place in range(span.first, span.last):
        word = words.words[place]
        is_name = named and words.text[words.starts[place]].isupper() and word not in FUNCTION_WORDS
        if word not in _HARMLESS and not word.isdigit() and not is_name:
            return True
    return False


def _taken(canon: _Canon, missing: np.ndarray, words: Words) -> list[str]:
    """Sentences of the reference that have lost a word which gives, or a negation."""
    result = []
    for number in np.unique(canon.sentence[missing]):
        span = canon.words.sentences[int(number)]
        said = canon.words.said(span)
        gives = bool(canon.gives[span.first])
        if said in words.joined or (not gives and _DISCLAIMER.search(said)):
            continue
        lost = [place for place in range(span.first, span.last) if missing[place]]
        if any(_matters(canon.words.words[place], gives) for place in lost):
            result.append(_marked(canon.words, span, set(lost)))
    return result


def _matters(word: str, gives: bool) -> bool:
    """Whether a word that is missing changes what a sentence gives, or what it denies."""
    return word in _NEGATIONS or (gives and word not in _HARMLESS_LOSS)


def _marked(words: Words, span: Span, lost: set[int]) -> str:
    """The words around what is missing, which stands between square brackets."""
    first, last = max(min(lost) - 8, span.first), min(max(lost) + 9, span.last, min(lost) + 40)
    shown = [f"[{words.words[place]}]" if place in lost else words.words[place] for place in range(first, last)]
    return " ".join(shown).replace("] [", " ")


@cache
def _canon(identifier: str) -> _Canon:
    words = Words(reference_texts()[identifier])
    optional = np.zeros(len(words), dtype=bool)
    sentence = np.zeros(len(words), dtype=np.int64)
    gives = np.zeros(len(words), dtype=bool)
    for number, span in enumerate(words.sentences):
        sentence[span.first : span.last] = number
        said = words.said(span)
        gives[span.first : span.last] = bool(_GRANT.search(said)) and not _DISCLAIMER.search(said)
    starts = np.array(words.starts)
    for pattern in (_PLACEHOLDER, _NOTICE):
        for match in pattern.finditer(words.text):
            optional[np.searchsorted(starts, match.start()) : np.searchsorted(starts, match.end())] = True
    first_sentence = words.sentences[0]
    title = words.text[: words.starts[first_sentence.first] + 200].lstrip().split("\n\n", 1)[0]
    if not any(gives[: len(title.split())]) and len(title.split()) <= 16:
        optional[: np.searchsorted(starts, words.text.find(title) + len(title))] = True
    tail = _TAIL.search(words.joined)
    if tail and tail.start() > len(words.joined) // 3:
        optional[words.joined.count(" ", 0, tail.start()) :] = True
    opened, closed = (words.joined.find(mark) for mark in _PREAMBLE)
    if 0 <= opened < closed:
        optional[words.joined.count(" ", 0, opened) : words.joined.count(" ", 0, closed)] = True
    return _Canon(words, optional, gives, sentence)
