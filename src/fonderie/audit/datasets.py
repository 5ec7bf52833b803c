"""Criterion 2: the data a model was trained on. Named, there for all, freely licensed, as the manifests list them.

A licence of the collection does not license what was collected: both are asked for, and told apart.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from fonderie.audit.cards import Card, Survey
from fonderie.audit.hub import Hub, HubData
from fonderie.audit.integrity import Integrity, croissant, croissant_names
from fonderie.audit.parse import texts
from fonderie.audit.rows import ENDINGS, row_licences
from fonderie.audit.target import UnreadableError, shorten
from fonderie.audit.terms import Term, judge_tag
from fonderie.licences.verdict import Status, Verdict, identify
from fonderie.release.findings.openness import Evidence, Finding, Level, Outcome
from fonderie.release.folder import plain

SETS_LIMIT = 40
TAGS_LIMIT = 1_000
FILES_SHOWN = 3

_DATA_FILE = re.compile(
    r"\.(parquet|arrow|jsonl|ndjson|csv|tsv|bin\.idx|warc)(\.(gz|zst|xz|bz2))?$|^(.*/)?(data|dataset|datasets|corpus)[^/]*/.*\.(txt|json|xml|tar|zip)(\.(gz|zst))?$",
    re.IGNORECASE,
)
_NO_DATA = re.compile(
    r"(^|/)[^/]*(log|eval|result|score|metric|trainer_state|token(izer)?s?_|loss|history)", re.IGNORECASE
)
_LINK = re.compile(r"/datasets/([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})")
_TRAINS = re.compile(r"train|corpus|corpora|data ?mix|entraîn|données", re.IGNORECASE)
_EVALUATES = re.compile(r"evaluat|benchmark|score|accuracy|test set|évaluation", re.IGNORECASE)
_DESCRIBES = re.compile(
    r"\b(pre-?)?trained\b[^.]{0,120}\b(on|using|with|from)\b|\btraining (data|corpus|dataset)\b|"
    r"entraîné[^.]{0,60}\bsur\b",
    re.IGNORECASE,
)
_LICENCE_COLUMN = re.compile(r"^(.*[._/])?(licen[cs]e)s?([._-].*)?$", re.IGNORECASE)


@dataclass(frozen=True)
class DataSet:
    """One data set that a target names or holds."""

    name: str
    finding: Finding
    provided: bool | None
    """Whether anyone can have it; None where nobody was asked."""
    collection: Verdict
    """Of the collection."""
    content: Verdict
    """Of what was collected."""
    gated: bool = False
    quote: Evidence | None = None
    """What states its licence."""

    @property
    def restricted(self) -> bool:
        """Whether a licence of it restricts use."""
        return "restricted" in (self.collection.status, self.content.status)


_UNSAID = Verdict("", "unknown", "no licence is stated")


def collect_data(survey: Survey, hub: Hub | None, integrity: Integrity, terms: Iterable[Term]) -> list[DataSet]:
    """Every data set of a target."""
    held = _held(survey, integrity, [term for term in terms if term.scope == "data"])
    found = [held] if held else []
    for name, (card, rule, quote) in list(_named(survey).items())[:SETS_LIMIT]:
        said = survey.card_evidence(card, rule, quote)
        found.append(_asked(hub, name, said) if hub is not None else _declared(name, said))
    return found


def data_findings(survey: Survey, sets: list[DataSet], integrity: Integrity) -> list[Finding]:
    """The findings on the second criterion."""
    found = [item.finding for item in sets]
    if not sets:
        found.append(_nothing_named(survey))
    if integrity.broken:
        names = [*integrity.altered, *integrity.missing]
        shown = ", ".join(map(plain, names[:FILES_SHOWN]))
        summary = f"{len(names):,} files are not as its own manifests list them: {shown}."
        evidence = tuple(
            survey.target.evidence(name, "list of hashes", names[0]) for name in integrity.manifests[:2]
        )
        found.append(_finding("data.hashes", "fail", "verified", summary, evidence))
    return found


def _finding(rule: str, verdict: Outcome, level: Level, summary: str, evidence: tuple[Evidence, ...]) -> Finding:
    return Finding(rule=rule, criterion="data", verdict=verdict, level=level, summary=summary, evidence=evidence)


def _named(survey: Survey) -> dict[str, tuple[Card, str, str]]:
    """Data sets named in heads and bodies of cards: name -> card, rule, words."""
    found: dict[str, tuple[Card, str, str]] = {}
    for card in survey.model_cards:
        for name in texts(card.head.get("datasets")):
            found.setdefault(name.strip()[:200], (card, "datasets in the card's head", f"datasets: {name}"))
        heading = ""
        for sentence in card.sentences:
            heading = sentence if sentence.startswith("#") else heading
            about = heading + " " + sentence
            if _TRAINS.search(about) and not _EVALUATES.search(about):
                for match in _LINK.finditer(sentence):
                    found.setdefault(match.group(1), (card, "link beside words on training", sentence))
    return found


def _declared(name: str, said: Evidence) -> DataSet:
    summary = (
        f"The data set {plain(name)} is named; nothing here says whether it can be had, or under what licence."
    )
    finding = _finding(f"data.set.{plain(name)}", "unknown", "declared", summary, (said,))
    return DataSet(name, finding, None, _UNSAID, _UNSAID)


def _asked(hub: Hub, name: str, said: Evidence) -> DataSet:
    """A named data set, looked up where the release itself lies."""
    rule = f"data.set.{plain(name)}"
    try:
        record = hub.dataset(name)
    except UnreadableError as error:
        summary = f"The data set {plain(name)} is named; the hub did not answer on it ({plain(str(error))})."
        return DataSet(name, _finding(rule, "unknown", "declared", summary, (said,)), None, _UNSAID, _UNSAID)
    if not record.found:
        summary = f"The data set {plain(name)} is named, but the public finds none of that name ({record.detail})."
        return DataSet(name, _finding(rule, "fail", "verified", summary, (said,)), False, _UNSAID, _UNSAID)
    collection, content = _worst(texts(record.card.get("license"))), _content_licence(record)
    quote = Evidence(
        path=f"/api/datasets/{name}",
        sha256=record.answer_sha256,
        rule="license in the data set's card",
        excerpt=shorten(
            f"license: {record.card.get('license')}, gated: {record.gated}, files: {len(record.siblings)}"
        ),
    )
    gated = bool(record.gated) and str(record.gated).casefold() != "false"
    there = any(not sibling.rfilename.startswith((".git", "README")) for sibling in record.siblings)
    verdict, words = _judged(collection, content, gated=gated, there=there)
    finding = _finding(rule, verdict, "parsed", f"The data set {plain(name)} {words}", (said, quote))
    return DataSet(name, finding, there and not gated, collection, content, gated, quote)


def _judged(collection: Verdict, content: Verdict, *, gated: bool, there: bool) -> tuple[Outcome, str]:
    """The verdict on a hub's data set, and the predicate that says why. It never passes: no hash was compared."""
    for verdict, what in ((collection, "is"), (content, "holds texts that are")):
        if verdict.status == "restricted":
            return "fail", f"{what} under {plain(verdict.licence)}, which is restricted: {plain(verdict.reason)}."
    if not there:
        return "fail", "is a page without data."
    if gated:
        return "partial", "is behind a gate: not everybody can have it."
    if collection.status == "unknown":
        return "unknown", f"can be had, but its licence is unknown: {plain(collection.reason)}."
    if content.status == "unknown":
        return (
            "partial",
            f"can be had under {collection.licence}; nothing says what its contents are licensed under.",
        )
    return (
        "partial",
        f"can be had, freely licensed ({collection.licence}); no manifest ties its bytes to this model.",
    )


def _worst(tags: list[str]) -> Verdict:
    ranks: tuple[Status, ...] = ("restricted", "unknown", "free")
    return min(
        (judge_tag(tag) for tag in tags[:TAGS_LIMIT]),
        key=lambda verdict: ranks.index(verdict.status),
        default=_UNSAID,
    )


def _content_licence(record: HubData) -> Verdict:
    """A column that holds the licence of each row."""
    info = record.card.get("dataset_info")
    infos = info if isinstance(info, list) else [info]
    for item in infos[:50]:
        features = item.get("features") if isinstance(item, dict) else None
        for feature in features if isinstance(features, list) else []:
            name = feature.get("name") if isinstance(feature, dict) else None
            if isinstance(name, str) and _LICENCE_COLUMN.match(name):
                return _by_row(name)
    return _UNSAID


def _by_row(column: str) -> Verdict:
    # That there is such a column says nothing of what stands in it.
    return Verdict("row by row", "unknown", f"the column {plain(column)} states each one's, which was not read")


def _held(survey: Survey, integrity: Integrity, terms: list[Term]) -> DataSet | None:
    """The data files that lie in the target itself, as one data set."""
    target = survey.target
    names = [name for name in target.entries if _DATA_FILE.search(name) and not _NO_DATA.search(name)]
    if not names:
        return None
    collection, content, quotes = _held_licences(survey, terms)
    rows = _row_verdict(survey, names)
    content = rows if rows.status != "unknown" else content
    checked = [name for name in names if name in integrity.matched]
    verified = len(checked) == len(names)
    free = collection.status == content.status == "free"
    evidence = (
        *(target.evidence(name, "data file", name) for name in names[:FILES_SHOWN]),
        *(
            target.evidence(name, "list of hashes", f"{len(checked)} of {len(names)} match")
            for name in integrity.manifests[:2]
        ),
        *quotes,
    )
    verdict: Outcome
    if "restricted" in (collection.status, content.status):
        bad = collection if collection.status == "restricted" else content
        verdict, why = "fail", f"under {plain(bad.licence)}, which is restricted: {plain(bad.reason)}"
    elif free and verified:
        verdict, why = "pass", "freely licensed in content and collection, each as its manifest lists it"
    else:
        open_points = [
            "" if collection.status == "free" else "the collection's licence is unknown",
            "" if content.status == "free" else "the contents' licence is unknown",
            "" if verified else f"{len(checked):,} of {len(names):,} have a hash to compare with",
        ]
        verdict, why = "partial", "; ".join(filter(None, open_points))
    size = sum(target.entries[name].size_bytes or 0 for name in names)
    finding = _finding(
        "data.files",
        verdict,
        "verified" if verified else "present",
        f"{len(names):,} data files ({size:,} bytes) lie in the release: {why}.",
        evidence,
    )
    return DataSet(
        "the files in the release", finding, True, collection, content, quote=quotes[0] if quotes else None
    )


def _held_licences(survey: Survey, terms: list[Term]) -> tuple[Verdict, Verdict, list[Evidence]]:
    """Licences of the collection and of its contents: data cards, Croissant, texts in the data's folder."""
    found: list[Verdict] = []
    content, quotes = _UNSAID, []
    for card in survey.data_cards:
        for tag in texts(card.head.get("license"))[:8]:
            found.append(judge_tag(tag))
            quotes.append(survey.card_evidence(card, "license in the data card's head", f"license: {tag}"))
        record = HubData(id=card.path, cardData=card.head)
        content = _content_licence(record) if content is _UNSAID else content
    for name in croissant_names(survey.target):
        value = croissant(survey.target, name) or {}
        for licence in texts(value.get("license"))[:8]:
            found.append(judge_tag(identify(licence) or licence))
            quotes.append(survey.target.evidence(name, "license", f"license: {licence}"))
        content = _croissant_content(value) if content is _UNSAID else content
    for term in terms:
        status: dict[Outcome, Status] = {"pass": "free", "fail": "restricted"}
        found.append(Verdict(term.licence, status.get(term.verdict, "unknown"), term.finding.summary))
        quotes.extend(term.finding.evidence)
    ranks: tuple[Status, ...] = ("restricted", "unknown", "free")
    return min(found, key=lambda verdict: ranks.index(verdict.status), default=_UNSAID), content, quotes[:4]


def _croissant_content(value: dict[str, object]) -> Verdict:
    sets = value.get("recordSet")
    for item in sets if isinstance(sets, list) else []:
        fields = item.get("field") if isinstance(item, dict) else None
        for entry in fields if isinstance(fields, list) else []:
            name = entry.get("name") if isinstance(entry, dict) else None
            if isinstance(name, str) and _LICENCE_COLUMN.match(name):
                return _by_row(name)
    return _UNSAID


def _row_verdict(survey: Survey, names: list[str]) -> Verdict:
    """The worst licence that any row states, if every data file could be read row by row."""
    root = survey.target.root
    if root is None or not all(name.endswith(ENDINGS) for name in names):
        return _UNSAID
    found: Counter[str] = Counter()
    for name in names:
        counts = row_licences(root / name)
        if counts is None:
            return _UNSAID
        found.update(counts)
    worst = _worst(list(found))
    return worst._replace(reason=f"{worst.reason} ({found.total():,} rows read)")


def _nothing_named(survey: Survey) -> Finding:
    for card in survey.model_cards:
        for sentence in card.sentences:
            if _DESCRIBES.search(sentence):
                summary = (
                    "The training data are described, not named: nobody can have them, or check the description."
                )
                said = (survey.card_evidence(card, "sentence of the card", sentence),)
                return _finding("data.named", "fail", "parsed", summary, said)
    return _finding("data.named", "fail", "parsed", "No training data is named or provided.", ())
