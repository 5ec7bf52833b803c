"""corpus.mix: how often each document is seen, per source; one call for each phase of training.

Epochs of a source are given, or follow from weights and a total. A share of an epoch takes the documents whose hash
is smallest, so that more epochs always contain fewer. Repeats go into shards of their own, one epoch after the
other, so that two copies never stand side by side.

    plan.parquet    one row per document: id, source, phase, how often it is seen
    plan.json       per source: bytes, share wanted, epochs, share obtained, and whether the cap held it back
"""

import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, model_validator

from fonderie.core.document import Document, read_documents, shard_path, shard_paths, write_documents
from fonderie.core.errors import StepError, UsageError
from fonderie.core.ledger import merge
from fonderie.core.machine import Machine
from fonderie.core.step import CallName, Inputs, Output, Parameters, Port, step
from fonderie.corpus.transform import Decision, drop, keep, write_shard

PLAN_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("phase", pa.string(), nullable=False),
        pa.field("seen", pa.int32(), nullable=False),
    ]
)
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kMGT]?)B")
_SCALES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def size_bytes(text: str) -> int:
    """A size as people write it, "2.5 GB" of UTF-8 text, in bytes; ValueError if it is none."""
    match = _SIZE.fullmatch(text)
    if match is None or not float(match[1]):
        raise ValueError(f"{text!r} is not a size such as '800 MB' or '2.5 GB'")
    return round(float(match[1]) * _SCALES[match[2]])


def _readable(text: str) -> str:
    size_bytes(text)
    return text


Size = Annotated[str, AfterValidator(_readable)]


class MixParameters(Parameters):
    """Either epochs by source, or weights (given, or by temperature) with a total."""

    phase: CallName
    """The phase of training that this mix is for; the call's own name unless given."""
    epochs: dict[str, NonNegativeFloat] = Field(default={})
    """How often each source is seen; 0.4 is two documents in five. Sources left out are seen once."""
    weights: dict[str, NonNegativeFloat] = Field(default={})
    """Relative shares of text by source, with `total`. Sources left out get none, and the ledger says so."""
    temperature: PositiveFloat | None = None
    """Instead of weights: shares go as size^(1/temperature); 1 leaves them as they are, more evens them out
    (arXiv 1911.02116)."""
    total: Size | None = None
    """Text in the mix, such as "2.5 GB"; epochs follow from it."""
    cap: PositiveFloat = 4.0
    """Most epochs of any source. Up to 4 repeated text is nearly as good as new (arXiv 2305.16264, figure 5)."""
    caps: dict[str, PositiveFloat] = Field(default={})
    """Most epochs of single sources, where other than `cap`."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        shares = bool(self.weights) + (self.temperature is not None)
        if shares > 1 or (shares and self.epochs):
            raise ValueError("give one of epochs, weights and temperature")
        if bool(shares) != (self.total is not None):
            raise ValueError("weights or temperature need a total, and a total needs one of them")
        if self.weights and not any(self.weights.values()):
            raise ValueError("all weights are zero")
        for source, count in self.epochs.items():
            if count > self.cap_of(source):
                raise ValueError(f"{source}: {count:g} epochs are above its cap of {self.cap_of(source):g}")
        return self

    def cap_of(self, source: str) -> float:
        """Most epochs of a source."""
        return self.caps.get(source, self.cap)


class Planned(NamedTuple):
    """What a mix takes of one source."""

    size_bytes: int
    """Of one epoch."""
    wanted: float | None
    """Share of the mix that was asked for; None where epochs were."""
    epochs: float
    capped: bool

    @property
    def taken_bytes(self) -> float:
        """Expected, before documents are drawn whole."""
        return self.epochs * self.size_bytes


def plan(sizes: Mapping[str, int], params: MixParameters) -> dict[str, Planned]:
    """Epochs of each source of these sizes (bytes).

    What a cap holds back goes to the other sources, in their proportions. UsageError names sources that the
    parameters know and the documents do not; StepError says when no source is left to make up the total.
    """
    named = {*params.epochs, *params.weights, *params.caps}
    unknown = sorted(named - sizes.keys())
    if unknown:
        raise UsageError(
            f"the mix names sources that its documents do not have: {', '.join(unknown)}",
            hint=f"They have: {', '.join(sorted(sizes))}.",
        )
    if sizes and not any(params.epochs.get(name, 1.0) for name in sizes):
        raise UsageError("the mix is empty: the epochs of all its sources are 0", hint="Leave the call out.")
    if params.total is None:
        return {name: Planned(size, None, params.epochs.get(name, 1.0), False) for name, size in sizes.items()}
    shares = _shares(sizes, params)
    epochs, capped = _fill(sizes, shares, params, size_bytes(params.total))
    return {
        name: Planned(size, shares.get(name, 0.0), epochs.get(name, 0.0), name in capped)
        for name, size in sizes.items()
    }


def _shares(sizes: Mapping[str, int], params: MixParameters) -> dict[str, float]:
    if params.temperature is None:
        raw = {name: weight for name, weight in params.weights.items() if weight and sizes[name]}
    else:
        raw = {name: size ** (1 / params.temperature) for name, size in sizes.items() if size}
    whole = math.fsum(raw.values())
    return {name: value / whole for name, value in raw.items()}


def _fill(
    sizes: Mapping[str, int], shares: Mapping[str, float], params: MixParameters, total: int
) -> tuple[dict[str, float], set[str]]:
    """Epochs that make up the total: sources at their cap are set, and the rest share what is left."""
    capped: dict[str, float] = {}
    while True:
        free = {name: share for name, share in shares.items() if name not in capped}
        left = total - math.fsum(sizes[name] * count for name, count in capped.items())
        whole = math.fsum(free.values())
        if not free:
            if left > 1:
                raise StepError(
                    f"a mix of {total:,} bytes cannot be made: at their caps the sources give {total - left:,.0f}",
                    hint="Ask for a smaller total, raise a cap, or give more documents.",
                )
            return capped, set(capped)
        epochs = {name: left * share / whole / sizes[name] for name, share in free.items()}
        over = {name for name, count in epochs.items() if count > params.cap_of(name)}
        if not over:
            return {**capped, **epochs}, set(capped)
        capped |= {name: params.cap_of(name) for name in over}


@step(
    "corpus.mix",
    version=1,
    parameters=MixParameters,
    produces="documents",
    inputs={"documents": Port("documents", many=True)},
)
def mix(inputs: Inputs, params: MixParameters, out: Output, machine: Machine) -> None:
    """Write each document as often as it is seen, and the plan."""
    shards = [path for artifact in inputs.all("documents") for path in shard_paths(artifact.path)]
    sizes: dict[str, int] = {}
    for found in machine.map(_sizes, shards, label="weighing"):
        for source, size in found.items():
            sizes[source] = sizes.get(source, 0) + size
    planned = plan(dict(sorted(sizes.items())), params)
    passes = max(1, math.ceil(max((entry.epochs for entry in planned.values()), default=1.0)))
    scratch = out.state / "plan"
    scratch.mkdir(parents=True, exist_ok=True)
    layout = _Layout(planned, params.phase, len(shards), passes, out.path, scratch)
    results = list(machine.map(partial(_shard, layout=layout), list(enumerate(shards)), label="mixing"))
    with pq.ParquetWriter(out.path / "plan.parquet", PLAN_SCHEMA, compression="zstd") as writer:
        for index in range(len(shards)):
            with pa.OSFile(str(layout.rows(index))) as file:
                writer.write_table(pa.ipc.open_file(file).read_all())
    shutil.rmtree(scratch)
    taken: dict[str, int] = dict.fromkeys(planned, 0)
    for result in results:
        for source, size in result.taken.items():
            taken[source] += size
    account = _account(planned, taken)
    (out.path / "plan.json").write_text(
        json.dumps({"phase": params.phase, "sources": account}, indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    out.statistics["sources"] = merge(result.summary for result in results)
    out.statistics["mix"] = account


def _account(planned: Mapping[str, Planned], taken: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    whole = sum(taken.values())
    return {
        name: {
            "size_bytes": entry.size_bytes,
            "share_wanted": None if entry.wanted is None else round(entry.wanted, 6),
            "epochs": round(entry.epochs, 6),
            "taken_bytes": taken[name],
            "share": round(taken[name] / whole, 6) if whole else 0.0,
            "held_back_by_cap": entry.capped,
        }
        for name, entry in planned.items()
    }


def seen(document_id: str, phase: str, epochs: float) -> int:
    """How often a document is seen: every whole epoch, and the last part of one if its hash is small enough.

    More epochs never take a document away; another phase draws other documents.
    """
    whole = math.floor(epochs)
    lot = int.from_bytes(blake2b(f"{phase}\0{document_id}".encode(), digest_size=8).digest(), "big")
    return whole + (lot < (epochs - whole) * 2.0**64)


def _sizes(path: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for document in read_documents(path):
        sizes[document.source] = sizes.get(document.source, 0) + len(document.text.encode("utf-8"))
    return sizes


@dataclass(frozen=True)
class _Layout:
    """What is mixed, and where it goes."""

    planned: Mapping[str, Planned]
    phase: str
    shards: int
    passes: int
    out: Path
    scratch: Path

    def rows(self, index: int) -> Path:
        """Where a shard's part of the plan waits: a row for each document is too much for the driver's memory."""
        return self.scratch / f"{index:05d}.arrow"


class _Mixed(NamedTuple):
    summary: dict[str, dict[str, Any]]
    taken: dict[str, int]


def _shard(job: tuple[int, Path], *, layout: _Layout) -> _Mixed:
    index, path = job
    planned, phase, out = layout.planned, layout.phase, layout.out
    rows: list[tuple[str, str, str, int]] = []
    taken: dict[str, int] = {}

    def first() -> Iterator[tuple[Document, Decision]]:
        for document in read_documents(path):
            epochs = planned[document.source].epochs
            count = seen(document.id, phase, epochs)
            rows.append((document.id, document.source, phase, count))
            taken[document.source] = taken.get(document.source, 0) + count * len(document.text.encode("utf-8"))
            if count:
                yield document, keep(document)._replace(detail=f"seen {count} times" if count > 1 else None)
            else:
                yield document, drop(f"not drawn for {phase}", f"{epochs:g} epochs of {document.source}")

    summary = write_shard(out, index, first())
    columns = list(zip(*rows, strict=True)) or [()] * len(PLAN_SCHEMA)
    table = pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, PLAN_SCHEMA, strict=True)],
        schema=PLAN_SCHEMA,
    )
    with pa.OSFile(str(layout.rows(index)), "wb") as sink, pa.ipc.new_file(sink, PLAN_SCHEMA) as file:
        file.write_table(table)
    for number in range(1, layout.passes):
        again = (
            document
            for document in read_documents(path)
            if seen(document.id, phase, planned[document.source].epochs) > number
        )
        write_documents(shard_path(out, number * layout.shards + index), again)
    return _Mixed(summary, taken)
