"""An n-gram model as it is stored and asked: one file of sorted hashes with their numbers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fonderie.core.errors import StoreError
from fonderie.corpus.kernels.classes import flags, folding
from fonderie.corpus.kernels.compiled import read_only
from fonderie.corpus.kernels.ngrams import hashed, log_probability, replace_rare, streams
from fonderie.corpus.kernels.tables import powers_of_base
from fonderie.corpus.kernels.tokens import token_arrays

FILE = "ngrams.safetensors"
HIGHEST_ORDER = 6

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tables:
    """What a model holds, as arrays sorted by hash."""

    order: int
    language: str | None
    common: Hashes
    """Words that are not rare."""
    unseen: float
    """Probability left to each word of the vocabulary for want of any count: gamma of the empty history by 1/V."""
    grams: tuple[tuple[Hashes, Numbers], ...]
    """For each n from 1: the n-grams and their alpha."""
    contexts: tuple[tuple[Hashes, Numbers], ...]
    """For each n from 2: the histories of n - 1 words and their gamma."""

    def save(self, folder: Path) -> None:
        """Write the model's one file."""
        from safetensors.numpy import save_file

        arrays: dict[str, Any] = {"common": self.common}
        for name, tables in (("gram", self.grams), ("context", self.contexts)):
            for n, (keys, values) in enumerate(tables, 1):
                arrays[f"{name}.{n}.keys"], arrays[f"{name}.{n}.values"] = keys, values
        head = {"order": self.order, "language": self.language, "unseen": self.unseen}
        save_file(arrays, folder / FILE, {"model": json.dumps(head, sort_keys=True)})

    @classmethod
    def load(cls, folder: Path) -> "Tables":
        """Read a model; StoreError if its file is not one."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(folder / FILE, "numpy") as file:
                head = json.loads(file.metadata()["model"])
                order = int(head["order"])

                def tables(name: str, count: int) -> tuple[tuple[Hashes, Numbers], ...]:
                    return tuple(
                        (file.get_tensor(f"{name}.{n}.keys"), file.get_tensor(f"{name}.{n}.values"))
                        for n in range(1, count + 1)
                    )

                return cls(
                    order,
                    head["language"],
                    file.get_tensor("common"),
                    float(head["unseen"]),
                    tables("gram", order),
                    tables("context", order - 1),
                )
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{folder / FILE} is no n-gram model: {error}") from error


class Ngrams:
    """A model ready to be asked: its arrays as hash tables, some 40 bytes an n-gram."""

    def __init__(self, tables: Tables) -> None:
        self.language = tables.language
        self.order = tables.order
        self._common, self._unseen = tables.common, tables.unseen
        self._grams, self._contexts = _hashed(tables.grams), _hashed(tables.contexts)

    @classmethod
    def load(cls, folder: Path) -> "Ngrams":
        """The model of an artifact."""
        return cls(Tables.load(folder))

    def perplexities(
        self, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32], rows: npt.NDArray[np.int64]
    ) -> Numbers:
        """The perplexity of each document named, ends of lines counted as words; NaN for one without words.

        Document i is data[offsets[i] : offsets[i + 1]].
        """
        found = np.full(len(rows), np.nan)
        history = np.zeros(self.order, np.uint64)
        for place, row in enumerate(rows):
            words = words_of(data, offsets[row : row + 2])
            replace_rare(words, read_only(self._common))
            total, count = log_probability(words, self.order, self._grams, self._contexts, self._unseen, history)
            if count:
                found[place] = np.exp(-total / count)
        return found

    def perplexity(self, text: str) -> float:
        """The perplexity of one text."""
        data = text.encode("utf-8")
        offsets = np.array([0, len(data)], np.int32)
        return float(self.perplexities(np.frombuffer(data, np.uint8), offsets, np.zeros(1, np.int64))[0])


def _hashed(tables: tuple[tuple[Hashes, Numbers], ...]) -> tuple[Any, ...]:
    """Hash tables, with empty ones up to the highest order there can be: kernels take as many for any model."""
    none = np.zeros(0, np.uint64), np.zeros(0)
    padded = [*tables, *[none] * (HIGHEST_ORDER - len(tables))]
    return tuple(hashed(read_only(keys), read_only(values)) for keys, values in padded)


def words_of(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32]) -> Hashes:
    """The words of documents as hashes, with the marks of their lines."""
    longest = int(np.diff(offsets).max(initial=0)) + 1
    total = int(offsets[-1] - offsets[0])
    scratch = np.empty(longest, np.int32), np.empty(longest, np.uint8), token_arrays(longest)
    # A character is at most a word of its own, and a line of one has two marks: "a\nb" has six.
    into = np.empty(2 * total + 3 * len(offsets), np.uint64)
    used = streams(read_only(data), read_only(offsets), flags(), folding(), powers_of_base(), scratch, into)
    return into[:used].copy()
