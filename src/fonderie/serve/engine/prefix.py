"""What prompts have in common is read once: the system's words, and a conversation's earlier turns.

Kept by whole chunks, each under a hash of all tokens up to its end, so that what is found is what reading would
give, to the bit: only what was read as part of a prompt is kept, never what was written as part of an answer.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor

from fonderie.serve.engine.slots import CHUNK, Slots


class PrefixCache:
    """Keys and values of chunks, those used last; never more than `limit_bytes`."""

    def __init__(self, slots: Slots, limit_bytes: int) -> None:
        self._slots = slots
        self._limit = limit_bytes
        self._size = 0
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()

    def fill(self, slot: int, prompt: Sequence[int]) -> int:
        """Put into a slot what is here of a prompt's beginning; returns how many tokens, never all of them.

        The last token is left to be read, since only reading gives what comes after it.
        """
        filled = 0
        for name in _names(prompt[: len(prompt) - 1]):
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
        if kv.nbytes > self._limit:
            return
        self._kept[name] = kv
        self._size += kv.nbytes
        while self._size > self._limit:
            self._size -= self._kept.popitem(last=False)[1].nbytes

    def __len__(self) -> int:
        return len(self._kept)


def _names(prompt: Sequence[int]) -> list[bytes]:
    """The names of a prompt's whole chunks."""
    found, running = [], hashlib.sha256()
    for start in range(0, len(prompt) - CHUNK + 1, CHUNK):
        running.update(array("q", prompt[start : start + CHUNK]).tobytes())
        found.append(running.digest())
    return found
