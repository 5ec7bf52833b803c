"""What the documents trained on look like: languages, dates, forms and web domains, counted from the documents.

Manifests count documents and tokens; a public summary also asks for languages and for the largest domains.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, TypeAdapter

from fonderie.core.document import read_record_batches, shard_paths
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact
from fonderie.release.account import packed

_COLUMNS = ["source", "origin", "language", "created", "metadata", "text"]
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
    found: dict[str, _Counts] = {}
    for counts in machine.map(_survey_shard, shards, label="surveying"):
        for source, of_shard in counts.items():
            found.setdefault(source, _Counts()).add(of_shard)
    return [_as_survey(source, counts) for source, counts in sorted(found.items())]


def _survey_shard(path: Path) -> dict[str, _Counts]:
    found: dict[str, _Counts] = {}
    for source, origin, language, created, metadata, size_bytes in _rows(path):
        counts = found.setdefault(source, _Counts())
        counts.documents += 1
        counts.languages[language or UNSTATED] += size_bytes
        counts.forms[dict(metadata or ()).get("form", "text")] += 1
        if created:
            counts.created.add(created)
        domain = web_domain(origin)
        if domain:
            counts.domains[domain] += size_bytes
    for counts in found.values():
        counts.created = _ends(counts.created)
    return found


def _rows(path: Path) -> Iterator[tuple[str, str, str | None, str | None, list[tuple[str, str]], int]]:
    for batch in read_record_batches(path, _COLUMNS):
        sizes = pc.binary_length(batch.column("text").cast("binary")).to_pylist()
        columns = [batch.column(name).to_pylist() for name in _COLUMNS[:-1]]
        yield from zip(*columns, sizes, strict=True)


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
