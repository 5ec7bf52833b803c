"""tokens.pack and tokens.pairs: encode documents into token shards, one shard per document shard.

Every document is BOS … EOS; a conversation has its turns in the chat template's special tokens. A preference is two
such conversations, the one with the better answer first, and packed apart from everything else: nobody is to learn
its second answer. Nothing is truncated or dropped: documents follow each other; pre-training cuts sequences across
them, instruction keeps them whole.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fonderie.core.document import read_documents, shard_paths
from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Inputs, Output, Parameters, Port, step
from fonderie.tokens.shards import Extent, ShardEntry, ShardIndex, dtype_for, write_shard
from fonderie.tokens.tokenizer import Tokenizer


class PackParameters(Parameters):
    """Packing has no dial: tokenizer and documents say it all."""


class PairsParameters(Parameters):
    """Packing has no dial: tokenizer and documents say it all."""


class _Packed(NamedTuple):
    entry: ShardEntry
    sources: dict[str, dict[str, int]]


@step(
    "tokens.pack",
    version=2,
    parameters=PackParameters,
    produces="tokens",
    inputs={"documents": Port("documents", many=True), "tokenizer": Port("tokenizer")},
)
def pack(inputs: Inputs, params: PackParameters, out: Output, machine: Machine) -> None:  # noqa: ARG001
    """Write tokens/, offsets/ and index.json; statistics count documents, tokens and bytes per source."""
    _pack(inputs, out, machine, as_pairs=False)


@step(
    "tokens.pairs",
    version=1,
    parameters=PairsParameters,
    produces="pairs",
    inputs={"documents": Port("documents", many=True), "tokenizer": Port("tokenizer")},
)
def pairs(inputs: Inputs, params: PairsParameters, out: Output, machine: Machine) -> None:  # noqa: ARG001
    """Write preferences as tokens.pack writes documents, each as two conversations: better answer, then worse."""
    _pack(inputs, out, machine, as_pairs=True)


def _pack(inputs: Inputs, out: Output, machine: Machine, *, as_pairs: bool) -> None:
    sources = write_tokens(
        inputs.all("documents"), inputs.one("tokenizer").path, out.path, machine, as_pairs=as_pairs
    )
    tokens = sum(counts["tokens"] for counts in sources.values())
    out.statistics.update(tokens=tokens, sources=sources)


def write_tokens(
    documents: Sequence[Artifact], tokenizer_folder: Path, folder: Path, machine: Machine, *, as_pairs: bool
) -> dict[str, dict[str, int]]:
    """Write tokens/, offsets/ and index.json into a folder; returns documents, tokens and bytes of each source.

    InputError for a document that is not what is packed, and where there is none.
    """
    tokenizer = Tokenizer(tokenizer_folder)
    shards = [path for artifact in documents for path in shard_paths(artifact.path)]
    dtype = dtype_for(tokenizer.vocabulary)
    work = partial(_pack_shard, tokenizer_folder=tokenizer_folder, out=folder, dtype=dtype, as_pairs=as_pairs)
    packed = list(machine.map(work, list(enumerate(shards)), label="packing"))
    index = ShardIndex(
        dtype=dtype,
        vocabulary=tokenizer.vocabulary,
        bos=tokenizer.bos,
        eos=tokenizer.eos,
        end=tokenizer.end,
        shards=[result.entry for result in packed],
    )
    if not any(entry.tokens for entry in index.shards):
        raise InputError(
            "no document is left to pack", hint="`fonderie show` says which step dropped them, and why."
        )
    (folder / "index.json").write_text(json.dumps(index.model_dump(), indent=1) + "\n", encoding="utf-8")
    sources: dict[str, dict[str, int]] = {}
    for result in packed:
        for source, counts in result.sources.items():
            into = sources.setdefault(source, dict.fromkeys(counts, 0))
            for name, value in counts.items():
                into[name] += value
    return dict(sorted(sources.items()))


def _pack_shard(job: tuple[int, Path], *, tokenizer_folder: Path, out: Path, dtype: str, as_pairs: bool) -> _Packed:
    number, path = job
    tokenizer = Tokenizer(tokenizer_folder)
    encode = tokenizer.encode_preference if as_pairs else tokenizer.encode_document

    def encoded() -> Any:
        for document in read_documents(path):
            size = len(document.text.encode("utf-8"))
            extent = Extent(document.id, document.source, document.origin, document.licence, 0, 0, size)
            yield extent, encode(document)

    entry, extents = write_shard(out, number, dtype, encoded())
    sources: dict[str, dict[str, int]] = {}
    for extent in extents:
        counts = sources.setdefault(extent.source, {"documents": 0, "tokens": 0, "size_bytes": 0})
        counts["documents"] += 1
        counts["tokens"] += extent.length
        counts["size_bytes"] += extent.size_bytes
    return _Packed(entry, sources)
