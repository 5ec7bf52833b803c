"""Read the words that no reference accounts for: what they restrict, what they leave unclear, what they name."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from fonderie.licences.overlay import DESCRIBED
from fonderie.licences.restrictions import RULES
from fonderie.licences.texts import reference_names, reference_texts
from fonderie.licences.verdict import Status, identify, judge
from fonderie.licences.vocabulary import ADDRESS, DESCRIPTIVE, FOREIGN, NAMING, READABLE
from fonderie.licences.words import FUNCTION_WORDS, Span, Words, fold, split, word_set

LONGEST_SENTENCE = 400
"""Words read as one sentence; a longer one is read in overlapping pieces."""

_OVERLAP = 40

_AROUND = 60
"""Characters around a match in which a rule's exception is looked for."""

_CONCERN = re.compile(
    r"^ (?:send|pay|e ?mail|notify|inform|register|cite|credit|acknowledge|donate|buy|include|keep|retain|"
    r"return|share|"
    r"contribute|delete|destroy|report|ask|mention|display|provide|give|publish|submit|sign|link|envoye[rz]|"
    r"payez|citez|"
    r"conserve[rz]|supprime[rz]|veuillez|signale[rz]|mentionne[rz]) |"
    r" (?:(?:you|users?|licensees?|anyone) (?:will|have to|need to|ought|are to|has to)|il faut|"
    r"tenue?s? (?:de|a)|"
    r"must|shall|cannot|only|solely|exclusively|unless|except|excluding|provided|conditions?|subject|"
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

_OTHER_SCRIPT = re.compile(r"[\u0370-\u1dff\u2c00-\ud7ff\uf900-\ufaff]")


class Finding(NamedTuple):
    """What one sentence says."""

    status: Status
    reason: str
    excerpt: str


def read(words: Words, fresh: Sequence[bool], found: Sequence[tuple[str, Span]]) -> Iterator[Finding]:
    """Findings in the sentences that hold fresh words; `found` are the licences in the text, and where."""
    known = _known(tuple(dict.fromkeys([*(name for name, _ in found), *_HEADERS])))
    inside = bytearray(len(words))
    for _, window in found:
        inside[window.first : window.last] = b"\1" * (window.last - window.first)
    for span, ends_open in _pieces(words):
        new = {
            place for place in range(span.first, span.last) if fresh[place] and words.words[place] not in _FILLER
        }
        if not new or (span.last - span.first >= 4 and known(words.said(span))):
            continue
        finding = _restricting(words, span, new)
        if finding is None and ends_open is not None:
            finding = _restricting(words, Span(span.first, ends_open), new)
        findings = [finding] if finding else list(_unclear(words, span, new))
        if not findings:
            within = bool(inside[span.first] and inside[span.last - 1])
            findings = list(_strange(words, span, fresh, within=within))
        yield from findings


def _strange(words: Words, span: Span, fresh: Sequence[bool], *, within: bool) -> Iterator[Finding]:
    """A whole sentence of no known kind: rules know words, and a restriction may be said without any of theirs."""
    written = words.text[words.starts[span.first] : words.ends[span.last - 1]]
    added = sum(fresh[span.first : span.last])
    if added < 0.8 * (span.last - span.first) or _is_benign(words.said(span)):
        return
    if within and len(ADDRESS.sub(" ", written).split()) >= 5:
        yield Finding("unknown", "a sentence was put into the text of the licence", words.excerpt(span))
    elif len(_not_descriptive(written, words.said(span))) > 1:
        yield Finding("unknown", "a sentence does more than describe, name or point", words.excerpt(span))


def _not_descriptive(written: str, said: str) -> list[str]:
    """Words of a sentence that are neither names, nor describe a work, nor give; none if the sentence is a list."""
    found = re.findall(r"[^\W\d_]+", ADDRESS.sub(" ", written))
    plain_words = [fold(word) for word in found]
    if not any(word in FUNCTION_WORDS for word in plain_words):
        return []
    # The first word of a sentence has a capital whatever it is.
    common = {place for place, word in enumerate(found) if word.islower() or place == 0}
    giving = {word for match in _FREEING.findall(said) for word in match.split()}
    shouted = not any(word.islower() for word in found)
    return [
        word
        for place, word in enumerate(plain_words)
        if (shouted or place in common) and len(word) > 1 and word not in DESCRIPTIVE | giving
    ]


def _is_benign(said: str) -> bool:
    return any(pattern.search(said) for pattern in _BENIGN)


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
    addresses = (identify(address.rstrip(".,;)>\"'")) for address in ADDRESS.findall(written))
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


def _unclear(words: Words, span: Span, new: set[int]) -> Iterator[Finding]:
    said = words.said(span)
    written = words.text[words.starts[span.first] : words.ends[span.last - 1]]
    line = words.excerpt(span)
    notice = any(pattern.search(said) for pattern in _BENIGN[:2])
    if not notice and _unreadable(written):
        yield Finding("unknown", "a sentence is in a language that no rule reads", line)
        return
    if _UNDER.search(said):
        licences = named(words, span)
        for licence in licences:
            verdict = judge(licence)
            if verdict.status != "free":
                yield Finding(verdict.status, f"a sentence names {licence}: {verdict.reason}", line)
    said = _FREEING.sub(lambda match: " x" * match.group().count(" "), said)
    if _is_benign(said):
        return
    for match in _CONCERN.finditer(said):
        first = span.first + said.count(" ", 0, match.start())
        if any(place in new for place in range(first, first + match.group().strip().count(" ") + 1)):
            yield Finding("unknown", "a sentence sets a condition that no rule understands", line)
            return
    if _REFERS.search(said) and not named(words, span):
        yield Finding("unknown", "a sentence refers to terms that are not in the text", line)


_FREEING = re.compile(
    r" (?:commercial\w* (?:and|or|et|ou|as well as) non ?commercial\w*|non ?commercial\w* (?:and|or|et|ou|"
    r"as well as) commercial\w*|"
    r"(?:a des fins )?commercial\w* ou non(?: commercial\w*)?|for any purposes?|for all purposes|"
    r"pour tout usage|sans restrictions?|without restrictions?|"
    r"no (?:\w+ ){0,2}restrictions? (?:is |are )?(?:on|to) (?:\w+ ){0,3}(?:uses?|commercial uses?))(?= )"
)
"""Phrases that give, in the words of a restriction."""

_REFERS = re.compile(
    r" (?:licensed|released|distributed|governed|covered) (?:under|by)(?! (?:the |la )?(?:following|this|same|"
    r"above|terms) ) | terms of (?:use|"
    r"service) |"
    r" sous (?:la |une )?license | conditions (?:generales )?d utilisation "
)


def _unreadable(written: str) -> bool:
    """Whether a sentence is in another script, or long and without the small words of English and French."""
    if len(_OTHER_SCRIPT.findall(written)) > 3:
        return True
    found = re.findall(r"[^\W\d_]+", ADDRESS.sub(" ", written))
    lower = sum(word.islower() for word in found)
    readable, foreign = (sum(fold(word) in known for word in found) for known in (READABLE, FOREIGN))
    return lower >= 4 and (readable * 8 < len(found) or (foreign >= 2 and foreign > readable))


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


def beside_names(words: Words, names: Sequence[str]) -> str | None:
    """The first sentence that does more than name licences: what is named with a condition is not what is named."""
    known = _known(tuple(dict.fromkeys([*names, *_HEADERS])))
    for span in words.sentences:
        said = words.said(span)
        if known(said) or _BENIGN[0].search(said) or _BENIGN[1].search(said):
            continue
        for place in range(span.first, span.last):
            word = words.words[place]
            is_name = words.text[words.starts[place]].isupper() and word not in FUNCTION_WORDS
            if word not in NAMING and not word.isdigit() and not is_name:
                line = words.excerpt(span)
                if word not in "".join(ADDRESS.findall(line)).lower():
                    return line
    return None
