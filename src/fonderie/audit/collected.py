"""What an audit found, as the one record from which the outside frameworks are graded."""

import re
from collections.abc import Sequence

from fonderie.audit.cards import Card, Survey
from fonderie.audit.datasets import DataSet
from fonderie.audit.facts import Component, Extent, Fact, ModelFacts, Terms
from fonderie.audit.method import Standing
from fonderie.audit.mof import MofModel
from fonderie.audit.mof_framework import COMPONENTS, UNLICENSED
from fonderie.audit.parse import ParseError, read_json
from fonderie.audit.target import shorten
from fonderie.audit.terms import Term, judge_tag
from fonderie.release.findings.openness import Level
from fonderie.release.folder import plain

_REPORT = re.compile(
    r"arxiv\.org/(abs|pdf)/|arxiv:\s*\d{4}\.\d{4,5}|hal\.science/|technical report|doi\.org/", re.IGNORECASE
)
_HARDWARE = re.compile(
    r"\b(H100|A100|H200|MI250X?|MI300X?|V100|TPU|GH200|GPU hours?|GPU[- ]?heures?)\b|\bkWh\b|CO2", re.IGNORECASE
)
_TOPICS = (
    re.compile(r"train|entraîn", re.IGNORECASE),
    re.compile(r"data|corpus|données", re.IGNORECASE),
    re.compile(r"eval|benchmark|évaluation", re.IGNORECASE),
    re.compile(r"limit|bias|risk|biais|risque", re.IGNORECASE),
)
_OUTPUTS = re.compile(r"(^|/)(samples?|sample[-_]outputs?|generations?)[^/]*\.(jsonl?|txt|md)$", re.IGNORECASE)
_EVALUATION_CODE = re.compile(r"(^|/)[^/]*eval[^/]*\.(py|sh|ipynb)$", re.IGNORECASE)
_INFERENCE_CODE = re.compile(
    r"(^|/)([^/]*(infer|generate|modeling_|serve|chat)[^/]*)\.(py|sh|ipynb)$", re.IGNORECASE
)


def collect_facts(
    survey: Survey, terms: Sequence[Term], sets: Sequence[DataSet], method: Sequence[Standing]
) -> ModelFacts:
    """Everything the audit looked for, component by component; what it did not look for stays unknown."""
    gated = any(term.kind == "gate" for term in terms)
    components: dict[Component, Fact] = {
        standing.component: Fact(
            published=standing.extent if standing.level != "declared" else "unknown",
            described=standing.extent,
            where=shorten(standing.where, 200),
            level=standing.level,
            gated=gated and standing.component == "weights",
        )
        for standing in method
    }
    components["datasets"] = _datasets(sets)
    components["architecture"], components["inference_code"] = _architecture(survey)
    components["sample_outputs"] = _file(survey, _OUTPUTS)
    components["evaluation_code"] = _file(survey, _EVALUATION_CODE)
    components["model_card"] = _document(survey.model_cards[:1])
    components["data_card"] = _document(survey.data_cards)
    components["technical_report"] = _told(survey, _REPORT)
    components["hardware"] = _told(survey, _HARDWARE)
    return ModelFacts(
        name=plain(survey.target.name[:200]),
        version=survey.target.revision,
        licence=plain(_licence(terms)),
        terms=tuple(_bound(term) for term in terms if term.kind in ("policy", "gate", "statement", "notice")),
        components=components,
    )


def facts_of_mof(model: MofModel) -> ModelFacts:
    """A model known by its MOF description alone: all of it declared."""
    components: dict[Component, Fact] = {}
    for component in COMPONENTS:
        if component.name in model.components:
            licence = model.licence_of(component)
            licence = "" if licence == UNLICENSED else plain(licence)
            components[component.fact] = Fact(published="all", licence=licence, source="the MOF description")
        else:
            components[component.fact] = Fact(published="none", source="the MOF description does not list it")
    return ModelFacts(name=plain(model.name), components=components)


def _licence(terms: Sequence[Term]) -> str:
    """The one licence that decides: the gravest, a text before a tag; the frameworks read no unions."""
    stated = [term for term in terms if term.scope == "model" and term.kind in ("text", "tag")]
    order = ("fail", "unknown", "partial", "pass")
    stated.sort(key=lambda term: (order.index(term.verdict), term.kind == "tag"))
    if not stated:
        return ""
    licence = stated[0].licence
    if stated[0].verdict == "fail" and (not licence or judge_tag(licence).status != "restricted"):
        # A free licence with a restriction written into it is another licence.
        return "LicenseRef-restricted"
    return licence if stated[0].verdict != "unknown" else "LicenseRef-unknown"


def _bound(term: Term) -> Terms:
    excerpt = term.finding.evidence[0].excerpt if term.finding.evidence else ""
    return Terms(
        name=term.kind, restricts=term.verdict in ("fail", "partial"), source=term.finding.rule, excerpt=excerpt
    )


def _datasets(sets: Sequence[DataSet]) -> Fact:
    """One record for all sets: the union's licence, never relabelled."""
    if not sets:
        return Fact(published="none", level="present")
    asked = [item for item in sets if item.provided is not None]
    there = [item for item in asked if item.provided]
    extent: Extent = (
        "unknown" if not asked else "none" if not there else "all" if len(there) == len(sets) else "part"
    )

    def licences(kind: str) -> str:
        found = list(dict.fromkeys(getattr(item, kind).licence for item in sets))
        return "" if "" in found else " AND ".join(found)

    levels: tuple[Level, ...] = ("declared", "present", "parsed", "verified")
    return Fact(
        published=extent,
        described="all",
        licence=plain(licences("collection")),
        content_licence=plain(licences("content")),
        gated=any(item.gated for item in sets),
        where=shorten(", ".join(item.name for item in sets[:3])),
        level=min((item.finding.level for item in sets), key=levels.index),
    )


def _architecture(survey: Survey) -> tuple[Fact, Fact]:
    """config.json names a published architecture, whose code its library holds; or the code is here."""
    code = _file(survey, _INFERENCE_CODE)
    found = survey.target.text("config.json")
    try:
        value = read_json(found.text) if found else None
    except ParseError:
        value = None
    if not isinstance(value, dict) or not (value.get("architectures") or value.get("model_type")):
        return code, code
    described = Fact(published="all", where="config.json", level="parsed")
    if code.published == "all" or value.get("auto_map"):
        return described, code
    # The library that runs it is free software of its own, whatever the weights are under.
    return described, Fact(published="all", licence="Apache-2.0", where="transformers", level="declared")


def _file(survey: Survey, pattern: re.Pattern[str]) -> Fact:
    name = next((name for name in survey.target.entries if pattern.search(name)), "")
    return Fact(published="all" if name else "none", where=plain(name), level="present")


def _document(cards: Sequence[Card]) -> Fact:
    """How much of the story a card tells: data, training, evaluation, limits."""
    if not cards or not any(card.body.strip() for card in cards):
        return Fact(published="none", level="present")
    told = sum(any(topic.search(sentence) for card in cards for sentence in card.sentences) for topic in _TOPICS)
    return Fact(published="all" if told == len(_TOPICS) else "part", where=plain(cards[0].path), level="parsed")


def _told(survey: Survey, pattern: re.Pattern[str]) -> Fact:
    """Something that a card only refers to: nobody followed the link."""
    for card in survey.model_cards:
        for sentence in card.sentences:
            if pattern.search(sentence):
                return Fact(
                    published="part", where=shorten(sentence, 200), source=plain(card.path), level="declared"
                )
    return Fact(published="none", level="present")
