"""What a release says in its own words: report, ledger, findings and card, written from what else it holds.

A pure function, so that verify can write the pages again and see whether anyone has changed what they say.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from fonderie.core.manifest import Manifest
from fonderie.release.account import counted
from fonderie.release.attribution import Attribution
from fonderie.release.cards.bill import BILL, write_bill
from fonderie.release.cards.croissant import CROISSANT, write_croissant
from fonderie.release.cards.data import DATA_CARDS, write_data_cards
from fonderie.release.cards.model import CARDS, write_cards
from fonderie.release.cards.notices import NOTICES, write_notices
from fonderie.release.energy import account_energy
from fonderie.release.facts import Facts, Sample
from fonderie.release.findings.openness import Finding, openness_findings
from fonderie.release.law.people import PEOPLE, write_for_people
from fonderie.release.law.publisher import Publisher
from fonderie.release.law.shared import Dossier
from fonderie.release.layout import TRAINING_REPORT, ReleaseIndex
from fonderie.release.records import Report
from fonderie.release.report import call_names, report_of, to_markdown
from fonderie.release.reports.course import ended_course
from fonderie.release.reports.training import training_report
from fonderie.release.survey import SourceSurvey
from fonderie.release.writing.document import catalogue

PAGES = (
    *("report.json", "report.md", "ledger.json", "findings.json"),
    *(*CARDS, *DATA_CARDS, *NOTICES, CROISSANT, BILL, TRAINING_REPORT, *PEOPLE),
)
"""Every file that is written from the others, in the order of writing."""

SAMPLES = TypeAdapter(list[Sample])
ATTRIBUTIONS = TypeAdapter(list[Attribution])
FINDINGS = TypeAdapter(list[Finding])


@dataclass(frozen=True)
class Contents:
    """What the pages of a release are written from."""

    index: ReleaseIndex
    """`files` is not looked at."""
    manifests: Sequence[Manifest]
    lock: Mapping[str, Any]
    attributions: Sequence[Attribution]
    samples: Sequence[Sample]
    config: Mapping[str, Any]
    """config.json."""
    files: Mapping[str, str]
    """Digest of every file but the pages and release.json."""
    sizes: Mapping[str, int]
    """Bytes of the same files."""
    survey: Sequence[SourceSurvey] = ()
    """survey.json."""
    publisher: Publisher | None = None
    """publisher.toml, where the release has one."""
    training: Mapping[str, bytes] = field(default_factory=dict)
    """What its report is drawn from: those files of `READ` (training_course.py) that are below training/."""


@dataclass(frozen=True)
class Written:
    """The pages, and what two of them were written from."""

    texts: Mapping[str, str]
    """By file name."""
    report: Report
    findings: Sequence[Finding]


def facts_of(contents: Contents) -> Facts:
    """All that the folder holds, as its pages see it."""
    index, lock = contents.index, contents.lock
    manifests = without_course(in_running_order(contents.manifests, lock), index)
    report = report_of(manifests, lock)
    return Facts(
        index=index,
        manifests=manifests,
        lock=lock,
        calls=call_names(lock),
        report=report,
        findings=openness_findings(manifests, lock, report, index.licence, contents.files),
        attributions=contents.attributions,
        samples=contents.samples,
        config=contents.config,
        files=contents.files,
        sizes=contents.sizes,
        energy=account_energy(manifests, call_names(lock)),
        publisher=contents.publisher,
    )


def dossier_of(contents: Contents) -> Dossier:
    """The same, as the documents for people see it."""
    return Dossier(facts_of(contents), contents.survey, contents.publisher or Publisher())


def write_pages(contents: Contents) -> Written:
    """Every page of a release."""
    dossier = dossier_of(contents)
    facts = dossier.facts
    index, report = facts.index, facts.report
    texts = {
        "report.json": to_json(report.model_dump(mode="json")),
        "report.md": _marked(to_markdown(report), index, "report.md"),
        "ledger.json": to_json(_ledger(facts.manifests, facts.lock)),
        "findings.json": to_json(FINDINGS.dump_python(list(facts.findings), mode="json")),
        **write_cards(facts),
        **write_data_cards(facts),
        **{name: _marked(text, index, name) for name, text in write_notices(facts).items()},
        **write_croissant(facts),
        **write_bill(facts),
        TRAINING_REPORT: _training_report(contents, facts),
        **write_for_people(dossier, PAGES),
    }
    return Written(texts, report, facts.findings)


def _training_report(contents: Contents, facts: Facts) -> str:
    index = contents.index
    model = next((manifest for manifest in facts.manifests if manifest.key == index.model.key), None)
    call = facts.calls.get(index.model.key, "model")
    everything = in_running_order(contents.manifests, contents.lock)
    courses = [ended_course(call, model, contents.training.get, everything)] if model else []
    # The catalogue's sentence is a quotation in Markdown; that page frames it itself.
    marked = catalogue("common", "en")["draft_page"] if index.status == "draft" else ""
    notice = marked.removeprefix("> ").replace("**", "")
    return training_report(f"{index.name} {index.version}", courses, notice=notice)


def _marked(text: str, index: ReleaseIndex, name: str) -> str:
    """A page that says nothing of it, with the notice that it belongs to a draft."""
    notice = catalogue("common", "fr" if ".fr." in name else "en")["draft_page"]
    return f"{notice}\n\n{text}" if index.status == "draft" else text


def in_running_order(manifests: Sequence[Manifest], lock: Mapping[str, Any]) -> list[Manifest]:
    """The order of the lock's calls, which is that of the run; the lock's own manifest last."""
    places = {entry["key"]: place for place, entry in reversed(list(enumerate(lock["calls"].values())))}
    return sorted(manifests, key=lambda manifest: (places.get(manifest.key, len(places)), manifest.key))


def without_course(manifests: Sequence[Manifest], index: ReleaseIndex) -> list[Manifest]:
    """Those that the released model is judged by: what its training scored on the way is for that one's report."""
    on_the_way = {entry.key for entry in index.course}
    return [manifest for manifest in manifests if manifest.key not in on_the_way]


def _ledger(manifests: Sequence[Manifest], lock: Mapping[str, Any]) -> list[dict[str, Any]]:
    calls = call_names(lock)
    return [
        {
            "call": calls.get(manifest.key, manifest.step),
            "step": manifest.step,
            "key": manifest.key,
            "digest": manifest.digest,
            "sources": counted(manifest),
        }
        for manifest in manifests
        if counted(manifest)
    ]


def to_json(value: Any) -> str:
    """As every JSON file of a release is written."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
