"""Open-washing: where a release says two things, or calls itself open and is not. Each with both excerpts.

Words of the card are claims; a tag is a claim too. A claim is held against what binds, and against what is there.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from fonderie.audit.cards import Survey
from fonderie.audit.datasets import DataSet
from fonderie.audit.hub import HUB_NAME, Hub
from fonderie.audit.parse import texts
from fonderie.audit.target import UnreadableError
from fonderie.audit.terms import Term, judge_tag
from fonderie.core.errors import UsageError
from fonderie.release.findings.openness import Criterion, Evidence, Finding
from fonderie.release.folder import plain

Severity = Literal["open-washing", "inconsistency"]
BASES_LIMIT = 4

# What an "open-source" that speaks of something else is followed by.
_OTHER = (
    r"(?!\s+(librar|framework|tool|packag|project|communit|software|code\b|repositor|data|benchmark|alternativ|"
    r"implementation|inference|models?\s+(such|like)|llms?\s+(such|like)|scripts?))"
)
_CLAIM = re.compile(
    r"\bopen[- ]sourced?\b" + _OTHER + r"|\b(fully|truly|completely|really|entirely)[- ]open\b|100\s*%\s*open\b|"
    r"\b(entièrement|pleinement|totalement|vraiment|100\s*%)\s+ouvert|\bmodèle\s+(libre|ouvert)\b|\bcode\s+source\s+ouvert\b",
    re.IGNORECASE,
)
_WHOLE_CLAIM = re.compile(
    r"\b(fully|truly|completely|really|entirely)[- ]open\b|100\s*%\s*open|"
    r"\b(entièrement|pleinement|totalement|vraiment)\s+ouvert",
    re.IGNORECASE,
)
_DATA_CLAIM = re.compile(
    r"\bopen(ly)?([- ](source|licen[cs]ed|available))?\s+(training\s+)?(data|datasets?|corpus|corpora)\b|"
    r"\b(data|datasets?|corpus)\s+(is|are)\s+(fully\s+|all\s+)?(open|public|released|published)|"
    r"\bdonnées\s+(d[’']entraînement\s+)?(ouvertes|libres|publiées)",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"\b(not|isn[’']t|aren[’']t|never|no\s+longer|unlike|cannot|neither|nor|without|n[’']est\s+pas|pas|ni|contrairement)\b"
    r"[^.]{0,60}\b(open|ouvert|libre)",
    re.IGNORECASE,
)
_RESTRICTED_BASES = re.compile(r"(^|[/_-])(code)?(llama[-_ ]?[234]|gemma|falcon[-_]?180b)", re.IGNORECASE)


class Contradiction(BaseModel):
    """Two things that a release says, or says and is, that do not go together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str
    criterion: Criterion
    severity: Severity
    """Open-washing: it calls itself freer than it is. Inconsistency: it says two things, and neither restricts."""
    summary: str
    evidence: tuple[Evidence, ...]
    """Both sides, the claim first."""


@dataclass(frozen=True)
class Facts:
    """What contradictions are looked for in."""

    survey: Survey
    terms: Sequence[Term]
    sets: Sequence[DataSet]
    method: Sequence[Finding]


def find_contradictions(facts: Facts, hub: Hub | None) -> list[Contradiction]:
    """All of them, open-washing first."""
    found = [
        *_tag_against_text(facts),
        *_tag_against_name(facts),
        *_tag_against_hub(facts),
        *_tag_against_base(facts, hub),
        *_open_with_terms(facts),
        *_open_with_data(facts),
        *_open_with_nothing(facts),
    ]
    return sorted(found, key=lambda item: item.severity != "open-washing")


def _contradiction(
    rule: str, summary: str, claim: Sequence[Evidence], against: Sequence[Evidence], **other: str
) -> Contradiction:
    return Contradiction.model_validate(
        {
            "rule": f"washing.{rule}",
            "criterion": other.get("criterion", "use"),
            "severity": other.get("severity", "open-washing"),
            "summary": summary,
            "evidence": (*claim[:1], *against[:2]),
        }
    )


def _of_kind(facts: Facts, *kinds: str) -> list[Term]:
    return [term for term in facts.terms if term.kind in kinds and term.scope == "model"]


def _free_tag(facts: Facts) -> Term | None:
    return next((term for term in _of_kind(facts, "tag") if term.verdict == "pass" and term.licence), None)


def _claim(facts: Facts, *patterns: re.Pattern[str]) -> Evidence | None:
    """The first sentence of a card that claims openness."""
    for card in facts.survey.model_cards:
        for sentence in card.sentences:
            if any(pattern.search(sentence) for pattern in patterns) and not _NEGATED.search(sentence):
                return facts.survey.card_evidence(card, "claim in the card", sentence)
    return None


def _tag_against_text(facts: Facts) -> Iterable[Contradiction]:
    tag = _free_tag(facts)
    if tag is None:
        return
    for text in _of_kind(facts, "text", "notice"):
        if text.verdict == "pass" and (not text.licence or _alike(text.licence, tag.licence)):
            continue
        name = text.finding.evidence[0].path if text.finding.evidence else "the licence text"
        if text.verdict == "fail":
            summary = f"The card declares {plain(tag.licence)}, but {name} restricts what one may do."
        elif text.verdict == "pass":
            summary = f"The card declares {plain(tag.licence)}, but {name} is {plain(text.licence)}."
        else:
            summary = f"The card declares {plain(tag.licence)}, but {name} is no text of it that we know."
        severity = "open-washing" if text.verdict == "fail" else "inconsistency"
        yield _contradiction(
            "licence_text", summary, tag.finding.evidence, text.finding.evidence, severity=severity
        )


def _alike(one: str, other: str) -> bool:
    """Whether two identifiers name one licence: -only, -or-later and a list of both do not matter here."""

    def parts(licence: str) -> set[str]:
        words = re.split(r"[\s()]+", licence.casefold())
        return {word.removesuffix("-only").removesuffix("-or-later") for word in words} - {"", "and", "or", "with"}

    return bool(parts(one) & parts(other))


def _tag_against_name(facts: Facts) -> Iterable[Contradiction]:
    card, tag = facts.survey.card, _free_tag(facts)
    name = str(card.head.get("license_name") or "").strip() if card else ""
    if card is None or tag is None or not name:
        return
    verdict = judge_tag(name)
    if verdict.status == "free" and _alike(verdict.licence, tag.licence):
        return
    against = facts.survey.card_evidence(card, "license_name in the card's head", f"license_name: {name}")
    summary = (
        f"The card's tag is {plain(tag.licence)}, its licence's name {plain(name)}, which is {verdict.status}."
    )
    severity = "open-washing" if verdict.status == "restricted" else "inconsistency"
    yield _contradiction("licence_name", summary, tag.finding.evidence, (against,), severity=severity)


def _tag_against_hub(facts: Facts) -> Iterable[Contradiction]:
    hub, tag = facts.survey.hub, _free_tag(facts)
    if hub is None or tag is None:
        return
    for label in [tag_ for tag_ in hub.tags if tag_.startswith("license:")][:4]:
        shown = judge_tag(label.removeprefix("license:"))
        if not _alike(shown.licence, tag.licence):
            against = facts.survey.hub_evidence("tags", label)
            summary = f"The card declares {plain(tag.licence)}, the hub's page shows {plain(shown.licence)}."
            yield _contradiction("hub_tag", summary, tag.finding.evidence, (against,), severity="inconsistency")


def _tag_against_base(facts: Facts, hub: Hub | None) -> Iterable[Contradiction]:
    """A free tag on what was made from a restricted model."""
    card, tag = facts.survey.card, _free_tag(facts)
    if card is None or tag is None:
        return
    for base in texts(card.head.get("base_model"))[:BASES_LIMIT]:
        said = facts.survey.card_evidence(card, "base_model in the card's head", f"base_model: {base}")
        quote, why = said, ""
        if hub is not None and HUB_NAME.match(base):
            try:
                record = hub.model(base, None)
                tags = [judge_tag(item) for item in texts(record.card.get("license"))]
                why = next((item.reason for item in tags if item.status == "restricted"), "")
                excerpt = f"license: {record.card.get('license')}"
                quote = Evidence(
                    path=f"/api/models/{plain(base)}",
                    sha256=record.answer_sha256,
                    rule="card",
                    excerpt=plain(excerpt[:300]),
                )
            except (UsageError, UnreadableError):
                why = ""
        if not why and _RESTRICTED_BASES.search(base):
            why = "the terms of that family bind derived models"
        if why:
            summary = (
                f"The card declares {plain(tag.licence)}, but the model was made from {plain(base)}: {plain(why)}."
            )
            yield _contradiction(
                "base_model", summary, tag.finding.evidence, (quote, said) if quote != said else (said,)
            )


def _open_with_terms(facts: Facts) -> Iterable[Contradiction]:
    """Called open, or tagged with a free licence, and bound by something beside it."""
    claim, tag = _claim(facts, _CLAIM), _free_tag(facts)
    words = {"policy": "a policy of use", "gate": "a gate", "statement": "a sentence of its own card"}
    for term in facts.terms:
        if term.scope != "model" or term.verdict == "pass" or not term.finding.evidence:
            continue
        against = term.finding.evidence
        if claim is not None and term.verdict in ("fail", "partial"):
            summary = f"It calls itself open, but: {_lower(term.finding.summary)}"
            yield _contradiction(f"open_with_{term.kind}", summary, (claim,), against)
        elif claim is not None and term.kind in ("tag", "text"):
            summary = (
                f"It calls itself open, but no licence known to be free says so: {_lower(term.finding.summary)}"
            )
            yield _contradiction("open_without_licence", summary, (claim,), against, severity="inconsistency")
        elif tag is not None and term.kind in words:
            summary = f"The card declares {plain(tag.licence)}, but {words[term.kind]} adds terms."
            severity = "open-washing" if term.verdict == "fail" else "inconsistency"
            yield _contradiction(
                f"free_with_{term.kind}", summary, tag.finding.evidence, against, severity=severity
            )


def _lower(text: str) -> str:
    """A sentence, to go on with after a colon; a name at its beginning stays as it is."""
    words = ("The ", "It ", "A ", "Whoever ", "Its ", "No ", "These ", "There ", "Nothing ", "Loading ")
    return text[:1].lower() + text[1:] if text.startswith(words) else text


def _open_with_data(facts: Facts) -> Iterable[Contradiction]:
    """Open, or under a free licence, and trained on data that are restricted."""
    claim, tag = _claim(facts, _CLAIM, _DATA_CLAIM), _free_tag(facts)
    said = (claim,) if claim is not None else tag.finding.evidence if tag is not None else ()
    for item in facts.sets:
        against = (item.quote,) if item.quote is not None else item.finding.evidence
        if said and item.restricted:
            verdict = item.collection if item.collection.status == "restricted" else item.content
            calls = "calls itself open" if claim is not None else f"is declared {plain(tag.licence) if tag else ''}"
            licence = f"{plain(verdict.licence)}: {plain(verdict.reason)}"
            summary = f"It {calls}, but was trained on {plain(item.name)}, under {licence}."
            yield _contradiction("open_with_data", summary, said, against, criterion="data")
        elif claim is not None and (item.provided is False or item.gated):
            summary = f"It calls itself open, but the public cannot have its data set {plain(item.name)}."
            yield _contradiction(
                "open_with_missing_data", summary, said, item.finding.evidence[-1:], criterion="data"
            )


def _open_with_nothing(facts: Facts) -> Iterable[Contradiction]:
    """Open data claimed and none named; all open claimed and no method shown."""
    card = facts.survey.card
    if card is None:
        return
    claim = _claim(facts, _DATA_CLAIM, _WHOLE_CLAIM)
    if claim is not None and not facts.sets:
        silence = facts.survey.card_evidence(card, "datasets in the card's head", "datasets: (none is named)")
        summary = "It claims open data, but neither names nor holds a data set."
        yield _contradiction("open_data_without_data", summary, (claim,), (silence,), criterion="data")
    whole = _claim(facts, _WHOLE_CLAIM)
    missing = [finding for finding in facts.method if finding.verdict == "fail"]
    if whole is not None and missing:
        silence = facts.survey.card_evidence(
            card, "whole card", f"{', '.join(f.rule for f in missing)}: nothing found"
        )
        lacks = "; ".join(_lower(finding.summary).rstrip(".") for finding in missing)
        summary = f"It claims to be open as a whole, but: {lacks}."
        yield _contradiction("open_without_method", summary, (whole,), (silence,), criterion="method")
