"""Several files of tensors made one, byte for byte, without holding any tensor in memory.

The format (github.com/huggingface/safetensors): the header's length as 8 bytes little-endian, the header as JSON
with type, shape and byte range of each tensor, then the bytes.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError, safe_open

from fonderie.core.errors import InputError

_COPIED_AT_ONCE = 1 << 24


def join(paths: Sequence[Path], target: Path) -> None:
    """Write the tensors of all files into one; one file is copied as it is. InputError if one is no such file."""
    for path in paths:
        try:
            with safe_open(path, framework="numpy"):  # checks the header against the file
                pass
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path} is no file of tensors: {error}") from error
    if len(paths) == 1:
        shutil.copyfile(paths[0], target)
        return
    entries: dict[str, dict[str, Any]] = {}
    lengths = []
    total = 0
    for path in paths:
        header = _header(path)
        for name, entry in header.items():
            if name in entries:
                raise InputError(f"{path} holds {name}, which a file before it holds too")
            start, stop = entry["data_offsets"]
            entries[name] = {**entry, "data_offsets": [total + start, total + stop]}
        lengths.append(max((entry["data_offsets"][1] for entry in header.values()), default=0))
        total += lengths[-1]
    head = json.dumps({"__metadata__": {"format": "pt"}, **entries}, separators=(",", ":")).encode("utf-8")
    # Padded as the library pads it, so that tensors begin at multiples of eight.
    head += b" " * (-len(head) % 8)
    with target.open("wb") as into:
        into.write(len(head).to_bytes(8, "little") + head)
        for path, length in zip(paths, lengths, strict=True):
            with path.open("rb") as file:
                file.seek(8 + int.from_bytes(file.read(8), "little"))
                _copy(file, into, length)


def _header(path: Path) -> dict[str, dict[str, Any]]:
    with path.open("rb") as file:
        found: dict[str, dict[str, Any]] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    found.pop("__metadata__", None)
    return found


def _copy(file: BinaryIO, into: BinaryIO, length: int) -> None:
    while length:
        data = file.read(min(length, _COPIED_AT_ONCE))
        if not data:
            raise InputError(f"{file.name} ends before its tensors do")
        into.write(data)
        length -= len(data)
