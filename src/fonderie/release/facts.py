"""What every page of a release is written from: all that the folder holds, gathered once.

No clock and no name of a machine is among it: the same folder gives the same pages, wherever they are written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict

from fonderie.core.digest import digest_json
from fonderie.core.document import FOLDER
from fonderie.core.manifest import FileEntry, Manifest
from fonderie.core.placeholders import is_placeholder
from fonderie.release.account import counted, document_files, reads_sources
from fonderie.release.attribution import Attribution
from fonderie.release.energy import Electricity, EnergyAccount
from fonderie.release.findings.openness import Finding
from fonderie.release.law.publisher import Publisher
from fonderie.release.layout import ReleaseIndex, manifest_name
from fonderie.release.records import Report, SourceReport

DOCUMENTS = f"data/{FOLDER}/"
"""Where a release that distributes its training documents holds them."""
UNKNOWN_TIME = "1970-01-01T00:00:00Z"
"""What stands where a format demands a time and no manifest states one."""


class Sample(BaseModel):
    """What a card shows of one sample."""

    model_config = ConfigDict(frozen=True)

    prompt: str
    kind: str
    answer: str


@dataclass(frozen=True)
class Facts:
    """A release, as its pages see it."""

    index: ReleaseIndex
    """`files` is not looked at: the pages are written before it is."""
    manifests: Sequence[Manifest]
    """In the order of the run."""
    lock: Mapping[str, Any]
    calls: Mapping[str, str]
    """The recipe's name of each key."""
    report: Report
    findings: Sequence[Finding]
    attributions: Sequence[Attribution]
    samples: Sequence[Sample]
    config: Mapping[str, Any]
    """config.json."""
    files: Mapping[str, str]
    """Digest of every file but the pages and release.json."""
    sizes: Mapping[str, int]
    """Bytes of the same files."""
    energy: EnergyAccount
    publisher: Publisher | None = None
    """What publisher.toml says, where the release has one."""

    @cached_property
    def identity(self) -> str:
        """A digest of everything the pages are written from: it names this release in formats that want a name."""
        return digest_json([self.index.name, self.index.version, sorted(self.files.items())])

    @cached_property
    def documents(self) -> tuple[str, ...]:
        """The Parquet files of the training documents that the release distributes, in order."""
        found = (name for name in self.files if name.startswith(DOCUMENTS) and name.endswith(".parquet"))
        return tuple(sorted(found))

    @cached_property
    def supplier(self) -> str | None:
        """Who publishes, as publisher.toml names them; None where it names nobody."""
        name = self.publisher.provider.legal_name if self.publisher else None
        return name if name and not is_placeholder(name) else None

    @property
    def electricity(self) -> Electricity | None:
        """What the publisher says of the electricity used."""
        return self.publisher.electricity if self.publisher else None

    @cached_property
    def finished(self) -> str:
        """When the last of its makings ended, ISO 8601 in UTC to the second; UNKNOWN_TIME if none says."""
        return max((self.ended(manifest) for manifest in self.manifests), default=UNKNOWN_TIME)

    @cached_property
    def published(self) -> str:
        """The day of publication: the publisher's word, else the day on which the last making ended."""
        day = self.publisher.market.release_date if self.publisher else None
        return day.isoformat() if day else self.finished[:10]

    @cached_property
    def published_time(self) -> str:
        """The same as a time: midnight of the publisher's day, or the end of the last making."""
        day = self.publisher.market.release_date if self.publisher else None
        return f"{day.isoformat()}T00:00:00Z" if day else self.finished

    @cached_property
    def trained(self) -> str:
        """When the last training ended; UNKNOWN_TIME if no manifest says."""
        return max((self.ended(manifest) for manifest in self.steps("train.")), default=UNKNOWN_TIME)

    @cached_property
    def sources(self) -> tuple[SourceReport, ...]:
        """The sources that were trained on."""
        return tuple(source for source in self.report.sources if source.tokens) or self.report.sources

    def attribution(self, source: str) -> Attribution | None:
        """Authors, origins and licences of a source's documents, if any was packed."""
        return next((item for item in self.attributions if item.source == source), None)

    def licences(self, source: SourceReport) -> tuple[str, ...]:
        """The licences of a source's documents that were trained on; of those read, if none was packed."""
        attribution = self.attribution(source.name)
        return tuple(attribution.licences) if attribution else tuple(count.licence for count in source.licences)

    def readers(self, source: str) -> list[Manifest]:
        """The makings through which a source's documents entered."""
        return [manifest for manifest in self.manifests if reads_sources(manifest) and source in counted(manifest)]

    def source_files(self, source: str) -> list[FileEntry]:
        """The files that a source was read from, named and hashed; none if it was generated."""
        return [entry for manifest in self.readers(source) for entry in document_files(manifest)]

    def manifest_file(self, manifest: Manifest) -> str:
        """Where the release holds a manifest."""
        return manifest_name(manifest.key)

    def software(self, manifest: Manifest) -> str:
        """The version of Fonderie that made it; "of unknown version" if it does not say."""
        return str(manifest.environment.get("libraries", {}).get("fonderie") or "of unknown version")

    def steps(self, prefix: str) -> list[Manifest]:
        """The makings by steps whose name begins so."""
        return [manifest for manifest in self.manifests if manifest.step.startswith(prefix)]

    def began(self, manifest: Manifest) -> str:
        """When a making began, to the second; UNKNOWN_TIME if it does not say."""
        start = _time(manifest.started)
        return _stamp(start) if start else UNKNOWN_TIME

    def ended(self, manifest: Manifest) -> str:
        """When a making ended, to the second; UNKNOWN_TIME if it does not say."""
        start = _time(manifest.started)
        return _stamp(start + timedelta(seconds=manifest.duration_seconds)) if start else UNKNOWN_TIME


def _time(text: str) -> datetime | None:
    if not text:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
