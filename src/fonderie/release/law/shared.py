"""What the documents for people share: how they open, the threshold of the law, sources by category, evidence."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property

from fonderie.core.hub_files import is_from_hub
from fonderie.core.manifest import Manifest
from fonderie.release.account import reads_sources
from fonderie.release.facts import Facts
from fonderie.release.law.publisher import (
    FILE,
    GAP_WORDS,
    Category,
    PublishedSource,
    Publisher,
    gaps,
    source_gaps,
)
from fonderie.release.layout import INDEX, ReleaseIndex
from fonderie.release.records import Report, SourceReport
from fonderie.release.report import relaxed
from fonderie.release.survey import SourceSurvey
from fonderie.release.writing.document import Page
from fonderie.release.writing.tables import cell

# Guidelines of the Commission on the scope of the obligations for providers of general-purpose AI models
# (C(2025) 7719), point 17: indicative, and only above it.
GPAI_FLOPS = 10**23
OFFLINE_STEPS = frozenset({"corpus.read", "corpus.generate"})
"""Steps through which documents enter, and which read local files or none, but where a source is a hub's."""
_OPT_OUT = re.compile(r"opt(?:ed)?[-_ ]?out|robots\.txt|\btdm|reservation of rights", re.IGNORECASE)
"""How reasons of the ledger name a reservation of rights."""


@dataclass(frozen=True)
class Dossier:
    """A release as its legal documents see it."""

    facts: Facts
    survey: Sequence[SourceSurvey]
    publisher: Publisher = field(default_factory=Publisher)

    @cached_property
    def terms(self) -> list[tuple[int, int]]:
        """Parameters and tokens seen of every training that says both."""
        found = [
            (training.statistics.get("parameters"), training.statistics.get("tokens"))
            for training in self.facts.report.trainings
        ]
        return [(n, d) for n, d in found if isinstance(n, int) and isinstance(d, int)]

    @cached_property
    def flops(self) -> int | None:
        """6 N D over all trainings; None where one of them does not say, or there is none."""
        whole = self.terms and len(self.terms) == len(self.facts.report.trainings)
        return sum(6 * n * d for n, d in self.terms) if whole else None

    @cached_property
    def owed(self) -> bool:
        """Whether the training lies above the threshold of general-purpose AI models."""
        return self.flops is not None and self.flops > GPAI_FLOPS

    @cached_property
    def sources(self) -> tuple[SourceReport, ...]:
        """The sources that were trained on."""
        return self.facts.sources

    def said(self, source: SourceReport) -> PublishedSource:
        """What the publisher says of a source; an empty record where nothing."""
        return self.publisher.sources.get(source.name, PublishedSource())

    def of(self, category: Category) -> list[SourceReport]:
        """The sources of a category; what the recipe composes belongs to none of them."""
        return [item for item in self.sources if not item.generated and self.said(item).category == category]

    @cached_property
    def open(self) -> list[SourceReport]:
        """Sources read from files whose category the publisher has not said."""
        return [item for item in self.sources if not item.generated and self.said(item).category is None]

    @cached_property
    def generated(self) -> list[SourceReport]:
        """Sources that the recipe composes itself."""
        return [item for item in self.sources if item.generated]

    def surveyed(self, sources: Iterable[SourceReport]) -> list[SourceSurvey]:
        """The surveys of some sources."""
        names = {source.name for source in sources}
        return [item for item in self.survey if item.source in names]

    def languages(self) -> Counter[str]:
        """Bytes of text by language, all sources."""
        total = Counter[str]()
        for item in self.survey:
            total.update(item.languages)
        return total

    @cached_property
    def entrances(self) -> list[Manifest]:
        """The makings through which documents entered."""
        return [manifest for manifest in self.facts.manifests if reads_sources(manifest)]

    def entrance_steps(self) -> str:
        """The steps through which documents entered, as Markdown code."""
        return ", ".join(dict.fromkeys(f"`{cell(manifest.step)}`" for manifest in self.entrances)) or "–"

    @property
    def offline(self) -> bool:
        """Whether every document entered through a step that is known to fetch nothing from the web."""
        fetched = (
            is_from_hub(entry.path)
            for manifest in self.entrances
            for entries in manifest.sources.values()
            for entry in entries
        )
        return all(manifest.step in OFFLINE_STEPS for manifest in self.entrances) and not any(fetched)

    @cached_property
    def read_days(self) -> list[date]:
        """The days on which source files were read, as the manifests say."""
        return sorted(
            datetime.fromisoformat(manifest.started).astimezone(UTC).date()
            for manifest in self.entrances
            if manifest.started and any(manifest.sources.values())
        )

    def reasons(self) -> list[tuple[str, str, str, int]]:
        """Source, fate, reason and documents of everything dropped or edited on the way to training."""
        return [
            (source.name, fate, reason, count)
            for source in self.sources
            for fate, counts in (("dropped", source.dropped), ("edited", source.edited))
            for reason, count in counts.items()
        ]

    def opt_outs(self) -> list[tuple[str, str, str, int]]:
        """Those whose reason names a reservation of rights."""
        return [row for row in self.reasons() if _OPT_OUT.search(row[2])]


def read_sources(report: Report) -> list[str]:
    """The names of the sources that were trained on and read from files: those that a publisher describes."""
    trained = [source for source in report.sources if source.tokens] or report.sources
    return [source.name for source in trained if not source.generated]


def final_problems(index: ReleaseIndex, publisher: Publisher | None, report: Report) -> list[str]:
    """Why a release that calls itself final is none; nothing for a draft."""
    if index.status != "final":
        return []
    if publisher is None:
        return [f"{INDEX}: says that the release is final, and there is no {FILE}"]
    found = [*gaps(publisher), *source_gaps(publisher, read_sources(report))]
    return [f"{FILE}: {gap.field} is {GAP_WORDS[gap.problem]}, and the release calls itself final" for gap in found]


def opening(page: Page, dossier: Dossier) -> None:
    """Title, notices, what the document is, its version."""
    index, said = dossier.facts.index, dossier.publisher.document
    page.heading(1, "title", name=cell(index.name), version=cell(index.version))
    if index.status == "draft":
        page.text("draft")
    page.heading(2, "about")
    page.text("basis")
    _threshold(page, dossier)
    page.text("derived", file=FILE)
    page.field("version")
    page.quote(said.version, "document.version")
    page.field("last_update")
    page.quote_day(said.last_update, "document.last_update")
    if said.previous:
        page.field("previous")
        for address in said.previous:
            page.quote(address, "document.previous")


def _threshold(page: Page, dossier: Dossier) -> None:
    if dossier.flops is None:
        page.text("compute_unknown")
        return
    terms = " + ".join(f"6 × {page.number(n)} × {page.number(d)}" for n, d in dossier.terms)
    page.text("owed" if dossier.owed else "voluntary", flops=page.power(dossier.flops), terms=terms)


def contact_details(page: Page, dossier: Dossier) -> None:
    """Name, address and contact of the provider."""
    said = dossier.publisher.provider
    for name in ("legal_name", "address", "contact"):
        page.quote(getattr(said, name), f"provider.{name}")
    for name in ("registration", "website"):
        if getattr(said, name):
            page.quote(getattr(said, name), f"provider.{name}")


def opt_out_evidence(page: Page, dossier: Dossier) -> None:
    """What the ledger says of reservations of rights, and what the licence gate does."""
    found = dossier.opt_outs()
    if found:
        page.text("evidence_some")
        reasons_rows(page, found)
    else:
        page.text("evidence_none")


def licence_gate(page: Page, dossier: Dossier) -> None:
    """How licences are judged as documents enter, and how far this recipe's policy goes."""
    page.text("gate")
    also = relaxed(dossier.facts.manifests, dossier.facts.lock)
    if also:
        page.text("relaxed", licences=", ".join(map(cell, also)))
    else:
        page.text("no_relaxed")


def reasons_rows(page: Page, rows: Iterable[tuple[str, str, str, int]]) -> None:
    """A table of what was dropped or edited."""
    page.table(
        ("source", "fate", "reason", "documents"),
        [(source, page.say(fate), page.reason(reason), page.number(count)) for source, fate, reason, count in rows],
        numbers=1,
    )


def sources_rows(page: Page, dossier: Dossier, sources: Sequence[SourceReport]) -> None:
    """A table of sources, with their licences and their share of what was trained on."""
    whole = dossier.facts.report.tokens
    page.table(
        ("source", "data_set", "licences", "documents", "tokens", "share"),
        [
            (
                source.name,
                dossier.said(source).title or "–",
                ", ".join(count.licence for count in source.licences) or page.say("not_recorded"),
                page.number(source.kept),
                page.number(source.tokens),
                page.share(source.tokens, whole),
            )
            for source in sources
        ],
        numbers=3,
    )


def waiting_notice(markdown: str, page: Page) -> str:
    """The document with the number of its gaps below the notice that it is a draft."""
    if not page.waiting:
        return markdown
    notice = page.say("draft")
    count = len(dict.fromkeys(page.waiting))
    return markdown.replace(
        notice, f"{notice}\n>\n{page.say('draft_gaps', file=FILE, count=page.number(count))}", 1
    )


def language_names(page: Page, languages: Mapping[str, int]) -> list[tuple[str, int]]:
    """Languages and bytes, the unstated one by its name."""
    return [(code or page.say("unstated"), size_bytes) for code, size_bytes in languages.items()]
