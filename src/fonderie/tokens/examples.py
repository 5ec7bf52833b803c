"""What a model is instructed with: whole conversations out of a stream of tokens, and which of their targets count.

Special tokens come only from the template, never from a text, so the ids themselves say where the assistant speaks:
after the token of its role, up to the token that ends the turn, that one included. Nothing beside the tokens is
stored, and whoever has the tokens can tell what was learnt from them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fonderie.core.errors import InputError
from fonderie.tokens.conversation import BOS, END, EOS, ROLE_TOKENS
from fonderie.tokens.shards import Extent, TokenStream

Long = Literal["stop", "drop", "cut"]
Ids = NDArray[Any]


def answer_mask(ids: Ids, special: Mapping[str, int], *, last: bool = False) -> NDArray[np.bool_]:
    """Which ids are the assistant's: its text, and the end of its turn; with `last`, of its last turn only.

    `ids` is one conversation, whole or cut.
    """
    begins = (ids == special[ROLE_TOKENS["assistant"]]).nonzero()[0][-1 if last else None :]
    ends = (ids == special[END]).nonzero()[0]
    mask = np.zeros(len(ids), dtype=np.bool_)
    for begin, place in zip(begins.tolist(), ends.searchsorted(begins).tolist(), strict=True):
        mask[begin + 1 : ends[place] + 1 if place < len(ends) else None] = True
    return mask


def has_turns(ids: Ids, special: Mapping[str, int]) -> bool:
    """Whether a document is a conversation: its first token after BOS is a role's."""
    return len(ids) > 1 and int(ids[1]) in {special[token] for token in ROLE_TOKENS.values()}


class Example(NamedTuple):
    """One text to learn from, in the stream of its tokens; of a preference, one of its two."""

    start: int
    length: int
    """Ids up to the last that counts: what follows it, such as a user's last turn, nothing is learnt from."""
    document: int
    """The number of its document in the stream."""


@dataclass(frozen=True)
class Examples:
    """The texts of a stream that can be learnt from, and what became of the others."""

    stream: TokenStream
    special: Mapping[str, int]
    found: Sequence[Example]
    counts: Mapping[str, int]
    """Documents read, dropped as too long, cut, without an answer; targets that count."""
    pairs: bool = False
    """Examples 2i and 2i + 1 are the better and the worse answer to the same conversation."""

    def ids(self, example: Example) -> Ids:
        """The ids of an example."""
        return self.stream.read(example.start, example.start + example.length)

    def mask(self, ids: Ids) -> NDArray[np.bool_]:
        """Which ids of an example count as targets; of a plain text all but the first, of a pair the answer."""
        if self.pairs:
            return answer_mask(ids, self.special, last=True)
        if has_turns(ids, self.special):
            return answer_mask(ids, self.special)
        mask = np.ones(len(ids), dtype=np.bool_)
        mask[0] = False
        return mask


def conversations_in(
    stream: TokenStream, special: Mapping[str, int], *, room: int, long: Long, texts: bool
) -> Examples:
    """The conversations of a stream of at most `room` ids; `texts` lets plain texts in, all of whose tokens count.

    InputError names a document that is too long where `long` is "stop", or a plain text where they are not let in.
    """
    counts = dict.fromkeys(("documents", "too_long", "cut", "without_answer", "targets"), 0)
    examples, found = Examples(stream, special, [], counts), list[Example]()
    for number, extent in enumerate(stream.extents):
        counts["documents"] += 1
        ids = stream.read(extent.start, extent.start + extent.length)
        if not texts and not has_turns(ids, special):
            raise InputError(
                f"{_name(extent)} is no conversation",
                hint="Read conversations with corpus.conversations, or train on plain texts too: texts = true.",
            )
        mask = examples.mask(ids)
        length = _length(mask[:room])
        if _length(mask) > room:
            if long == "stop":
                raise _too_long(extent, _length(mask), room)
            counts["too_long" if long == "drop" else "cut"] += 1
            if long == "drop":
                continue
        if not length:
            counts["without_answer"] += 1
            continue
        counts["targets"] += int(mask[:length].sum())
        found.append(Example(extent.start, length, number))
    return _some(replace(examples, found=found))


def pairs_in(stream: TokenStream, special: Mapping[str, int], *, room: int, long: Long) -> Examples:
    """The preferences of a stream: two examples each, the better answer first, together at most `room` ids.

    Neither is cut, since a half answer is another answer. InputError names a pair that is too long where `long` is
    "stop", and a document that is none.
    """
    counts = dict.fromkeys(("documents", "too_long", "targets"), 0)
    examples, found = Examples(stream, special, [], counts, pairs=True), list[Example]()
    for number, extent in enumerate(stream.extents):
        counts["documents"] += 1
        ids = stream.read(extent.start, extent.start + extent.length)
        both = list(_two(ids, extent, special))
        masks = [examples.mask(part) for _, part in both]
        lengths = [_length(mask) for mask in masks]
        if sum(lengths) > room:
            if long == "stop":
                raise _too_long(extent, sum(lengths), room)
            counts["too_long"] += 1
            continue
        counts["targets"] += sum(int(mask.sum()) for mask in masks)
        found += [Example(extent.start + at, length, number) for (at, _), length in zip(both, lengths, strict=True)]
    return _some(replace(examples, found=found))


def _two(ids: Ids, extent: Extent, special: Mapping[str, int]) -> Iterator[tuple[int, Ids]]:
    # An end alone may be a beginning too: some tokenizers have one token for both.
    borders = np.flatnonzero((ids[:-1] == special[EOS]) & (ids[1:] == special[BOS])) + 1
    if len(borders) != 1:
        raise InputError(
            f"{_name(extent)} is no preference: it is {len(borders) + 1} texts, not two",
            hint="Pack preferences with tokens.pairs.",
        )
    middle = int(borders[0])
    yield 0, ids[:middle]
    yield middle, ids[middle:]


def _some(examples: Examples) -> Examples:
    if not examples.found:
        raise InputError(
            f"{examples.stream.folder} holds nothing to learn from: "
            + ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in examples.counts.items()),
            hint="Give longer sequences (context), or other documents.",
        )
    return examples


def _length(mask: NDArray[np.bool_]) -> int:
    """Ids up to the last that counts."""
    return len(mask) - int(np.argmax(mask[::-1])) if mask.any() else 0


def _name(extent: Extent) -> str:
    return f"the document {extent.id[:19]}… ({extent.origin}, {extent.source})"


def _too_long(extent: Extent, length: int, room: int) -> InputError:
    return InputError(
        f"{_name(extent)} takes {length:,} tokens, and a sequence has room for {room:,}",
        hint='Raise context, or leave such documents out: long = "drop".',
    )
