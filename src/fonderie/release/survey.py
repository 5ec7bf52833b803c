"""What the documents trained on look like: languages, dates, forms and web domains, counted from the documents.

Manifests count documents and tokens; a public summary also asks for languages and for the largest domains.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, TypeAdapter

from fonderie.core.document import read_record_batches, shard_paths
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact
from fonderie.release.account import packed

COLUMNS = ("source", "origin", "language", "created", "metadata")
UNSTATED = ""
"""The language of documents whose source states none."""


class SourceSurvey(BaseModel):
    """One source's documents that were packed for training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    documents: int
    size_bytes: int
    """Of UTF-8 text."""
    languages: dict[str, int]
    """Bytes of text by ISO 639 code as the source states it; "" where it states none."""
    forms: dict[str, int]
    """Documents by form, such as "conversation"; "text" where none is recorded."""
    created: tuple[str, str] | None
    """Earliest and latest date of the works, as recorded; None where none is."""
    domains: dict[str, int]
    """Bytes of text by web domain, for documents whose origin is an address; the largest first."""


SURVEY = TypeAdapter(list[SourceSurvey])
FILE = "survey.json"


class _Counts:
    def __init__(self) -> None:
        self.documents = 0
        self.languages, self.forms, self.domains = Counter[str](), Counter[str](), Counter[str]()
        self.created: set[str] = set()

    def add(self, other: "_Counts") -> None:
        self.documents += other.documents
        self.languages.update(other.languages)
        self.forms.update(other.forms)
        self.domains.update(other.domains)
        # Only the ends are kept: a million dates need not travel.
        self.created = _ends(self.created | other.created)


def survey(lineage: Iterable[Artifact], machine: Machine) -> list[SourceSurvey]:
    """Survey every document that a tokens.pack of this lineage took."""
    documents = {
        artifact.key: artifact
        for pack in lineage
        if packed(pack.manifest)
        for artifact in pack.upstream.get("documents", ())
    }
    return survey_shards([path for artifact in documents.values() for path in shard_paths(artifact.path)], machine)


def survey_shards(shards: Sequence[Path], machine: Machine) -> list[SourceSurvey]:
    """Survey the documents of some shards, source by source."""
    found = Surveyed()
    for of_shard in machine.map(_survey_shard, shards, label="surveying"):
        found.merge(of_shard)
    return found.all()


class Surveyed:
    """Counts documents, one at a time, or what was counted elsewhere."""

    def __init__(self) -> None:
        self._found: dict[str, _Counts] = {}

    def add(self, row: Mapping[str, Any], size_bytes: int) -> None:
        """One document more, by the names of COLUMNS, and the bytes of its text."""
        counts = self._found.setdefault(row["source"], _Counts())
        counts.documents += 1
        counts.languages[row["language"] or UNSTATED] += size_bytes
        counts.forms[dict(row["metadata"] or ()).get("form", "text")] += 1
        if row["created"]:
            counts.created = _ends(counts.created | {row["created"]})
        domain = web_domain(row["origin"])
        if domain:
            counts.domains[domain] += size_bytes

    def merge(self, other: "Surveyed") -> None:
        """And these."""
        for source, counts in other._found.items():
            self._found.setdefault(source, _Counts()).add(counts)

    def all(self) -> list[SourceSurvey]:
        """Source by source."""
        return [_as_survey(source, counts) for source, counts in sorted(self._found.items())]


def _survey_shard(path: Path) -> Surveyed:
    found = Surveyed()
    for batch in read_record_batches(path, [*COLUMNS, "text"]):
        sizes = pc.binary_length(batch.column("text").cast("binary")).to_pylist()
        for row, size_bytes in zip(batch.select(list(COLUMNS)).to_pylist(), sizes, strict=True):
            found.add(row, size_bytes)
    return found


def web_domain(origin: str) -> str:
    """The domain of a web address; empty for anything else, such as a file's name."""
    if not origin.startswith(("http://", "https://")):
        return ""
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def _ends(dates: set[str]) -> set[str]:
    return {min(dates), max(dates)} if dates else set()


def _as_survey(source: str, counts: _Counts) -> SourceSurvey:
    def largest_first(counter: Counter[str]) -> dict[str, int]:
        return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))

    return SourceSurvey(
        source=source,
        documents=counts.documents,
        size_bytes=counts.languages.total(),
        languages=largest_first(counts.languages),
        forms=largest_first(counts.forms),
        created=(min(counts.created), max(counts.created)) if counts.created else None,
        domains=largest_first(counts.domains),
    )
