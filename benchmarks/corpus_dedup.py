"""Near deduplication against datatrove's MinHash, end to end on real text: Parquet in, Parquet out.

python benchmarks/corpus_dedup.py [--corpora DIR] [--rounds N] [--documents N] [--large N]

The same documents, a twentieth of them again with words changed, go through corpus.dedup and through datatrove's
four stages (14 buckets of 8 hashes, its words split by the regular expression of our rules instead of spaCy). One
process and one core each, in turn; compares the medians of CPU seconds, after imports and compilation. Then ours
alone on many documents, for its memory; then recall and precision on pairs whose similarity is known, of both.
Prints one JSON line for each. `--large 0` leaves the memory out.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fonderie.core.document import Document, shard_path, shard_paths, write_documents
from fonderie.core.machine import Machine
from fonderie.core.manifest import Manifest
from fonderie.core.step import Artifact, Inputs, Output
from real_documents import real_texts

NEAR = 0.8
SHARD = 2_000
COPIES = 0.05
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--corpora", type=Path, default=Path(os.environ.get("FONDERIE_CORPORA", "../shared/corpora"))
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=97_000)
    parser.add_argument("--one", choices=sorted(RUNS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(_measure(RUNS[asked.one], asked.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        _speed(asked, Path(folder))
        if asked.large:
            _memory(asked, Path(folder))
        _truth(Path(folder))


def _speed(asked: argparse.Namespace, folder: Path) -> None:
    size = _write(folder / "real", with_copies(islice(real_texts(asked.corpora), asked.documents)))
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "datatrove": []}
    for _ in range(asked.rounds):
        for name, results in found.items():
            results.append(_run(name, folder / "real"))
    ours, peer = (statistics.median(result["cpu_s"] for result in found[name]) for name in ("ours", "datatrove"))
    _print(
        "minhash_vs_datatrove",
        "datatrove, words by regular expression",
        peer / ours,
        size["documents"],
        {
            **size,
            "ours_cpu_s": round(ours, 2),
            "peer_cpu_s": round(peer, 2),
            "ours_mb_per_s": round(size["bytes"] / 1e6 / ours, 1),
            "ours_dropped": found["ours"][0]["dropped"],
            "peer_dropped": found["datatrove"][0]["dropped"],
            "ours_rss_mb": max(result["rss_mb"] for result in found["ours"]),
            "peer_rss_mb": max(result["rss_mb"] for result in found["datatrove"]),
            "rounds": asked.rounds,
        },
    )


def _memory(asked: argparse.Namespace, folder: Path) -> None:
    size = _write(folder / "large", islice(with_copies(_rotated(asked.corpora)), asked.large))
    result = _run("ours", folder / "large")
    _print(
        "minhash_memory",
        "0.6 GB",
        600 / result["rss_mb"],
        size["documents"],
        {**size, "rss_mb": result["rss_mb"], "cpu_s": result["cpu_s"], "dropped": result["dropped"]},
    )


def _truth(folder: Path) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.corpus.planted import pair

    rng = random.Random(2026)
    wanted = (
        [0.8] * 500 + [0.8 + 0.17 * n / 500 for n in range(500)] + [0.5 + 0.3 * n / 1_000 for n in range(1_000)]
    )
    pairs = [pair(rng, similarity, rng.randrange(60, 120) + int(10 / (1 - similarity))) for similarity in wanted]
    _write(folder / "planted", (text for made in pairs for text in (made.one, made.other)))
    for name in ("ours", "datatrove"):
        kept = set(_run(name, folder / "planted", texts=True)["texts"])
        caught = [not {made.one, made.other} <= kept for made in pairs]
        alike = [made.similarity >= NEAR for made in pairs]
        hits = sum(a and b for a, b in zip(caught, alike, strict=True))
        _print(
            "planted_near_duplicates",
            "plain sets of 5-grams",
            hits / sum(alike),
            len(pairs),
            {
                "of": name,
                "recall_at_0.8": sum(caught[:500]) / 500,
                "recall_from_0.8": round(hits / sum(alike), 4),
                "precision": round(hits / sum(caught), 4),
                "pairs_below_0.8": len(pairs) - sum(alike),
            },
        )


def with_copies(texts: Iterable[str]) -> Iterator[str]:
    """The texts, and some of them again with a word in sixty changed."""
    rng = random.Random(7)
    for text in texts:
        yield text
        if rng.random() < COPIES:
            words = text.split(" ")
            for place in rng.sample(range(len(words)), max(1, len(words) // 60)):
                words[place] = rng.choice(words)
            yield " ".join(words)


def _rotated(corpora: Path) -> Iterator[str]:
    """The real texts over and over, under another alphabet each time: as long and as varied, and no copies."""
    for turn in range(len(LETTERS)):
        alphabet = LETTERS[turn:] + LETTERS[:turn]
        table = str.maketrans(LETTERS + LETTERS.upper(), alphabet + alphabet.upper())
        for text in real_texts(corpora):
            yield text.translate(table)


def _write(folder: Path, texts: Iterable[str]) -> dict[str, int]:
    folder.mkdir()
    count = size = 0
    rest = iter(texts)
    shard = 0
    while some := list(islice(rest, SHARD)):
        made = (Document(text, "real", f"{shard}/{row}", "CC-BY-4.0") for row, text in enumerate(some))
        count += write_documents(shard_path(folder, shard), made)
        size += sum(len(text.encode()) for text in some)
        shard += 1
    return {"documents": count, "bytes": size}


def _run(name: str, folder: Path, *, texts: bool = False) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    kept = [Path(path) for path in result.pop("kept")]
    tables = [pq.read_table(path, columns=["text"]) for path in kept]
    result["dropped"] = sum(pq.read_metadata(path).num_rows for path in shard_paths(folder))
    result["dropped"] -= sum(len(table) for table in tables)
    if texts:
        result["texts"] = [text for table in tables for text in table.column("text").to_pylist()]
    subprocess.run(["rm", "-r", result.pop("out")], check=True)
    return result


def _measure(run: Callable[[Path, Path], list[Path]], folder: Path) -> dict[str, Any]:
    """CPU seconds and peak memory of one run on one core; a small run before it imports and compiles."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    small, out = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    _write(small / "in", ["un petit texte de quelques mots", "un petit texte de quelques mots encore"] * 2)
    run(small / "in", small / "out")
    began = time.process_time()
    kept = run(folder, out / "out")
    seconds = time.process_time() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"cpu_s": round(seconds, 3), "rss_mb": memory, "kept": [str(path) for path in kept], "out": str(out)}


def ours(folder: Path, out: Path) -> list[Path]:
    """corpus.dedup."""
    from fonderie.corpus.dedup.documents import DedupParameters, dedup

    output = Output(out / "files", out / "state")
    output.path.mkdir(parents=True)
    output.state.mkdir()
    # The step reads the folder alone; of its making there is nothing to say.
    made = Manifest(
        key="sha256:0", digest="sha256:0", step="", version=1, parameters={}, inputs={}, sources={}, files=[]
    )
    dedup(Inputs({"documents": (Artifact(folder, made),)}), DedupParameters(near=NEAR), output, Machine())
    return shard_paths(output.path)


def datatrove(folder: Path, out: Path) -> list[Path]:
    """The four stages of datatrove, one after the other in this process, a task per shard as it wants them."""
    from datatrove.pipeline.dedup import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter
    from loguru import logger

    from datatrove_words import RegexWords

    logger.remove()
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    signatures, buckets, clusters = (str(out / name) for name in ("signatures", "buckets", "clusters"))
    reader = ParquetReader(str(folder / "documents"), glob_pattern="*.parquet")
    tasks = len(shard_paths(folder))
    for rank in range(tasks):
        stage = MinhashDedupSignature(signatures, config, language=RegexWords())
        stage.run(reader.run(rank=rank, world_size=tasks), rank=rank, world_size=tasks)
    for rank in range(config.num_buckets):
        MinhashDedupBuckets(signatures, buckets, config=config).run(rank=rank, world_size=config.num_buckets)
    MinhashDedupCluster(buckets, clusters, config).run(world_size=1)
    for rank in range(tasks):
        filtered = MinhashDedupFilter(clusters).run(reader.run(rank=rank, world_size=tasks), rank=rank)
        for _ in ParquetWriter(str(out / "kept"), compression="zstd").run(filtered, rank=rank, world_size=tasks):
            pass
    return sorted((out / "kept").glob("*.parquet"))


RUNS = {"ours": ours, "datatrove": datatrove}


def _print(name: str, peer: str, ratio: float, n: int, detail: dict[str, Any]) -> None:
    print(json.dumps({"name": name, "peer": peer, "ratio": round(ratio, 2), "n": n, "detail": detail}), flush=True)


if __name__ == "__main__":
    main()
