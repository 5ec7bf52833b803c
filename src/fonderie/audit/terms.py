"""Criterion 1: the union of all terms that bind whoever uses a release.

Licence texts, the card's metadata, gates, acceptable-use policies, and sentences of the card that restrict: each is
one term, and the worst decides. A tag alone never settles it.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from fonderie.audit.cards import Card, Survey
from fonderie.audit.parse import texts
from fonderie.licences.verdict import Status, Verdict, identify, judge
from fonderie.release.findings.openness import Evidence, Finding, Level, Outcome
from fonderie.release.folder import plain

Kind = Literal["text", "tag", "policy", "gate", "statement", "notice"]
Scope = Literal["model", "data"]

LICENCE_FILES_LIMIT = 24
NOTICES_LIMIT = 4
TAG_CHARS = 300
"""A longer licence tag or expression is cut, and so unknown."""
_BY_STATUS: dict[Status, Outcome] = {"free": "pass", "restricted": "fail", "unknown": "unknown"}

_LICENCE_FILE = re.compile(
    r"(^|/)(licen[cs]es?/[^/]+|[^/]*(licen[cs]e|copying|unlicense)[^/]*)$|(^|/)(eula|terms)([-_. ][^/]*)?$",
    re.IGNORECASE,
)
_POLICY_FILE = re.compile(
    r"(^|/)[^/]*((acceptable|prohibited|restricted)[-_ ]?use|use[-_ ]?(policy|restrictions?)|usage[-_ ]?policy|"
    r"\baup\b)[^/]*$",
    re.IGNORECASE,
)
_NOTICE_FILE = re.compile(r"(^|/)notice(s)?([-_. ][^/]*)?$", re.IGNORECASE)
_TEXT_ENDINGS = ("", ".txt", ".md", ".rst", ".html", ".markdown", ".pdf", ".tex")
_DATA_FOLDER = re.compile(r"^(.*/)?(data|dataset|datasets|corpus)[^/]*/", re.IGNORECASE)

HUB_NAMES = {
    "odbl": "ODbL-1.0",
    "odc-by": "ODC-By-1.0",
    "pddl": "PDDL-1.0",
    "gpl": "GPL-3.0-or-later",
    "gpl-2.0": "GPL-2.0-only",
    "gpl-3.0": "GPL-3.0-only",
    "agpl-3.0": "AGPL-3.0-only",
    "lgpl-2.1": "LGPL-2.1-only",
    "lgpl-3.0": "LGPL-3.0-only",
    "bsd": "BSD-3-Clause",
    "openmdw-1.0": "OpenMDW-1.0",
    "openmdw": "OpenMDW-1.0",
    "cc0": "CC0-1.0",
}
"""Names of the hub's own list (its documentation, "Licenses") that are no SPDX identifiers, or deprecated ones."""

# Sentences of a card that bind. Words matter: "intended for research" advises, "research only" restricts.
_COMMERCIAL_TOO = re.compile(
    r"commercial\s*(and|or|et|ou|&|/|,)\s*(for\s+)?non|both\s+commercial|"
    r"non[- ]commercial\s*(and|or|et|ou|&|/)\s*(for\s+)?commercial",
    re.IGNORECASE,
)
_STATEMENTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "forbids commercial use",
        re.compile(
            r"non[- ]?commercial(ly)?\b[^.]{0,40}\b(use|purpose|licen[cs]e|only)|"
            r"\bonly\b[^.]{0,60}non[- ]?commercial|"
            r"\b(not|no|never|without)\b[^.]{0,30}\bcommercial(ly)?\s+(use|purpose|exploitation)|"
            r"(usage|utilisation|fins)\s+(purement\s+)?non[- ]commercia(l|le|les)|"
            r"(usage|utilisation)\s+commercia(l|le)\s+(est\s+)?(interdite?|exclue?|prohibée?)",
            re.IGNORECASE,
        ),
    ),
    (
        "allows research only",
        re.compile(
            r"\b(research|academic|educational)(\s+(and|or)\s+\w+)?\s+(use|purposes?)\s+only|"
            r"\b(only|solely|exclusively)\s+for\s+(\w+\s+)?(research|academic|educational)\b|"
            r"\bresearch[- ]only\b|à\s+des\s+fins\s+de\s+recherche\s+(uniquement|seulement|exclusivement)|"
            r"(uniquement|exclusivement|seulement)\s+(à\s+des\s+fins\s+de|pour\s+la)\s+recherche",
            re.IGNORECASE,
        ),
    ),
    (
        "binds whoever uses it to terms",
        re.compile(
            r"\bby\s+(using|downloading|accessing|requesting|clicking)\b[^.]{0,160}\byou\s+(\w+\s+)?(agree|accept|consent)|"
            r"\bmust\s+(agree|accept|comply)\b[^.]{0,80}\b(licen[cs]e|terms|polic|agreement)|"
            r"\ben\s+(utilisant|téléchargeant)\b[^.]{0,160}\bvous\s+(acceptez|consentez)",
            re.IGNORECASE,
        ),
    ),
    (
        "names an acceptable-use policy",
        re.compile(
            r"\b(acceptable|prohibited)[- ]use\s+polic|\busage\s+policy\b|"
            r"politique\s+d[’']utilisation\s+acceptable",
            re.IGNORECASE,
        ),
    ),
)
_NEGATED = re.compile(
    r"\b(no|without|unlike|sans|aucune?|nor)\b[^.]{0,50}\b(acceptable|prohibited|usage|restriction|polic)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Term:
    """One thing that binds, or frees."""

    kind: Kind
    scope: Scope
    licence: str
    """SPDX identifier or expression where one is known, else empty."""
    finding: Finding

    @property
    def verdict(self) -> Outcome:
        """The finding's."""
        return self.finding.verdict


def collect_terms(survey: Survey, settled: Collection[str] = ()) -> list[Term]:
    """Every term of a target; one that is unknown if there is none at all.

    `settled` names notices that this program has just written anew and found the same: they are not read again.
    """
    terms = [
        *_licence_files(survey, settled),
        *_policies(survey),
        *(term for card in survey.model_cards[:1] for term in _card_licence(survey, card)),
        *_gates(survey),
        *(term for card in survey.model_cards for term in _statements(survey, card)),
    ]
    if not any(term.kind in ("text", "tag") and term.scope == "model" for term in terms):
        summary = (
            "Nothing in it says under which licence the weights are: without one nobody has the right to use them."
        )
        terms.append(_term("text", "", _finding("use.licence", "unknown", "present", summary, ())))
    return terms


def judge_tag(tag: str) -> Verdict:
    """A hub's licence tag, or an SPDX expression."""
    return judge(HUB_NAMES.get(tag.strip().casefold(), tag[:TAG_CHARS]))


def _term(kind: Kind, licence: str, finding: Finding) -> Term:
    return Term(kind, "model", licence, finding)


def _finding(rule: str, verdict: Outcome, level: Level, summary: str, evidence: tuple[Evidence, ...]) -> Finding:
    return Finding(rule=rule, criterion="use", verdict=verdict, level=level, summary=summary, evidence=evidence)


def _is_text(name: str) -> bool:
    base = name.rsplit("/", 1)[-1]
    stem, dot, ending = base.rpartition(".")
    # LICENSE-2.0 has no ending, though it has a dot.
    return not dot or not stem or not ending.isalpha() or f".{ending.casefold()}" in _TEXT_ENDINGS


def _licence_files(survey: Survey, settled: Collection[str]) -> Iterable[Term]:
    """Texts of licences; a notice counts only for what it restricts."""
    target = survey.target
    names = [name for name in target.entries if _is_text(name) and not _POLICY_FILE.search(name)]
    licences = [name for name in names if _LICENCE_FILE.search(name)]
    notices = [name for name in names if _NOTICE_FILE.search(name) and name not in {*licences, *settled}]
    licences.sort(key=lambda name: (name.count("/"), name))
    for name in licences[LICENCE_FILES_LIMIT:]:
        target.unread[name] = f"one licence file too many: {LICENCE_FILES_LIMIT} are read"
    tags = [judge_tag(tag).licence for tag in texts(survey.card.head.get("license"))[:8]] if survey.card else []
    for name in licences[:LICENCE_FILES_LIMIT]:
        yield _licence_file(survey, name, tags)
    for name in notices[:NOTICES_LIMIT]:
        term = _licence_file(survey, name, ())
        if term.verdict == "fail" or name in target.unread:
            yield replace(term, kind="notice")


def _licence_file(survey: Survey, name: str, tags: Collection[str]) -> Term:
    target, rule = survey.target, f"use.licence_text.{plain(name)}"
    scope: Scope = "data" if _DATA_FOLDER.match(name) else "model"
    found = target.text(name)
    if found is None:
        why = f"{plain(name)} could not be read ({target.unread.get(name, 'unreadable')})."
        finding = _finding(rule, "unknown", "present", why, (target.evidence(name, "name of the file", name),))
        return Term("text", scope, "", finding)
    verdict = _read_licence(found.text, tags)
    what = f"{plain(name)} is {verdict.licence or 'no licence text that we know'}"
    if verdict.licence and verdict.status != "free" and judge(verdict.licence).status == "free":
        what += ", with something added or changed"
    reasons = "; ".join(plain(reason) for reason in verdict.reasons)
    finding = _finding(
        rule,
        _BY_STATUS[verdict.status],
        "parsed",
        f"{what}, which is {verdict.status}{f': {reasons}' if reasons else ''}.",
        (
            target.evidence(
                name, "licence text, read against known ones", " […] ".join(verdict.excerpts) or found.text
            ),
        ),
    )
    return Term("text", scope, verdict.licence or "", finding)


class _Reading(NamedTuple):
    """What a licence text is and allows; as `licences.text.TextVerdict`, which takes long to import."""

    licence: str | None
    status: Status
    reasons: tuple[str, ...]
    excerpts: tuple[str, ...]


def _read_licence(text: str, tags: Collection[str]) -> _Reading:
    """The verdict on a text; most are word for word what the card declares, and need no search among all."""
    from fonderie.licences.texts import reference_texts

    for tag in tags:
        reference = reference_texts().get(tag)
        if reference is not None and text.split() == reference.split():
            verdict = judge(tag)
            return _Reading(tag, verdict.status, (verdict.reason, "word for word its text"), ())
    from fonderie.licences.text import judge_text

    found = judge_text(text)
    return _Reading(found.licence, found.status, found.reasons, found.excerpts)


def _policies(survey: Survey) -> Iterable[Term]:
    for name in [name for name in survey.target.entries if _POLICY_FILE.search(name)][:8]:
        found = survey.target.text(name) if _is_text(name) else None
        verdict = _read_licence(found.text, ()) if found else None
        restricted = verdict is not None and verdict.status == "restricted"
        excerpt = " […] ".join(verdict.excerpts) if verdict and verdict.excerpts else found.text if found else name
        finding = _finding(
            f"use.policy.{plain(name)}",
            "fail" if restricted else "unknown",
            "parsed" if found else "present",
            f"{plain(name)} is a policy of use beside the licence"
            + (
                "; it forbids or obliges: " + "; ".join(map(plain, verdict.reasons)) + "."
                if restricted and verdict
                else "; whether it binds is not clear."
            ),
            (survey.target.evidence(name, "policy of use", excerpt),),
        )
        yield _term("policy", "", finding)


def _card_licence(survey: Survey, card: Card) -> Iterable[Term]:
    """`license`, `license_name`, `license_link` of a card's head."""
    for tag in texts(card.head.get("license"))[:8]:
        if tag.strip().casefold() in ("other", "unknown"):
            yield _named_licence(survey, card, tag)
            continue
        verdict = judge_tag(tag)
        summary = f"The card declares {plain(verdict.licence)}, which is {verdict.status}: {plain(verdict.reason)}."
        evidence = (survey.card_evidence(card, "license in the card's head", f"license: {tag}"),)
        yield _term(
            "tag",
            verdict.licence,
            _finding("use.card_licence", _BY_STATUS[verdict.status], "declared", summary, evidence),
        )


def _named_licence(survey: Survey, card: Card, tag: str) -> Term:
    name, link = (str(card.head.get(field) or "").strip() for field in ("license_name", "license_link"))
    local = link.removeprefix("./")
    identifier = identify(link) or identify(name) or (name if judge_tag(name).status != "unknown" else "")
    evidence = (
        survey.card_evidence(
            card,
            "license, license_name, license_link",
            f"license: {tag}, license_name: {name}, license_link: {link}",
        ),
    )
    if not identifier and (local in survey.target.entries or local.rsplit("/", 1)[-1] in survey.target.entries):
        # The text itself is judged where it is found; the tag adds nothing to it.
        summary = f"The card declares a licence of its own and points to {plain(local)}."
        return _term("tag", "", _finding("use.card_licence", "pass", "declared", summary, evidence))
    verdict = (
        judge_tag(identifier)
        if identifier
        else Verdict(name or tag, "unknown", "a licence of its own, which is not in the release")
    )
    summary = f"The card declares {plain(verdict.licence)!r}, which is {verdict.status}: {plain(verdict.reason)}."
    return _term(
        "tag",
        verdict.licence if identifier else "",
        _finding("use.card_licence", _BY_STATUS[verdict.status], "declared", summary, evidence),
    )


def _gates(survey: Survey) -> Iterable[Term]:
    """A gate before the download; one that asks to accept terms restricts."""
    card, hub = survey.card, survey.hub
    asked = _gate_words(card.head) if card else ""
    if asked and card is not None:
        summary = "Whoever downloads it must first accept what its gate asks."
        evidence = (survey.card_evidence(card, "extra_gated_* in the card's head", asked),)
        yield _term("gate", "", _finding("use.gate", "fail", "parsed", summary, evidence))
    if hub is not None and hub.gated and str(hub.gated).casefold() != "false":
        manual = str(hub.gated) == "manual"
        summary = (
            "Its owner decides, person by person, who may download it."
            if manual
            else "The hub gives it only to people with an account who agree to what its owner asks."
        )
        evidence = (survey.hub_evidence("gated", f"gated: {hub.gated}"),)
        yield _term(
            "gate",
            "",
            _finding("use.hub_gate", "fail" if manual or asked else "partial", "verified", summary, evidence),
        )


def _gate_words(head: dict[str, Any]) -> str:
    found = []
    for key, value in head.items():
        if key.startswith("extra_gated") and "button" not in key:
            words = (
                value
                if isinstance(value, str)
                else ", ".join(map(str, value))
                if isinstance(value, dict | list)
                else ""
            )
            found.append(f"{key}: {words[:1000]}")
    return "; ".join(found[:6])


def _statements(survey: Survey, card: Card) -> Iterable[Term]:
    """Sentences of a card that restrict, the first of each sort."""
    for number, (what, pattern) in enumerate(_STATEMENTS):
        for sentence in card.sentences:
            if pattern.search(sentence) and not _COMMERCIAL_TOO.search(sentence) and not _NEGATED.search(sentence):
                finding = _finding(
                    f"use.card_statement.{number + 1}",
                    "fail",
                    "parsed",
                    f"A sentence of the card {what}.",
                    (survey.card_evidence(card, "sentence of the card", sentence),),
                )
                yield _term("statement", "", finding)
                break
