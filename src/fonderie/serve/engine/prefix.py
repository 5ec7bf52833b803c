"""What prompts have in common is read once: the system's words, and a conversation's earlier turns.

Kept by whole chunks, each under a hash of all tokens up to its end, so that what is found is what reading would
give, to the bit. On a processor answers are kept as well, since there it is the same whether a token was read or
said; where it is not (`DeviceSlots`), only what was read is.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from fonderie.serve.engine.slots import CHUNK, Kept


class Copies(Protocol):
    """A room whose chunks can be copied; `Slots` and `DeviceSlots`."""

    def copied(self, slot: int, start: int) -> Kept:
        """Keys and values of one chunk."""
        ...

    def put(self, slot: int, start: int, kept: Kept) -> None:
        """Put back what `copied` gave."""
        ...


class PrefixCache:
    """Keys and values of chunks, those used last; never more than `limit_bytes`."""

    def __init__(self, slots: Copies, limit_bytes: int) -> None:
        self._slots = slots
        self._limit = limit_bytes
        self._size = 0
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()

    def fill(self, slot: int, prompt: Sequence[int], read: int) -> int:
        """Put into a slot what is here of a prompt after `read` tokens, whole chunks; returns up to where that is.

        The last token is left to be read, since only reading gives what comes after it.
        """
        filled = read
        for name in _names(prompt[: len(prompt) - 1])[read // CHUNK :]:
            kv = self._kept.get(name)
            if kv is None:
                break
            self._kept.move_to_end(name)
            self._slots.put(slot, filled, kv)
            filled += CHUNK
        return filled

    def keep(self, slot: int, read: Sequence[int]) -> None:
        """Keep the chunk that ends what a slot has read; those not used for longest make room."""
        name = _names(read)[-1]
        if name in self._kept:
            self._kept.move_to_end(name)
            return
        kv = self._slots.copied(slot, len(read) - CHUNK)
        if _bytes(kv) > self._limit:
            return
        self._kept[name] = kv
        self._size += _bytes(kv)
        while self._size > self._limit:
            self._size -= _bytes(self._kept.popitem(last=False)[1])

    def __len__(self) -> int:
        return len(self._kept)


def _bytes(kept: Kept) -> int:
    return sum(one.nbytes for one in kept)


def _names(prompt: Sequence[int]) -> list[bytes]:
    """The names of a prompt's whole chunks."""
    found, running = [], hashlib.sha256()
    for start in range(0, len(prompt) - CHUNK + 1, CHUNK):
        running.update(array("q", prompt[start : start + CHUNK]).tobytes())
        found.append(running.digest())
    return found
