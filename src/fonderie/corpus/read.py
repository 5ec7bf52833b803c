"""corpus.read: files from outside to documents, through the licence gate.

Before any step of the recipe starts, the gate judges the declared licence and what each file states in its header
(TEI, Markdown front matter); rows of tables and pages of the web are judged as they are read.

One file at a time is open, and one row group and the ledger of one shard are held, whatever a file's size: a file
of ten gigabytes becomes many shards.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from fonderie.core.document import Document, shard_path, shard_paths
from fonderie.core.errors import InputError, LicenceError
from fonderie.core.ledger import ledger_path, merge
from fonderie.core.machine import Machine
from fonderie.core.step import TOMBSTONES, Inputs, Output, Policy, Source, step
from fonderie.corpus.formats import check_libraries, raws, stated_by
from fonderie.corpus.read_parameters import STATE_THEIR_OWN, ReadParameters
from fonderie.corpus.readers.raw import Raw
from fonderie.corpus.rights import admit, licence_of
from fonderie.corpus.sourcing import check_form, read_form
from fonderie.corpus.tombstones import load_tombstones
from fonderie.corpus.transform import Decision, drop, keep, write_shard

__all__ = ["ReadParameters", "read", "refuse_early"]

GROUP_BYTES = 8 << 20
"""Files are read in groups of about this size, one shard each: enough to share out, few enough to list."""
SHARD_CHARACTERS = 1 << 26
"""A shard of a larger file ends after this many characters: the steps that follow share out shards, not files."""
SHARD_DOCUMENTS = 100_000
"""Or after so many documents, whose ledger is held until the shard is written: some 80 MB."""
_SHARDS_OF_A_GROUP = 1_000_000
"""Shards are numbered by group and place in it while they are written, then counted through."""
DAMAGED = "damaged file in quarantine"


class Admission(Protocol):
    """What a step that reads files must be told of them, whatever their format."""

    @property
    def source(self) -> str: ...
    @property
    def licence(self) -> str | None: ...
    @property
    def collection_licence(self) -> str | None: ...
    @property
    def language(self) -> str | None: ...
    @property
    def restricted_rows(self) -> Literal["stop", "drop"]: ...
    @property
    def damaged(self) -> Literal["stop", "quarantine"]: ...
    @property
    def policy(self) -> Policy: ...


Reader = Callable[[Path, Any], Iterator[Raw]]
"""The documents of a file, given the step's parameters; a function of a module, as it goes to other processes."""


def refuse_early(params: ReadParameters, sources: Mapping[str, tuple[Source, ...]]) -> None:
    """Judge what can be known before reading: libraries, the declared licence, each file's header, tombstones."""
    check_libraries(params)
    load_tombstones(sources.get(TOMBSTONES, ()))
    sourcing_of(params, sources)
    if params.licence is None and params.format in STATE_THEIR_OWN:
        return
    if params.licence is not None and not sources["path"]:  # only checked, far from the data
        admit(licence_of(params.licence, None, params.source), params.policy, params.source)
    for source in sources["path"]:
        try:
            stated = stated_by(source.path, params)
        except InputError:
            if params.damaged == "stop":
                raise
            continue  # what is in quarantine needs no licence
        admit(licence_of(params.licence, stated, str(source.path)), params.policy, str(source.path))


def sourcing_of(params: Admission, sources: Mapping[str, tuple[Source, ...]]) -> dict[str, Any] | None:
    """What the sourcing form says, checked against the recipe; None if there is none."""
    forms = sources.get("sourcing", ())
    if not forms:
        return None
    if len(forms) > 1:
        raise InputError(
            f"the sourcing forms of {params.source} are {len(forms)} files", hint="A source has one form."
        )
    form, path = read_form(forms[0].path), str(forms[0].path)
    return check_form(form, params.licence, params.collection_licence, params.policy, path)


class _Group(NamedTuple):
    number: int
    files: tuple[Source, ...]


class _Result(NamedTuple):
    """What one group came to."""

    sources: dict[str, dict[str, Any]]
    licences: Counter[str]
    counted: Counter[str]
    damaged: list[dict[str, Any]]


@step(
    "corpus.read",
    version=3,
    parameters=ReadParameters,
    produces="documents",
    preflight=refuse_early,
    obeys_tombstones=True,
)
def read(inputs: Inputs, params: ReadParameters, out: Output, machine: Machine) -> None:
    """Read every file but what was erased; statistics count documents, licences, pages, and files in quarantine."""
    read_files(raws, inputs, params, out, machine)


def read_files(reader: Reader, inputs: Inputs, params: Admission, out: Output, machine: Machine) -> None:
    """Documents of the files in `path`, with their ledger and statistics, through the licence gate."""
    groups = _group(inputs.sources["path"])
    work = partial(_read_group, reader=reader, params=params, out=out.path, lists=inputs.tombstones)
    results = list(machine.map(work, groups, label="reading"))
    _count_through(out.path)
    out.statistics["sources"] = merge(result.sources for result in results)
    out.statistics["licences"] = {params.source: _sum(result.licences for result in results)}
    out.statistics["files"] = len(inputs.sources["path"])
    sourcing = sourcing_of(params, inputs.sources)
    if sourcing is not None:
        out.statistics["sourcing"] = {params.source: sourcing}
    counted = _sum(result.counted for result in results)
    if counted:
        out.statistics["counted"] = counted
    if params.damaged == "quarantine":
        out.statistics["damaged"] = [file for result in results for file in result.damaged]


def _sum(counts: Iterable[Counter[str]]) -> dict[str, int]:
    return dict(sorted(sum(counts, Counter()).items()))


def _group(files: tuple[Source, ...]) -> list[_Group]:
    groups: list[list[Source]] = [[]]
    size = 0
    for file in files:
        if size >= GROUP_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.entry.size_bytes
    return [_Group(index, tuple(group)) for index, group in enumerate(groups)]


def _read_group(
    group: _Group, *, reader: Reader, params: Admission, out: Path, lists: tuple[Source, ...]
) -> _Result:
    result = _Result({}, Counter(), Counter(), [])
    tombstones = load_tombstones(lists)

    def decisions() -> Iterator[tuple[Document, Decision]]:
        files = (_file(source, reader, params, result) for source in group.files)
        for document, raw, refusal in chain.from_iterable(files):
            decision = tombstones.refuse(document) or _decide(document, raw, refusal, params)
            if decision.document is not None:
                result.licences[document.licence] += 1
            if raw.counted:
                result.counted.update({name: count for name, count in raw.counted.items() if count})
            yield document, decision

    summaries = _write_shards(out, group.number * _SHARDS_OF_A_GROUP, decisions())
    return result._replace(sources=merge(summaries))


def _write_shards(
    out: Path, first: int, decisions: Iterator[tuple[Document, Decision]]
) -> list[dict[str, dict[str, Any]]]:
    """As many shards as the documents need, at least one; returns their summaries."""
    summaries: list[dict[str, dict[str, Any]]] = []
    following = next(decisions, None)
    while following is not None or not summaries:
        start = [following] if following is not None else []
        summaries.append(write_shard(out, first + len(summaries), _up_to_a_shard(chain(start, decisions))))
        following = next(decisions, None)
    return summaries


def _up_to_a_shard(decisions: Iterator[tuple[Document, Decision]]) -> Iterator[tuple[Document, Decision]]:
    characters = 0
    for count, (document, decision) in enumerate(decisions, start=1):
        yield document, decision
        characters += len(document.text)
        if characters >= SHARD_CHARACTERS or count >= SHARD_DOCUMENTS:
            return


def _count_through(out: Path) -> None:
    """Name the shards 00000, 00001, … whatever group they came from; each moves down or stays, in order."""
    for index, path in enumerate(shard_paths(out)):
        ledger_path(out, int(path.stem)).rename(ledger_path(out, index))
        path.rename(shard_path(out, index))


_Read = tuple[Document, Raw, LicenceError | None]


def _file(source: Source, reader: Reader, params: Admission, result: _Result) -> Iterator[_Read]:
    """The documents of a file; or in quarantine one that stands for it, dropped, if any of it cannot be read."""
    if params.damaged == "quarantine":
        try:
            for _ in _documents(source, reader, params):
                pass
        except InputError as error:
            size = source.entry.size_bytes
            result.damaged.append({"file": source.name, "size_bytes": size, "reason": error.message})
            stands_for_it = Document(text="", source=params.source, origin=source.name, licence="unknown")
            yield stands_for_it, Raw("", left_out=DAMAGED, detail=error.message), None
            return
    yield from _documents(source, reader, params)


def _documents(source: Source, reader: Reader, params: Admission) -> Iterator[_Read]:
    for raw in reader(source.path, params):
        where = f"{source.path}{raw.fragment}"
        licence, refusal = "unknown", None
        if raw.left_out is None:
            try:
                licence = licence_of(params.licence, raw.licence, where)
            except LicenceError as error:
                refusal = error
        try:
            document = Document(
                text=raw.text,
                source=params.source,
                origin=source.name + raw.fragment,
                licence=licence,
                collection_licence=params.collection_licence,
                language=raw.language or params.language,
                created=raw.created,
                author=raw.author,
                metadata=raw.metadata,
            )
        except UnicodeEncodeError as error:
            raise InputError(
                f"{where}: half of a surrogate pair at character {error.start:,} of its text"
            ) from error
        yield document, raw, refusal


def _decide(document: Document, raw: Raw, refusal: LicenceError | None, params: Admission) -> Decision:
    if raw.left_out is not None:
        return drop(raw.left_out, raw.detail)
    if not document.text or document.text.isspace():
        return drop("empty text")
    try:
        if refusal is not None:
            raise refusal
        admit(document.licence, params.policy, document.origin)
    except LicenceError as error:
        if params.restricted_rows == "stop":
            raise
        return drop("licence refused by the policy", error.message)
    return keep(document)
