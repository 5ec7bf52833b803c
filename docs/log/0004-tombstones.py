# ruff: noqa: D103
"""Experiment 0004: how well tombstones know changed copies, and what else they take along.

    OMP_NUM_THREADS=1 python docs/log/0004-tombstones.py CORPORA

CORPORA holds romans/*.xml (TEI) and lois/*.md. First the choice of gram length, rarity and threshold, on sketches
cut here; then what fonderie.corpus.tombstones does, its speed, and how often other texts repeat runs of words.
Every second text is kept from those that tell what is rare: what is taken along is counted among these.
"""

import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sized
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fonderie.core.digest import digest_text
from fonderie.core.document import Document, shard_path, write_documents
from fonderie.core.machine import Machine
from fonderie.corpus.bury import SKETCH_LEAST, SKETCH_SHARE, SKETCH_SHORT, SKETCH_WORDS, Text, bury
from fonderie.corpus.folding import folded_words
from fonderie.corpus.grammar import compose
from fonderie.corpus.readers.tei import read_tei
from fonderie.corpus.sketch import BITS, SALT_BYTES, Hasher, runs
from fonderie.corpus.tombstones import SCORE, TombstoneList, Tombstones
from fonderie.trace.output_filter import RUN

SALT = bytes(range(SALT_BYTES))
HASHER = Hasher(SALT)
SHARES, THRESHOLDS = (0.1, 0.15, 0.2), (0.15, 0.2, 0.25, 0.3)
ERASED = 150


def reworded(words: list[str], share: float, rng: random.Random, vocabulary: list[str]) -> list[str]:
    """A share of the words replaced (70 %), left out (15 %) or followed by another (15 %)."""
    made: list[str] = []
    for word in words:
        kind = rng.random() if rng.random() < share else 2.0
        made += [word] if kind >= 0.85 else []
        made += [rng.choice(vocabulary)] if kind < 0.7 or 0.85 <= kind < 2 else []
    return made


def passages(texts: list[list[str]], size: int, each: int) -> list[list[str]]:
    rng = random.Random(size)
    pieces = [[text[i : i + size] for i in range(0, len(text) - size + 1, size)] for text in texts]
    return [piece for group in pieces for piece in rng.sample(group, min(each, len(group)))]


def corpora(folder: Path) -> dict[str, list[list[str]]]:
    novels = [
        next(iter(read_tei(path, parts=False))).text.split()
        for path in sorted((folder / "romans").glob("*.xml"))[:20]
    ]
    laws = [path.read_text().split() for path in sorted((folder / "lois").glob("*.md"))[:12]]
    sets = {f"novels, {size} words": passages(novels, size, 15) for size in (60, 150, 500)}
    sets |= {f"laws, {size} words": passages(laws, size, 25) for size in (150, 500)}
    for kind, count in (("story", 300), ("story", 3_000), ("dialogue", 300)):
        made = [compose(kind, random.Random(f"{kind}{number}")).text.split() for number in range(count)]
        sets[f"{count:,} × {kind}"] = made
    for texts in sets.values():
        random.Random(0).shuffle(texts)
    return sets


def values(words: list[str], gram: int) -> npt.NDArray[np.uint64]:
    return np.unique(runs(HASHER.words(folded_words(" ".join(words))), gram) >> np.uint64(64 - BITS))


def choose(name: str, texts: list[list[str]], gram: int, rarity: int) -> str:
    """One row: copies found at each threshold with a fifth of the words changed, and unseen others taken along."""
    rng, vocabulary = random.Random(1), [word for text in texts[:100] for word in text]
    seen, unseen = ([values(text, gram) for text in texts[side::2]] for side in (0, 1))
    holders = Counter(value for own in seen for value in own.tolist())
    among: dict[int, list[int]] = defaultdict(list)
    for number, own in enumerate(unseen):
        for value in own.tolist():
            among[value].append(number)
    found, others, none = [], [], 0
    erased = list(zip(texts[::2], seen, strict=True))[:ERASED]
    for text, own in erased:
        rare = [value for value in own.tolist() if holders[value] - 1 <= rarity]
        sketch = rare[: max(SKETCH_SHORT, len(own) // SKETCH_SHARE)]
        if len(sketch) < SKETCH_LEAST or len(text) < SKETCH_WORDS:
            none += 1
            continue
        copy = values(reworded(text, 0.2, rng, vocabulary), gram)
        found.append(score(len(np.intersect1d(copy, np.array(sketch, dtype=np.uint64))), sketch, copy, own))
        hits = Counter(other for value in sketch for other in among[value])
        scores = [score(count, sketch, unseen[other], own) for other, count in hits.items()]
        others.append([sum(one >= limit for one in scores) / len(unseen) * 1_000 for limit in THRESHOLDS])
    known = " / ".join(f"{np.mean(np.array(found) >= limit):.3f}" for limit in THRESHOLDS)
    taken = " / ".join(f"{one:.2f}" for one in np.mean(others, axis=0))
    return f"| {name} | {gram} | {rarity} | {none / len(erased):.2f} | {known} | {taken} |"


def score(hits: int, sketch: list[int], other: Sized, own: Sized) -> float:
    return hits / (len(sketch) * min(1.0, len(other) / len(own))) if hits >= 4 else 0.0


def as_built(name: str, texts: list[list[str]], folder: Path) -> str:
    """One row: the real lists, over the real corpus, at the real threshold."""
    rng, vocabulary = random.Random(2), [word for text in texts[:100] for word in text]
    made = [
        Document(text=" ".join(text), source="s", origin=str(number), licence="CC0-1.0")
        for number, text in enumerate(texts)
    ]
    folder.mkdir()
    path = shard_path(folder, 0)
    seen, unseen = made[::2], made[1::2]
    write_documents(path, seen)
    erased = seen[:ERASED]
    stones = [bury([Text(one.id, one.text)], {"corpus": [path]}, HASHER, Machine()).stones[0] for one in erased]
    taken = [0, 0]
    rates = {share: [0, 0] for share in SHARES}
    for stone, one in zip(stones, erased, strict=True):
        tombstones = Tombstones([TombstoneList(reference="r", date="", salt=SALT.hex(), documents=(stone,))])
        for side, others in enumerate((seen, unseen)):
            taken[side] += sum(tombstones.match(other) is not None for other in others if other.text != one.text)
        for share, counts in rates.items() if stone.sketch else ():
            text = " ".join(reworded(one.text.split(), share, rng, vocabulary))
            counts[0] += tombstones.match_text(digest_text(text), text) is not None
            counts[1] += 1
    rows = " | ".join(f"{known / max(1, tried):.3f}" for known, tried in rates.values())
    among = [taken[side] / len(erased) / len(others) * 1_000 for side, others in enumerate((seen, unseen))]
    without = sum(not stone.sketch for stone in stones) / len(stones)
    return f"| {name} | {without:.2f} | {rows} | {among[0]:.2f} | {among[1]:.2f} |"


def repeats(name: str, texts: list[list[str]]) -> str:
    """One row: texts that share a run of ten words with another, before phrases that others hold are left out."""
    holders: dict[int, set[int]] = defaultdict(set)
    every = [set(runs(HASHER.words(folded_words(" ".join(text))), RUN).tolist()) for text in texts]
    for number, own in enumerate(every):
        for value in own:
            holders[value].add(number)
    shared = np.mean([any(len(holders[value]) > 1 for value in own) for own in every])
    return f"| {name} | {shared:.3f} |"


def speed(texts: list[list[str]], stones: int) -> str:
    """Words per second of processor time through `match`, with one list of so many random sketches."""
    rng = random.Random(0)
    made = [
        {
            "id": f"{n:032x}", "words": 500, "whole": f"{n:016x}", "grams": 497,
            "sketch": sorted({rng.getrandbits(BITS) for _ in range(64)}),
        }
        for n in range(stones)
    ]  # fmt: skip
    tombstones = Tombstones(
        [TombstoneList.model_validate({"reference": "r", "date": "", "salt": SALT.hex(), "documents": made})]
    )
    joined = [" ".join(text) for text in texts]
    begun = time.process_time()
    for text in joined:
        tombstones.match_text("sha256:0", text)
    seconds = time.process_time() - begun
    plain = time.process_time()
    for text in joined:
        folded_words(text)
    folding = time.process_time() - plain
    words = sum(map(len, texts))
    return f"| {stones:,} | {words / seconds / 1e6:.2f} | {folding / seconds:.2f} |"


def main(folder: Path, scratch: Path) -> None:
    sets = corpora(folder)
    print(f"thresholds {THRESHOLDS}; texts, gram, rarity, without sketch, found, taken in a thousand")
    for name, texts in sets.items():
        for gram, rarity in ((3, 1), (4, 0), (4, 1), (4, 3), (5, 1)):
            print(choose(name, texts, gram, rarity), flush=True)
    print(f"\nas built, threshold {SCORE}")
    for number, (name, texts) in enumerate(sets.items()):
        print(as_built(name, texts[:600], scratch / str(number)), flush=True)
    print("\nruns of ten words")
    for name, texts in sets.items():
        print(repeats(name, texts), flush=True)
    print("\nspeed")
    long = passages(list(sets["novels, 500 words"]), 500, 1)
    for stones in (1, 100, 10_000):
        print(speed(long, stones), flush=True)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1]), Path(scratch))
