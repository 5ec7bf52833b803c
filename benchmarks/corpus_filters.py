"""Filters against datatrove's: Gopher repetition and quality, C4 and FineWeb, one after the other, on real text.

python benchmarks/corpus_filters.py [--corpora DIR] [--rounds N] [--documents N] [--stock N] [--only ...]

One process on one core; each pair runs in turn on the same documents, after imports and compilation; compares the
medians of CPU seconds. Prints one JSON line for each comparison:

- filters_vs_datatrove: texts in memory, its words split by our rule as a regular expression. The decisions on all
  documents are compared as well; one that differs is an error.
- filters_vs_datatrove_default: the same with its own French splitter (spaCy), on fewer documents.
- read_filter_write_vs_datatrove: a JSONL.zst file in, Parquet out; ours also checks licences and writes ledgers.
  The detail says how much memory ours took at most, read and filter, in a process of its own.
"""

import argparse
import gc
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import ParquetWriter

from datatrove_words import SETS, RegexWords, filters, outcome
from fonderie.core.document import ROWS_PER_GROUP, SCHEMA, Document
from fonderie.core.machine import Machine
from fonderie.core.manifest import Manifest
from fonderie.core.recipe import find_sources
from fonderie.core.step import Artifact, Inputs, Output
from fonderie.corpus.filter import FilterParameters, filter_documents
from fonderie.corpus.read import ReadParameters, read
from fonderie.corpus.rules.judge import Judge, Resources
from fonderie.corpus.rules.lists import stop_words
from fonderie.corpus.rules.sets import Plans
from real_documents import real_texts
from settle import settle

STOP_WORDS = list(stop_words("fr")[0])
NO_LINE = "c4: no line is left"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--corpora", type=Path, default=Path(os.environ.get("FONDERIE_CORPORA", "../shared/corpora"))
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--documents", type=int, default=4_000, help="for speed; decisions are compared on all")
    parser.add_argument("--stock", type=int, default=400, help="documents for datatrove's own splitter")
    parser.add_argument("--only", choices=("filters", "default", "disk"), help="one of the comparisons")
    parser.add_argument("--memory", type=Path, nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if asked.memory:
        _ours_to_disk(*asked.memory)
        print(_most_memory())
        return
    everything = list(real_texts(asked.corpora))
    texts = everything[:: max(len(everything) // asked.documents, 1)]
    stock = everything[:: max(len(everything) // asked.stock, 1)]
    same, rounds = "datatrove, our word rule", asked.rounds
    if asked.only in (None, "filters"):
        compared = _compare(everything)
        _filters("filters_vs_datatrove", same, RegexWords(), texts, rounds=rounds, said=compared)
    if asked.only in (None, "default"):
        _filters("filters_vs_datatrove_default", "datatrove, its French splitter", "fra", stock, rounds=rounds)
    if asked.only in (None, "disk"):
        _read_filter_write("read_filter_write_vs_datatrove", same, texts, rounds)


def _most_memory() -> int:
    """Bytes that this process has had in memory at most.

    `getrusage` would count what its parent had: Linux carries that through fork and exec.
    """
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _batches(texts: list[str]) -> list[Any]:
    rows = [Document(text=text, source="real", origin="", licence="CC0-1.0", language="fr") for text in texts]
    return [
        pa.RecordBatch.from_pylist(
            [{name: getattr(item, name) for name in SCHEMA.names} for item in rows[first : first + ROWS_PER_GROUP]],
            SCHEMA,
        )
        for first in range(0, len(rows), ROWS_PER_GROUP)
    ]


def _compare(texts: list[str]) -> str:
    """Decisions, reasons and texts on every document; SystemExit on the first that differs."""
    judge, steps = Judge(Plans(SETS, {}, {}), Resources()), filters(RegexWords(), STOP_WORDS)
    verdicts = [verdict for batch in _batches(texts) for verdict in judge.judge(batch)]
    kept = 0
    for text, verdict in zip(texts, verdicts, strict=True):
        reason, left = outcome(text, steps)
        ours = verdict.reason if verdict.dropped else None
        same = ours == reason or (ours == NO_LINE and reason == "kept_sentences >= 5")
        if not same or (reason is None and left != (text if verdict.text is None else verdict.text.decode())):
            sys.exit(f"a decision differs: {ours} here, {reason} there, on {text!r}")
        kept += reason is None
    return f"same decisions and texts on {len(texts)} documents, {kept} kept; "


def _filters(name: str, peer: str, words: Any, texts: list[str], *, rounds: int, said: str = "") -> None:
    judge, steps, batches = Judge(Plans(SETS, {}, {}), Resources()), filters(words, STOP_WORDS), _batches(texts)

    def ours() -> None:
        for batch in batches:
            judge.judge(batch)

    def theirs() -> None:
        for text in texts:
            outcome(text, steps)

    _print(name, peer, _in_turn(ours, theirs, rounds), texts, said)


def _read_filter_write(name: str, peer: str, texts: list[str], rounds: int) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        source = folder / "in" / "texts.jsonl.zst"
        source.parent.mkdir()
        with zstandard.open(source, "wb") as raw, io.TextIOWrapper(raw, encoding="utf-8") as file:  # type: ignore[arg-type]
            for text in texts:
                file.write(json.dumps({"text": text, "language": "fr"}, ensure_ascii=False) + "\n")
        count = iter(range(1_000))
        found = _in_turn(
            lambda: _ours_to_disk(source, folder / f"ours-{next(count)}"),
            lambda: _theirs_to_disk(source, folder / f"theirs-{next(count)}"),
            rounds,
        )
        command = [sys.executable, __file__, "--memory", str(source), str(folder / "memory")]
        peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        said = f"ours took at most {peak / 1e6:.0f} MB; "
        _print(name, peer, found, texts, said)


def _ours_to_disk(source: Path, folder: Path) -> None:
    reading = ReadParameters.model_validate(
        {"path": str(source), "format": "jsonl", "licence": "CC0-1.0", "language": "fr", "source": "real"}
    )
    came, went = Output(folder / "read", folder), Output(folder / "filtered", folder)
    came.path.mkdir(parents=True)
    went.path.mkdir()
    sources = {"path": find_sources(str(source), folder, "read.path")}
    read(Inputs({}, sources), reading, came, Machine())
    manifest = Manifest(
        key="", digest="", step="corpus.read", version=1, parameters={}, inputs={}, sources={}, files=[]
    )
    inputs = Inputs({"documents": (Artifact(came.path, manifest),)})
    filter_documents(inputs, FilterParameters(rules=SETS), went, Machine())


def _theirs_to_disk(source: Path, folder: Path) -> None:
    documents = JsonlReader(str(source.parent), glob_pattern=source.name, compression="zstd")()
    for one in filters(RegexWords(), STOP_WORDS):
        documents = one(documents)
    for _ in ParquetWriter(str(folder), compression="zstd")(documents):
        pass


def _in_turn(ours: Callable[[], None], theirs: Callable[[], None], rounds: int) -> tuple[float, float]:
    """Median CPU seconds of each, after one run of ours for nothing: it may have to compile."""
    ours()
    # What was made before the comparison is no part of it: without this, every collection looks through it.
    gc.collect()
    gc.freeze()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for run, taken in zip((ours, theirs), times, strict=True):
            settle()
            start = time.process_time()
            run()
            taken.append(time.process_time() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def _print(name: str, peer: str, seconds: tuple[float, float], texts: list[str], said: str) -> None:
    size = sum(len(text.encode()) for text in texts) / 1e6
    ours, theirs = seconds
    detail = f"{said}{size:.1f} MB: ours {size / ours:.1f} MB/s per core, theirs {size / theirs:.2f}"
    line = {"name": name, "peer": peer, "ratio": round(theirs / ours, 1), "n": len(texts), "detail": detail}
    print(json.dumps(line, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
