"""What a model may not say: salted hashes of erased passages, to check answers before they are shown.

Every run of ten words of an erased document is hashed; of each four in a row, the least is kept (winnowing:
Schleimer, Wilkerson and Aiken, SIGMOD 2003). So an answer that repeats thirteen words or more is always caught, one
that repeats fewer than ten never, and the list is less than half as long as the text. Runs made only of phrases
that other documents hold too are left out: a filter must not forbid a language its commonplaces.

The list is for those who serve the model, not for publication: a person who guesses ten words can check the guess.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fonderie.core.errors import InputError
from fonderie.corpus.folding import folded_words
from fonderie.corpus.sketch import GRAM, SALT_BYTES, U64, Hasher, runs

FORMAT = 1
RUN = 10
"""Words in a run. In docs/log/0004-tombstones.md: how often other documents repeat as many."""
WINDOW = 4
"""Runs of which one is kept."""
BITS = 48
"""Bits of a hash that are kept: of a million answers of 200 words, a million hashes stop one by chance."""
METHOD = f"runs of {RUN} folded words, one of {WINDOW} kept, blake2b and splitmix64, {BITS} bits, version 1"


class PassageList(BaseModel):
    """What output-filter.json holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    reference: str
    date: str
    method: str = (
        f"runs of {RUN} folded words, one of {WINDOW} kept, blake2b and splitmix64, {BITS} bits, version 1"
    )
    salt: Annotated[str, Field(pattern=rf"^[0-9a-f]{{{2 * SALT_BYTES}}}$")]
    passages: tuple[Annotated[str, Field(pattern=rf"^[0-9a-f]{{{BITS // 4}}}$")], ...]


class Passage(NamedTuple):
    """A text whose passages are to be kept from answers."""

    text: str
    common: npt.NDArray[np.bool_]
    """For each run of four words, whether other documents hold it too."""


def passages_of(passages: Iterable[Passage], hasher: Hasher) -> tuple[str, ...]:
    """The hashes that a filter keeps of these texts."""
    found: set[int] = set()
    for passage in passages:
        hashes = _runs(hasher.words(folded_words(passage.text)))
        if not len(hashes):
            continue
        own = ~np.lib.stride_tricks.sliding_window_view(passage.common, RUN - GRAM + 1).all(axis=1)
        found.update(hashes[_kept(hashes) & own].tolist())
    return tuple(f"{value:0{BITS // 4}x}" for value in sorted(found))


def _runs(words: U64) -> U64:
    return runs(words, RUN) >> np.uint64(64 - BITS)


def _kept(hashes: U64) -> npt.NDArray[np.bool_]:
    """Which runs are the least of some window of four."""
    windows = np.lib.stride_tricks.sliding_window_view(hashes, min(WINDOW, len(hashes)))
    kept = np.zeros(len(hashes), dtype=bool)
    kept[np.arange(len(windows)) + windows.argmin(axis=1)] = True
    return kept


class OutputFilter:
    """Lists of passages, ready to check answers."""

    def __init__(self, lists: Sequence[PassageList]) -> None:
        self._lists = [
            (
                one.reference,
                Hasher(bytes.fromhex(one.salt)),
                np.array(sorted(int(value, 16) for value in one.passages), dtype=np.uint64),
            )
            for one in lists
        ]

    @classmethod
    def load(cls, *paths: Path) -> Self:
        """Read one list or several; InputError names the one that cannot be read."""
        return cls([_read(path) for path in paths])

    def blocked(self, text: str) -> str | None:
        """The reference of an erasure whose passage the text repeats; None if it repeats none."""
        words = folded_words(text)
        for reference, hasher, passages in self._lists:
            found = _runs(hasher.words(words))
            at = np.searchsorted(passages, found)
            there = at < len(passages)
            if (passages[at[there]] == found[there]).any():
                return reference
        return None


def _read(path: Path) -> PassageList:
    hint = "Nothing is answered while the filter cannot be read."
    try:
        data: Any = json.loads(path.read_bytes())
        read = PassageList.model_validate(data)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    except (ValidationError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        why = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}" if first else str(error)
        raise InputError(f"{path} is not a list of passages: {why}", hint=hint) from error
    if (read.format, read.method) != (FORMAT, METHOD):
        raise InputError(f"{path} was written by another version", hint=f"This one reads: {METHOD}.")
    return read
