"""Checkpoints of several processes in the one format that all of Fonderie reads: whole tensors, no pickle.

torch.distributed.checkpoint plans who writes and reads what, and carries it out in a thread beside the training;
its own formats are not taken. One holds its plan as a pickle, which executes what it loads; the other writes a file
for each process, so that the bytes of a checkpoint, and its root in the commitment, would depend on how many there
were. Here every process writes its shards where they belong in files that hold whole tensors, as `save_file` of
safetensors would have written them: the same state gives the same bytes, whoever writes it (decision 0025).

A tensor is known to the planner as "group:name", the group being the file.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadPlan, SavePlan, WriteItem
from torch.distributed.checkpoint.storage import StorageReader, StorageWriter, WriteResult
from torch.futures import Future

# As safetensors names them, in the order in which its serializer sorts tensors: the largest alignment first.
DTYPES: dict[torch.dtype, str] = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_BY_NAME = {name: dtype for dtype, name in DTYPES.items()}
RowOrder = Callable[[str], Tensor | None]
"""The order of a tensor's rows in memory, by its name within its group: see shard.py."""


@dataclass(frozen=True)
class Place:
    """Where a tensor lies in a file."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    """Offset of its first byte in the file."""

    def runs(self, offsets: Iterable[int], sizes: Iterable[int], rows: Tensor | None) -> Iterator["Run"]:
        """The stretches of the file that a block of the tensor covers; `rows` says where its rows are."""
        item = self.dtype.itemsize
        if not self.shape:
            yield Run(self.start, 0, 1, item)
            return
        (first, *skipped), (count, *taken) = offsets, sizes
        inner = 1
        for length in self.shape[1:]:
            inner *= length
        whole = list(self.shape[1:]) == taken
        numbers = range(first, first + count) if rows is None else rows[first : first + count].tolist()
        if not whole and len(self.shape) != 2:
            raise ValueError(f"a tensor of {len(self.shape)} dimensions can be cut along the first alone")
        column, width = (0, inner) if whole else (skipped[0], taken[0])
        for start, stop in _stretches(numbers) if whole else ((place, place + 1) for place in range(count)):
            at = self.start + (numbers[start] * inner + column) * item
            yield Run(at, start, stop - start, (stop - start) * width * item)


@dataclass(frozen=True)
class Run:
    """Some rows of a block, which lie together in the file."""

    at: int
    """Offset in the file."""
    row: int
    """The block's first row."""
    rows: int
    size_bytes: int


def _stretches(numbers: Any) -> Iterator[tuple[int, int]]:
    """Index ranges over which numbers count upwards by one."""
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[place - 1] + 1:
            yield start, place
            start = place


def layout(tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...]]]) -> tuple[bytes, dict[str, Place], int]:
    """The header of a file of these tensors, where each lies, and the size of the file in bytes.

    The same as safetensors' own serializer gives: by alignment and then by name, the header padded to 8 bytes.
    """
    rank = {dtype: number for number, dtype in enumerate(DTYPES)}
    for name, (dtype, _) in tensors.items():
        if dtype not in rank:
            raise ValueError(f"{name} is of {dtype}, which checkpoints do not hold")
    ordered = sorted(tensors.items(), key=lambda entry: (rank[entry[1][0]], entry[0]))
    described, starts, begin = {}, {}, 0
    for name, (dtype, shape) in ordered:
        end = begin + dtype.itemsize * int(torch.Size(shape).numel())
        described[name] = {"dtype": DTYPES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
        starts[name], begin = begin, end
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    header = len(text).to_bytes(8, "little") + text
    places = {name: Place(dtype, tuple(shape), len(header) + starts[name]) for name, (dtype, shape) in ordered}
    return header, places, len(header) + begin


def read_layout(path: Path) -> dict[str, Place]:
    """Where each tensor of a file of safetensors lies."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        described = json.loads(file.read(size))
    described.pop("__metadata__", None)
    return {
        name: Place(_BY_NAME[entry["dtype"]], tuple(entry["shape"]), 8 + size + entry["data_offsets"][0])
        for name, entry in described.items()
    }


class Writer(StorageWriter):
    """Writes every process's shards into whole files in a folder, `file` of each group."""

    def __init__(self, file: Callable[[str], Path], order: RowOrder) -> None:
        self.file, self.order = file, order

    def reset(self, checkpoint_id: Any = None) -> None:
        """Nothing is kept between checkpoints."""

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Nothing to set up."""

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        """As it is."""
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """Make every file at its full size, with its header, and tell all processes where tensors lie."""
        groups: dict[str, dict[str, tuple[torch.dtype, tuple[int, ...]]]] = {}
        for item in (item for plan in plans for item in plan.items):
            assert item.tensor_data is not None
            group, name = _split(item.index.fqn)
            groups.setdefault(group, {})[name] = (item.tensor_data.properties.dtype, tuple(item.tensor_data.size))
        places = {}
        for group, tensors in groups.items():
            header, places[group], size_bytes = layout(tensors)
            with self.file(group).open("xb") as file:
                file.write(header)
                file.truncate(size_bytes)
                os.fsync(file.fileno())
        return [replace(plan, storage_data=places) for plan in plans]

    def write_data(self, plan: SavePlan, planner: Any) -> Future[list[WriteResult]]:
        """Write this process's part, and see it on the disk."""
        handles: dict[str, int] = {}
        try:
            for item in plan.items:
                group, name = _split(item.index.fqn)
                if group not in handles:
                    handles[group] = os.open(self.file(group), os.O_WRONLY)
                self._write(handles[group], plan.storage_data[group][name], name, item, planner.resolve_data(item))
            for handle in handles.values():
                os.fsync(handle)
        finally:
            for handle in handles.values():
                os.close(handle)
        done: Future[list[WriteResult]] = Future()
        done.set_result([])
        return done

    def _write(self, handle: int, place: Place, name: str, item: WriteItem, tensor: Tensor) -> None:
        assert item.tensor_data is not None
        data: Any = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        chunk, written = item.tensor_data.chunk, 0
        for run in place.runs(chunk.offsets, chunk.sizes, self.order(name)):
            left = data[written : written + run.size_bytes]
            written += run.size_bytes
            at = run.at
            while len(left):
                count = os.pwrite(handle, left, at)
                left, at = left[count:], at + count

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Nothing is written beside the tensors: the files say themselves what they hold."""

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """No checkpoint has an id: the folder is given at construction."""
        return checkpoint_id is None


class Reader(StorageReader):
    """Reads each process's shards out of whole files, as any layout needs them."""

    def __init__(self, files: Mapping[str, Path], order: RowOrder) -> None:
        self.files, self.order = files, order
        self.places = {group: read_layout(path) for group, path in files.items()}

    def reset(self, checkpoint_id: Any = None) -> None:
        """Nothing is kept between checkpoints."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:  # noqa: ARG002
        """What the planner needs: every tensor as one chunk."""
        found = {}
        for group, places in self.places.items():
            for name, place in places.items():
                shape = torch.Size(place.shape)
                whole = ChunkStorageMetadata(torch.Size([0] * len(shape)), shape)
                properties = TensorProperties(dtype=place.dtype)
                found[f"{group}:{name}"] = TensorStorageMetadata(properties, shape, [whole])
        return Metadata(found)  # type: ignore[arg-type]

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Nothing to set up."""

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        """As it is."""
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        """As they are."""
        return plans

    def read_data(self, plan: LoadPlan, planner: Any) -> Future[None]:
        """Read this process's part."""
        handles: dict[str, int] = {}
        try:
            for item in plan.items:
                group, name = _split(item.storage_index.fqn)
                if group not in handles:
                    handles[group] = os.open(self.files[group], os.O_RDONLY)
                place, target = self.places[group][name], planner.resolve_tensor(item).detach()
                data = bytearray()
                for run in place.runs(item.storage_offsets, item.lengths, self.order(name)):
                    data += _read(handles[group], run)
                if data:
                    target.copy_(torch.frombuffer(data, dtype=place.dtype).reshape(target.shape))
                planner.commit_tensor(item, target)
        finally:
            for handle in handles.values():
                os.close(handle)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """No checkpoint has an id: the files are given at construction."""
        return checkpoint_id is None


def _read(handle: int, run: Run) -> bytearray:
    data = bytearray()
    while len(data) < run.size_bytes:
        # The system gives at most 2 GiB at a time.
        more = os.pread(handle, run.size_bytes - len(data), run.at + len(data))
        if not more:
            raise EOFError(f"the file ends before byte {run.at + run.size_bytes}")
        data += more
    return data


def flat(tensors: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Groups of tensors as the planner knows them."""
    return {f"{group}:{name}": tensor for group, named in tensors.items() for name, tensor in named.items()}


def _split(name: str) -> tuple[str, str]:
    group, _, rest = name.partition(":")
    return group, rest
