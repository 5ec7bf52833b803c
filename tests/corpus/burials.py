"""Texts to erase, and what becomes of texts: reworded, quoted, cut."""

import random
from collections.abc import Sequence
from pathlib import Path

from tests.corpus.builders import documents

from fonderie.core.document import Document, shard_paths
from fonderie.core.machine import Machine
from fonderie.corpus.bury import Shards, Text, bury
from fonderie.corpus.grammar import compose
from fonderie.corpus.sketch import SALT_BYTES, Hasher
from fonderie.corpus.tombstones import TombstoneList

SALT = bytes(range(SALT_BYTES))


def tales(count: int, seed: int = 0) -> list[Document]:
    """Stories of the grammar, some 145 words each, on the same few subjects."""
    return [
        Document(
            text=compose("story", random.Random(f"{seed}/{number}")).text,
            source="tales",
            origin=f"tale/{number}",
            licence="CC0-1.0",
        )
        for number in range(count)
    ]


def prose(words: int, seed: int) -> str:
    """Text whose word frequencies are those of a language (Zipf) and whose phrases are nobody else's."""
    rng = random.Random(seed)
    vocabulary = [f"mot{number}" for number in range(3_000)]
    weights = [1 / (rank + 3) for rank in range(3_000)]
    return " ".join(rng.choices(vocabulary, weights, k=words))


def shards(folder: Path, made: Sequence[Document]) -> Shards:
    return {"corpus": shard_paths(documents(folder, [made]).path)}


def buried(
    erased: Sequence[Document], corpus: Shards, reference: str = "2026-1", spared: Sequence[Document] = ()
) -> TombstoneList:
    """A list as an erasure makes it."""
    hasher = Hasher(SALT)
    stones = bury([Text(item.id, item.text) for item in erased], corpus, hasher, Machine()).stones
    return TombstoneList(
        reference=reference,
        date="2026-09-01",
        salt=SALT.hex(),
        documents=stones,
        spared=tuple(hasher.name(item.id) for item in spared),
    )


def reworded(text: str, share: float, seed: int) -> str:
    """A share of the words replaced by others of the text, left out, or followed by another."""
    rng = random.Random(seed)
    words = text.split()
    made: list[str] = []
    for word in words:
        if rng.random() >= share:
            made.append(word)
            continue
        kind = rng.random()
        if kind < 0.7:
            made.append(rng.choice(words))
        elif kind >= 0.85:
            made += [word, rng.choice(words)]
    return " ".join(made)
