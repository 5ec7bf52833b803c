"""What a release says in its own words: report, ledger, findings and card, written from what else it holds.

A pure function, so that verify can write the pages again and see whether anyone has changed what they say.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from fonderie.core.manifest import Manifest
from fonderie.release.account import counted
from fonderie.release.attribution import Attribution
from fonderie.release.card import CardFacts, write_card
from fonderie.release.findings import Finding, openness_findings
from fonderie.release.layout import ReleaseIndex
from fonderie.release.records import Report
from fonderie.release.report import call_names, report_of, to_markdown

PAGES = ("report.json", "report.md", "ledger.json", "findings.json", "README.md")


class Sample(BaseModel):
    """What a card shows of one sample."""

    model_config = ConfigDict(frozen=True)

    prompt: str
    kind: str
    answer: str


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


@dataclass(frozen=True)
class Written:
    """The pages, and what two of them were written from."""

    texts: Mapping[str, str]
    """By file name."""
    report: Report
    findings: Sequence[Finding]


def write_pages(contents: Contents) -> Written:
    """Every page of a release."""
    index, lock = contents.index, contents.lock
    manifests = in_running_order(contents.manifests, lock)
    report = report_of(manifests, lock)
    findings = openness_findings(manifests, lock, report, index.licence, contents.files)
    card = write_card(
        CardFacts(
            name=index.name,
            version=index.version,
            licence=index.licence,
            language=index.language,
            description=index.description,
            demonstration=index.demonstration,
            report=report,
            findings=findings,
            attributions=contents.attributions,
            samples=[sample.model_dump() for sample in contents.samples],
            config=contents.config,
            files=contents.files,
            model_digest=index.model_digest,
        )
    )
    texts = {
        "report.json": to_json(report.model_dump(mode="json")),
        "report.md": to_markdown(report),
        "ledger.json": to_json(_ledger(manifests, lock)),
        "findings.json": to_json(FINDINGS.dump_python(findings, mode="json")),
        "README.md": card,
    }
    return Written(texts, report, findings)


def in_running_order(manifests: Sequence[Manifest], lock: Mapping[str, Any]) -> list[Manifest]:
    """The order of the lock's calls, which is that of the run; the lock's own manifest last."""
    places = {entry["key"]: place for place, entry in reversed(list(enumerate(lock["calls"].values())))}
    return sorted(manifests, key=lambda manifest: (places.get(manifest.key, len(places)), manifest.key))


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
