"""Read the words that no reference accounts for: what they restrict, what they leave unclear, what they name."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from fonderie.licences.overlay import DESCRIBED
from fonderie.licences.restrictions import RULES
from fonderie.licences.texts import reference_names, reference_texts
from fonderie.licences.verdict import Status, identify, judge
from fonderie.licences.words import Span, Words, fold, split, word_set

LONGEST_SENTENCE = 400
"""Words read as one sentence; a longer one is read in overlapping pieces."""

_OVERLAP = 40

_AROUND = 60
"""Characters around a match in which a rule's exception is looked for."""

_CONCERN = re.compile(
    r" (?:must|shall|cannot|only|solely|exclusively|unless|except|excluding|provided|conditions?|subject|"
    r"restrict\w*|limit|limits|"
    r"limited|prohibit\w*|forbid\w*|forbidden|not|no|never|nor|neither|without|require\w*|agree|agrees|agreed|"
    r"accept\w*|consent\w*|"
    r"permission\w*|fees?|pay\w*|royalt\w*|terminat\w*|revo[ck]\w*|indemnif\w*|comply\w*|compliance|oblig\w*|"
    r"purposes?|"
    r"polic(?:y|ies)|terms|laws?|export|commercial\w*|military|"
    r"weapons?|surveillance|harm\w*|illegal\w*|unlawful\w*|ethic\w*|users|revenues?|competit\w*|competing|"
    r"prior|"
    r"doit|doivent|devez|devra|seule?s?|seulement|uniquement|exclusivement|sauf|reserve|restreint\w*|"
    r"limite\w*|interdi\w*|"
    r"exige\w*|autoris\w*|resili\w*|redevances?|pas|ne|aucune?|jamais|sans|politique|usages?|utilisation|fins|"
    r"commercial\w*|"
    r"militaire\w*|armes?|engage\w*|respect\w*|conforme\w*|proscri\w*|prohib\w*|"
    r"(?:for|pour|in|en|a|aux?) (?:\w+ ){0,2}(?:research|academic|educational|personal|private|evaluation|"
    r"teaching|internal|"
    r"recherche|enseignement|prive\w*|personnel\w*|interne))(?= )"
)
"""Words of duty, condition, refusal and field of use: a sentence with one, that no rule understands, is unclear."""

_BENIGN = tuple(
    re.compile(pattern)
    for pattern in (
        r"^ (?:portions )?(?:copyright|c|copyrights|spdx) ",
        r"^ all rights reserved $|^ tous droits reserves $",
        r" (?:warrant\w*|liab\w*|merchantab\w*|as is|garantie?s?|responsab\w*) ",
        r" (?:names?|trademarks?|logos?|marques?) .*(?:endors\w*|promot\w*|trademarks?|marques?) ",
        r" (?:trademarks?|registered trademarks?|marque deposee) (?:of|de) ",
        r" (?:see|voir|consult\w*|refer to|read) (?:\w+ ){0,6}(?:file|files|fichier|fichiers|license|notice|"
        r"copying|authors|readme|"
        r"details|details|below|above|https?) ",
        r"^ (?:the )?(?:following|above) (?:\w+ ){0,4}(?:notices?|licenses?|terms|components?|"
        r"files?) (?:appl\w*|cover\w*|is|are) ",
        r"^ (?:\w+ ){0,6}(?:uses|includes|contains|incorporates|bundles) (?:\w+ ){0,12}(?:under|which is|"
        r"licensed) (?:\w+ ){0,12}$",
        r"^ (?:third party|additional|other) (?:\w+ ){0,4}(?:notices?|licenses?|software|components?|terms) $",
        r"^ terms and conditions $",
    )
)
"""Sentences that bind nobody's use: notices, disclaimers, names and marks, pointers, headings."""

_HEADERS = (
    "Apache-2.0",
    "GPL-2.0-only",
    "GPL-3.0-only",
    "LGPL-2.1-only",
    "LGPL-3.0-only",
    "AGPL-3.0-only",
    "MPL-2.0",
)
"""Licences whose own texts hold the header that files carry."""

_UNDER = re.compile(
    r" (?:(?:licensed|released|distributed|available|published|provided|governed|covered|"
    r"offered) (?:\w+ ){0,3}(?:under|by)|"
    r"terms of|subject to|under (?:the|a|an)|license(?:d)? (?:is|as)|license|"
    r"(?:sous|selon|suivant) (?:les termes de )?(?:la |une )?license) "
)

_FILLER = word_set(
    "the a an of to and or in for by on with is are be this that these such any you your le la les de des du et"
)

_READABLE = word_set(
    "the of to and or in for by on with is are be this that it as at from under not you your we our all any "
    "may can must only no "
    "use license copyright le la les un une de des du et ou dans pour par sur avec est sont ce cette ces il "
    "elle que qui en au aux "
    "vous votre nous notre tout toute ne pas sous sans"
)
"""Function words by which English and French are known."""

_OTHER_SCRIPT = re.compile(r"[\u0370-\u1dff\u2c00-\ud7ff\uf900-\ufaff]")


class Finding(NamedTuple):
    """What one sentence says."""

    status: Status
    reason: str
    excerpt: str


def read(words: Words, fresh: Sequence[bool], references: Sequence[str]) -> Iterator[Finding]:
    """Findings in the sentences that hold fresh words; `references` are the licences found in the text."""
    known = _known(tuple(dict.fromkeys([*references, *_HEADERS])))
    for span, ends_open in _pieces(words):
        new = [
            place for place in range(span.first, span.last) if fresh[place] and words.words[place] not in _FILLER
        ]
        if not new or (span.last - span.first >= 4 and known(words.said(span))):
            continue
        finding = _restricting(words, span, set(new))
        if finding is None and ends_open is not None:
            finding = _restricting(words, Span(span.first, ends_open), set(new))
        yield from [finding] if finding else _unclear(words, span, new)


def deciding(words: Words, span: Span) -> str:
    """The first sentence of a span that restricts, else its first whole sentence."""
    inside = [
        sentence for sentence in words.sentences if span.first <= sentence.first and sentence.last <= span.last
    ]
    for sentence in inside:
        piece = Span(sentence.first, min(sentence.last, sentence.first + LONGEST_SENTENCE))
        if finding := _restricting(words, piece, set(range(*piece))):
            return finding.excerpt
    whole = [sentence for sentence in inside if sentence.last - sentence.first >= 4]
    return words.excerpt(whole[0] if whole else span)


def named(words: Words, span: Span) -> list[str]:
    """The licences that a sentence names, by SPDX name, identifier or a name of the overlay."""
    names = _names()
    written = words.text[words.starts[span.first] : words.ends[span.last - 1] + 1]
    addresses = (identify(address.rstrip(".,;)>\"'")) for address in _ADDRESS.findall(written))
    found, place = [identifier for identifier in addresses if identifier], span.first
    while place < span.last:
        for length in range(min(12, span.last - place), 0, -1):
            identifier = names.get(tuple(words.words[place : place + length]))
            if identifier:
                found.append(identifier)
                place += length
                break
        else:
            place += 1
    return list(dict.fromkeys(found))


def _pieces(words: Words) -> Iterator[tuple[Span, int | None]]:
    """Sentences of bounded length; one that ends in a colon comes with the end of the list item after it."""
    sentences = words.sentences
    for number, sentence in enumerate(sentences):
        after = words.text[words.ends[sentence.last - 1] : words.ends[sentence.last - 1] + 2]
        following = sentences[number + 1].last if ":" in after and number + 1 < len(sentences) else None
        for first in range(sentence.first, sentence.last, LONGEST_SENTENCE - _OVERLAP):
            last = min(first + LONGEST_SENTENCE, sentence.last)
            yield Span(first, last), min(following, last + 60) if following and last == sentence.last else None
            if last == sentence.last:
                break


def _restricting(words: Words, span: Span, new: set[int]) -> Finding | None:
    said = words.said(span)
    for rule in RULES:
        for match in rule.pattern.finditer(said):
            around = said[max(match.start() - _AROUND, 0) : match.end() + _AROUND]
            if rule.unless and rule.unless.search(around):
                continue
            first = span.first + said.count(" ", 0, match.start())
            last = first + match.group().count(" ")
            if any(place in new for place in range(first, last)):
                return Finding("restricted", f"a sentence {rule.reason}", words.excerpt(span))
    return None


def _unclear(words: Words, span: Span, new: list[int]) -> Iterator[Finding]:
    said = words.said(span)
    written = words.text[words.starts[span.first] : words.ends[span.last - 1]]
    line = words.excerpt(span)
    notice = any(pattern.search(said) for pattern in _BENIGN[:2])
    if not notice and _unreadable(written, new):
        yield Finding("unknown", "a sentence is in a language that no rule reads", line)
        return
    if _UNDER.search(said):
        licences = named(words, span)
        for licence in licences:
            verdict = judge(licence)
            if verdict.status != "free":
                yield Finding(verdict.status, f"a sentence names {licence}: {verdict.reason}", line)
    said = _FREEING.sub(lambda match: " x" * match.group().count(" "), said)
    if any(pattern.search(said) for pattern in _BENIGN):
        return
    for match in _CONCERN.finditer(said):
        place = span.first + said.count(" ", 0, match.start())
        if place in new:
            yield Finding("unknown", "a sentence sets a condition that no rule understands", line)
            return
    if _REFERS.search(said) and not named(words, span):
        yield Finding("unknown", "a sentence refers to terms that are not in the text", line)


_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+")

_FREEING = re.compile(
    r" (?:commercial\w* (?:and|or|et|ou|as well as) non ?commercial\w*|non ?commercial\w* (?:and|or|et|ou|"
    r"as well as) commercial\w*|"
    r"(?:a des fins )?commercial\w* ou non(?: commercial\w*)?|for any purposes?|for all purposes|"
    r"pour tout usage|sans restrictions?|without restrictions?|"
    r"no (?:\w+ ){0,2}restrictions? (?:is |are )?(?:on|to) (?:\w+ ){0,3}(?:uses?|commercial uses?))(?= )"
)
"""Phrases that give, in the words of a restriction."""

_REFERS = re.compile(
    r" (?:licensed|released|distributed|governed|covered) (?:\w+ ){0,2}(?:under|by) | terms of (?:use|"
    r"service) |"
    r" sous (?:la |une )?license | conditions (?:generales )?d utilisation "
)


def _unreadable(written: str, new: list[int]) -> bool:
    """Whether a sentence is in another script, or long and without the small words of English and French."""
    if len(_OTHER_SCRIPT.findall(written)) > 3:
        return True
    found = re.findall(r"[^\W\d_]+", _ADDRESS.sub(" ", written))
    lower = sum(word.islower() for word in found)
    return bool(new) and lower >= 4 and sum(fold(word) in _READABLE for word in found) * 12 < len(found)


@cache
def _known(identifiers: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a sentence stands word for word in the text of a free licence among these."""
    texts = reference_texts()
    free = [
        f" {' '.join(split(texts[name]))} "
        for name in identifiers
        if name in texts and judge(name).status == "free"
    ]
    return lambda said: any(said in text for text in free)


@cache
def _names() -> dict[tuple[str, ...], str]:
    """Words of a name or identifier, to the licence; of one word only where nothing else is called so."""
    result: dict[tuple[str, ...], str] = {}
    for identifier, name in reference_names().items():
        for spelling in (name, identifier):
            words = tuple(split(spelling))
            if len(words) > 1 or spelling in _SINGLE:
                result.setdefault(words, identifier)
            if words[:1] == ("the",):
                result.setdefault(words[1:], identifier)
            digits = next((place for place, word in enumerate(words) if word.isdigit()), 0)
            if digits > 1:
                result.setdefault((*words[:digits], "version", *words[digits:]), identifier)
            if "version" in words or "v" in words:
                result.setdefault(tuple(word for word in words if word not in ("version", "v")), identifier)
    for licence in DESCRIBED:
        for name in licence.names:
            result.setdefault(tuple(split(name)), licence.identifier)
    return result


_SINGLE = ("MIT", "ISC", "Zlib", "Unlicense", "WTFPL", "0BSD")


def references(words: Words) -> list[str]:
    """The licences that a text names anywhere, in its order."""
    return [licence for span in words.sentences for licence in named(words, span)]
