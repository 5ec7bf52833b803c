"""Judge the text of a licence: what it is, and what it adds to that.

Similarity is no verdict: "MIT, for non-commercial use only" is 98 % MIT. So a text is compared word by word with
the reference it resembles, and every word that the reference does not account for is read. Free means: all of the
reference is there, and nothing besides restricts use. What cannot be read for sure is unknown, never free.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fonderie.licences.match import MAX_CLAIMS, Claim, index
from fonderie.licences.overlay import recognise
from fonderie.licences.reading import Finding, beside_names, deciding, read, references
from fonderie.licences.residue import MIN_KEPT, Residue, closest
from fonderie.licences.verdict import Status, judge
from fonderie.licences.words import Span, Words

LONGEST_TEXT = 500_000
"""Characters read: ten times the longest SPDX text. A longer file is judged by its head, and then never free."""

MOST_REASONS = 12
"""Reasons given; a restricted one is always among them."""

SHORT_TEXT = 250
"""Words up to which a text may name a licence instead of quoting it (an identifier, a header, a link)."""

_EXPRESSION = re.compile(r"[\w.+()-]{1,80}(?: (?:AND|OR|WITH) [\w.+()-]{1,80}){0,9}")

_RANKS: tuple[Status, ...] = ("restricted", "unknown", "free")


class TextVerdict(NamedTuple):
    """What a licence text allows."""

    licence: str | None
    """SPDX identifier or LicenseRef of the licence that most of the text is; None if it is none we know."""
    similarity: float
    """Dice's coefficient over word bigrams between that part and its reference, 0 to 1. Not a verdict."""
    status: Status
    reasons: tuple[str, ...]
    """Why, the gravest first."""
    excerpts: tuple[str, ...]
    """The sentences that decided, as written; empty if the text is free."""


def judge_text(text: str) -> TextVerdict:
    """Judge a licence text, offline, in bounded time whatever it holds."""
    words = Words(text[:LONGEST_TEXT])
    if not len(words):
        return TextVerdict(None, 0.0, "unknown", ("the text is empty",), ())
    said = " ".join(words.text.split()).removeprefix("SPDX-License-Identifier:").strip()
    if _EXPRESSION.fullmatch(said) and (whole := judge(said)).status != "unknown":
        deciding_name = () if whole.status == "free" else (said,)
        return TextVerdict(whole.licence, 0.0, whole.status, (f"by name only: {whole.reason}",), deciding_name)
    pairs = [closest(words, claim) for claim in index().claims(words)]
    claims, residues = [claim for claim, _ in pairs], [residue for _, residue in pairs]
    described = recognise(words)
    if described and described.licence.status == "unknown" and len(words) <= SHORT_TEXT:
        described = None
    findings = [*_of_claims(words, claims, residues)]
    claimed = {claim.reference.identifier for claim in claims}
    if described and described.licence.identifier not in claimed:
        findings.append(Finding(described.licence.status, described.licence.reason, described.excerpt))
    findings += read(words, _fresh(words, residues), _found(claims, residues))
    licence, similarity = _main(claims)
    if described and described.licence.status == "restricted":
        licence = described.licence.identifier
    if not claims and not described:
        licence, more = _named(words)
        findings += more
    if len(text) > LONGEST_TEXT or len(claims) == MAX_CLAIMS:
        findings.append(Finding("unknown", f"only the first {LONGEST_TEXT:,} characters were read", ""))
    return _verdict(licence, similarity, findings, claims)


def _of_claims(words: Words, claims: list[Claim], residues: list[Residue]) -> Iterator[Finding]:
    for claim, residue in zip(claims, residues, strict=True):
        name = claim.reference.identifier
        verdict = judge(name)
        if verdict.status != "free":
            yield Finding(verdict.status, f"{name}: {verdict.reason}", deciding(words, claim.window))
        if residue.kept < MIN_KEPT:
            yield Finding("unknown", f"only {residue.kept:.0%} of the text of {name} is there", "")
        for sentence in residue.taken:
            yield Finding("unknown", f"words of {name} that give or deny something are missing", sentence)
        for span in residue.narrowed:
            yield Finding("unknown", f"words were put into what {name} grants", words.excerpt(span))


def _found(claims: list[Claim], residues: list[Residue]) -> list[tuple[str, Span]]:
    """Each licence in the text, from its first run of words to its last."""
    found = []
    for claim, residue in zip(claims, residues, strict=True):
        runs = [span for span in residue.same if span.last - span.first >= 6] or [claim.window]
        found.append((claim.reference.identifier, Span(runs[0].first, runs[-1].last)))
    return found


def _fresh(words: Words, residues: list[Residue]) -> list[bool]:
    """True for each word that no reference accounts for."""
    fresh = np.ones(len(words), dtype=bool)
    for residue in residues:
        for span in residue.same:
            fresh[span.first : span.last] = False
    return [bool(value) for value in fresh]


def _main(claims: list[Claim]) -> tuple[str | None, float]:
    if not claims:
        return None, 0.0
    largest = max(claims, key=lambda claim: claim.window.last - claim.window.first)
    return largest.reference.identifier, round(largest.similarity, 4)


def _named(words: Words) -> tuple[str | None, list[Finding]]:
    """The licence that a short text names, and what its terms are."""
    names = references(words) if len(words) <= SHORT_TEXT else []
    if not names:
        return None, [Finding("unknown", "the text is none of the known licences", "")]
    verdicts = [judge(name) for name in dict.fromkeys(names)]
    findings = [Finding(v.status, f"{v.licence}, by name only: {v.reason}", "") for v in verdicts]
    if (more := beside_names(words, names)) is not None:
        findings.append(Finding("unknown", "a licence is named, with words that no rule understands", more))
    return names[0], findings


def _verdict(licence: str | None, similarity: float, findings: list[Finding], claims: list[Claim]) -> TextVerdict:
    status: Status = min((finding.status for finding in findings), key=_RANKS.index, default="free")
    findings.sort(key=lambda finding: _RANKS.index(finding.status))
    if status != "free":
        findings = [finding for finding in findings if finding.status != "free"]
    reasons = list(dict.fromkeys(finding.reason for finding in findings))
    if status == "free" and claims:
        for name in dict.fromkeys(claim.reference.identifier for claim in claims):
            reasons.append(f"{name}: {judge(name).reason}; nothing besides it restricts use")
    excerpts = dict.fromkeys(finding.excerpt for finding in findings if finding.excerpt)
    return TextVerdict(licence, similarity, status, tuple(reasons[:MOST_REASONS]), tuple(excerpts)[:MOST_REASONS])
