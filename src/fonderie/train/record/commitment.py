"""What a training commits to before its first step, and the chain that each step extends.

`commitment.json` is written when the data order, the sizes and the initial weights are settled and nothing has been
learnt. Exactly what is hashed, and how (all with SHA-256):

    tokens         root over the token shards and index.json: (path, size, root over 1 MiB chunks) of each file
    offsets        the same over the files that say which document each token came from
    tokenizer      the digest of tokenizer.json
    parameters     every parameter of the step, defaults included
    shuffle_seed   the first 48 bits of H("fonderie shuffle" || 0x00 || tokens root || parameter `seed` in digits):
                   the data settle their own order, so nobody arranges it, and `seed` still selects a run; no other
                   parameter enters, so that two learning rates can be compared on one order
    further        tokens, offsets and shuffle_seed of each phase after the first, if any; what is hashed for these
                   seeds ends in 0x00 and the number of the phase in digits, from 2
    initial_state  the root of checkpoint 0 (see below)
    base           the digest of the model artifact that a training goes on from   } only where
    special        the ids of the special tokens by which it knows an answer       } there is
    reference      the digest of reference.safetensors, what the base gave pairs   } one
    digest         of the canonical JSON of all this: H_0, where the chain begins

    batch          H(the ids of the batch, row after row, as unsigned 32-bit little-endian integers); where a batch
                   has more than ids, the rest follows as batch.py says
    H_i            H(H_(i-1) || i || batch || loss)              at most steps
                   H(H_(i-1) || i || batch || loss || root)      at a step that writes a checkpoint
                   with i as 8 bytes big-endian, the loss as its IEEE 754 double, big-endian, hashes as 32 bytes
    root           of a checkpoint: over (name, size, sha256) of its files of tensors, which are the weights, the
                   optimizer's state and the random state. A safetensors file is names, types, shapes and bytes and
                   nothing else, so its digest binds them all; `sha256sum` is enough to check one.

Merkle trees are those of core/merkle.py. What this shows and what it cannot: docs/decisions/0011-proof.md.
Imports no torch.
"""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from fonderie.core.digest import digest_json
from fonderie.core.merkle import hash_chunks, named_root, tagged, untagged
from fonderie.tokens.shards import ShardIndex, TokenStream

COMMITMENT = "commitment.json"
DERIVED = "parameters.json"
"""The model artifact's file with every size and setting in full, written by train/committed.py."""
LOG = "log.jsonl"
REFERENCE = "reference.safetensors"
"""What the base of a training on preferences gave each pair: see prefer.py."""
FORMAT = 1
# Any JSON reader keeps a whole number of 48 bits exactly; nobody gains by finding two orders alike.
SEED_BYTES = 6
_SOME_HAVE = ("base", "special", "reference", "further")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRoot(_Record):
    """One file of a tree."""

    path: str
    """Relative to the tokens artifact."""
    size_bytes: int
    root: str
    """Over its chunks of 1 MiB."""


class Tree(_Record):
    """Some files under one root."""

    root: str
    files: tuple[FileRoot, ...]

    @classmethod
    def of(cls, files: Iterable[FileRoot]) -> Self:
        """The tree over files, in path order."""
        ordered = tuple(sorted(files, key=lambda file: file.path))
        return cls(root=named_root((file.path, file.size_bytes, file.root) for file in ordered), files=ordered)


class PhaseData(_Record):
    """What a phase learns from, and in which order."""

    tokens: Tree
    offsets: Tree
    shuffle_seed: int


class Commitment(_Record):
    """What commitment.json holds, but for its digest."""

    format: int = FORMAT
    step: str
    version: int
    parameters: dict[str, Any]
    tokenizer: str
    tokens: Tree
    offsets: Tree
    shuffle_seed: int
    initial_state: str
    base: str | None = None
    special: dict[str, int] | None = None
    reference: str | None = None
    further: tuple[PhaseData, ...] | None = None

    @property
    def data(self) -> tuple[PhaseData, ...]:
        """Of every phase."""
        first = PhaseData(tokens=self.tokens, offsets=self.offsets, shuffle_seed=self.shuffle_seed)
        return (first, *(self.further or ()))

    @property
    def digest(self) -> str:
        """H_0, where the chain begins."""
        return digest_json(self._said())

    def to_json(self) -> str:
        """The text of commitment.json, the digest included."""
        return json.dumps({**self._said(), "digest": self.digest}, indent=1) + "\n"

    def _said(self) -> dict[str, Any]:
        """All of it but what this kind of training has not."""
        said = self.model_dump(mode="json")
        return {name: value for name, value in said.items() if name not in _SOME_HAVE or value is not None}


def parse_commitment(data: bytes) -> Commitment:
    """What commitment.json holds; ValueError (pydantic's included) if it is none, or its digest is another's."""
    values = json.loads(data)
    if not isinstance(values, dict):
        raise ValueError("it is no table")
    digest = values.pop("digest", None)
    commitment = Commitment.model_validate(values)
    if commitment.format != FORMAT:
        raise ValueError(f"it has format {commitment.format}, and this version reads {FORMAT}")
    if commitment.digest != digest:
        raise ValueError("its digest is not that of what it says")
    return commitment


def shuffle_seed(tokens_root: str, seed: int, phase: int = 1) -> int:
    """The seed of the data order, from the tokens, the parameter `seed` and the number of the phase, from 1."""
    data = b"fonderie shuffle\x00" + untagged(tokens_root) + str(seed).encode("ascii")
    if phase > 1:
        data += b"\x00" + str(phase).encode("ascii")
    return int.from_bytes(sha256(data).digest()[:SEED_BYTES], "big")


def committed_files(index: ShardIndex) -> tuple[list[str], list[str]]:
    """The files of a tokens artifact that `tokens` binds, and those that `offsets` binds."""
    tokens = ["index.json", *(shard.tokens_file for shard in index.shards)]
    return tokens, [shard.offsets_file for shard in index.shards]


def phase_data(streams: Sequence[TokenStream], seed: int) -> tuple[PhaseData, ...]:
    """What each phase learns from; a tokens artifact is read once, however many phases share it."""
    found = {stream.folder: trees(stream.folder, stream.index) for stream in streams}
    return tuple(
        PhaseData(tokens=tokens, offsets=offsets, shuffle_seed=shuffle_seed(tokens.root, seed, number))
        for number, (tokens, offsets) in enumerate((found[stream.folder] for stream in streams), 1)
    )


def mix_of_phases(commitment: Commitment, roots: Sequence[str]) -> list[int]:
    """Which of several tokens artifacts, whose roots these are, each phase learnt from, by number.

    They lie in the order in which the phases first take them. That order decides where a phase's root is not there,
    so that whoever checks can name what differs.
    """
    wanted = list(dict.fromkeys(data.tokens.root for data in commitment.data))
    found = {root: roots.index(root) if root in roots else min(n, len(roots) - 1) for n, root in enumerate(wanted)}
    return [found[data.tokens.root] for data in commitment.data]


def trees(folder: Path, index: ShardIndex) -> tuple[Tree, Tree]:
    """The trees over a tokens artifact, every byte read once."""
    tokens, offsets = ([_file_root(folder, name) for name in names] for names in committed_files(index))
    return Tree.of(tokens), Tree.of(offsets)


def _file_root(folder: Path, name: str) -> FileRoot:
    path = folder / name
    return FileRoot(path=name, size_bytes=path.stat().st_size, root=hash_chunks(path).root)


def state_root(files: Mapping[str, tuple[int, str]]) -> str:
    """The root of a checkpoint, from size and digest of each of its files of tensors, by name."""
    return named_root((name, size, digest) for name, (size, digest) in files.items())


def extend(head: str, step: int, batch: str, loss: float, checkpoint: str | None = None) -> str:
    """The chain's next value."""
    parts = [untagged(head), struct.pack(">Q", step), untagged(batch), struct.pack(">d", loss)]
    if checkpoint is not None:
        parts.append(untagged(checkpoint))
    return tagged(sha256(b"".join(parts)).digest())


class LogLine(BaseModel):
    """One step as log.jsonl holds it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    step: int
    tokens: int
    """Seen so far, this step included."""
    loss: float
    """Mean over the batch before the step, nats per token, exact to the last bit."""
    learning_rate: float
    gradient_norm: float
    """Before clipping."""
    batch: str
    """See `batch_hash` in batch.py."""
    checkpoint: str | None = None
    """Root of the checkpoint written after this step, if one was."""
    chain: str
    """See `extend`."""

    def to_json(self) -> str:
        """The line without its end; Python writes a double so that reading gives the same one."""
        return json.dumps(self.model_dump(exclude_none=True))


@dataclass(frozen=True)
class Done:
    """What one step came to."""

    step: int
    tokens: int
    """Inputs of all steps so far."""
    loss: float
    learning_rate: float
    gradient_norm: float
    batch: str

    def line(self, head: str, checkpoint_root: str | None) -> LogLine:
        """The step as the log holds it, the chain going on from `head`."""
        chain = extend(head, self.step, self.batch, self.loss, checkpoint_root)
        return LogLine(**vars(self), checkpoint=checkpoint_root, chain=chain)


def read_log(data: bytes) -> list[LogLine]:
    """Every line of a log; ValueError names the line that is none."""
    lines = []
    for number, text in enumerate(data.splitlines(), 1):
        try:
            lines.append(LogLine.model_validate_json(text))
        except ValueError as error:
            raise ValueError(f"line {number} is no step of a training: {str(error)[:200]}") from error
    return lines


def break_in_chain(head: str, lines: Sequence[LogLine]) -> str | None:
    """The first line that does not follow from the one before it, in words; None if the chain holds.

    `head` is the commitment's digest. Steps must count from 1.
    """
    for number, line in enumerate(lines, 1):
        if line.step != number:
            return f"line {number} is step {line.step}"
        try:
            head = extend(head, line.step, line.batch, line.loss, line.checkpoint)
        except ValueError as error:
            return f"step {number}: {error}"
        if head != line.chain:
            return f"step {number}: the chain is not what the lines up to here give"
    return None
