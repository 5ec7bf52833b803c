"""The filter path against itself: two workers against one, and a corpus of 1, 4 and 16 times the size.

python benchmarks/corpus_engines.py [--corpora DIR] [--only ...] [--rounds N] [--megabytes N] [--growth N]

On real text. Every measurement is a process of its own that reads document shards and writes shards and ledgers,
as the step does. Prints one JSON line for each comparison:

- two_workers: wall seconds with one process over those with two, in turn; medians. It needs two idle cores. The
  detail has what two cores give at best: twice the time of one process over that of two that know nothing of each
  other and do all of the work each.
- growth_4x, growth_16x: CPU seconds per megabyte on the small corpus over those on the large one. 1 is linear time.
  The detail gives the peak of memory at each size, which must stay below 0.6 GB.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path
from typing import Any

from fonderie.core.document import Document, read_documents, shard_path, shard_paths, write_documents
from fonderie.core.machine import Machine
from fonderie.core.manifest import Manifest
from fonderie.core.step import Artifact, Inputs, Output
from fonderie.corpus.filter import FilterParameters, filter_documents

SETS = ("gopher_repetition", "gopher_quality_fr", "c4_fr", "fineweb")
SHARD_BYTES = 8 << 20
MOST_BYTES = 600_000_000


def main() -> None:
    """Measure, and print; exit status 1 if memory grows beyond what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--corpora", type=Path, default=Path(os.environ.get("FONDERIE_CORPORA", "../shared/corpora"))
    )
    parser.add_argument("--only", choices=("workers", "growth"), help="one of the comparisons")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=600, help="for two_workers")
    parser.add_argument("--growth", type=int, default=25, help="megabytes of the smallest of three corpora")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--warm", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(_filter(asked.folder, asked.one, warm=asked.warm)))
        return
    with tempfile.TemporaryDirectory() as made:
        from real_documents import real_texts  # not at the top: workers import this file

        texts = list(real_texts(asked.corpora))
        if asked.only in (None, "workers"):
            _two_workers(texts, Path(made) / "workers", asked)
        if asked.only == "workers":
            return
        grown = _growth(texts, Path(made) / "growth", asked)
    if max(result["peak_bytes"] for result in grown) > MOST_BYTES:
        sys.exit(f"the filter path took more than {MOST_BYTES / 1e6:.0f} MB")


def _two_workers(texts: list[str], folder: Path, asked: argparse.Namespace) -> None:
    size = _write(texts, folder, asked.megabytes)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    apart: list[float] = []
    _in_a_process(folder, 2)  # kernels are compiled and cached, files are in memory
    for _ in range(asked.rounds):
        for workers, taken in seconds.items():
            taken.append(_in_a_process(folder, workers)["wall_seconds"])
        with ThreadPoolExecutor(2) as both:
            found = list(both.map(lambda _: _in_a_process(folder, 1)["wall_seconds"], range(2)))
        apart.append(max(found))
    one, two = (statistics.median(taken) for taken in seconds.values())
    detail = {
        **size,
        "wall_seconds": {str(workers): taken for workers, taken in seconds.items()},
        "wall_seconds_of_two_apart": apart,
        "at_best": round(2 * one / statistics.median(apart), 2),
        "cores": len(os.sched_getaffinity(0)),
        "load_1_minute": round(os.getloadavg()[0], 1),
    }
    _print("two_workers", "one worker", one / two, asked.rounds, detail)


def _growth(texts: list[str], folder: Path, asked: argparse.Namespace) -> list[dict[str, Any]]:
    found = []
    for factor in (1, 4, 16):
        size = _write(texts, folder / f"{factor}x", asked.growth * factor)
        runs = [_in_a_process(folder / f"{factor}x", 1, warm=True) for _ in range(asked.rounds)]
        seconds = statistics.median(run["cpu_seconds"] for run in runs)
        peak = max(run["peak_bytes"] for run in runs)
        found.append(
            {**size, "cpu_seconds": seconds, "seconds_per_mb": seconds / size["bytes"] * 1e6, "peak_bytes": peak}
        )
        if factor > 1:
            ratio = found[0]["seconds_per_mb"] / found[-1]["seconds_per_mb"]
            _print(
                f"growth_{factor}x", "itself at 1x", ratio, asked.rounds, {"1x": found[0], f"{factor}x": found[-1]}
            )
    return found


def _write(texts: list[str], folder: Path, megabytes: int) -> dict[str, int]:
    """Shards as corpus.read makes them; texts that come again are numbered, so that none is twice the same."""
    documents = _numbered(texts)
    folder.mkdir(parents=True)
    total = shards = number = 0
    while total < megabytes * 1_000_000:
        held: list[Document] = []
        size = 0
        for document in documents:
            held.append(document)
            size += len(document.text.encode())
            if size >= SHARD_BYTES:
                break
        number += write_documents(shard_path(folder, shards), held)
        total += size
        shards += 1
    return {"bytes": total, "documents": number, "shards": shards}


def _numbered(texts: list[str]) -> Iterator[Document]:
    for time_round in count():
        for place, text in enumerate(texts):
            said = f"{text}\n{time_round}" if time_round else text
            yield Document(
                text=said, source="real", origin=f"{place}/{time_round}", licence="CC0-1.0", language="fr"
            )


def _filter(folder: Path, workers: int, *, warm: bool) -> dict[str, float]:
    """In a process of its own: all rules that datatrove also has, for French; memory is that of this process.

    `warm`: compiled kernels are loaded before the clock starts, a second whatever the size. Otherwise that, and the
    start of worker processes, is on the clock, as in a run.
    """
    manifest = Manifest(
        key="", digest="", step="corpus.read", version=1, parameters={}, inputs={}, sources={}, files=[]
    )
    with tempfile.TemporaryDirectory(dir=folder) as made:
        out = Output(Path(made) / "out", Path(made))
        out.path.mkdir()
        inputs = Inputs({"documents": (Artifact(folder, manifest),)})
        if warm:
            few = Path(made) / "few"
            few.mkdir()
            write_documents(shard_path(few, 0), islice(read_documents(next(iter(shard_paths(folder)))), 50))
            before = Output(few / "out", few)
            before.path.mkdir()
            filter_documents(
                Inputs({"documents": (Artifact(few, manifest),)}), FilterParameters(rules=SETS), before, Machine()
            )
        began, used = time.perf_counter(), time.process_time()
        filter_documents(inputs, FilterParameters(rules=SETS), out, Machine(workers=workers))
        wall, cpu = time.perf_counter() - began, time.process_time() - used
    return {
        "wall_seconds": round(wall, 3),
        "cpu_seconds": round(cpu, 3),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _in_a_process(folder: Path, workers: int, *, warm: bool = False) -> dict[str, float]:
    command = [
        sys.executable,
        __file__,
        "--one",
        str(workers),
        "--folder",
        str(folder),
        *(["--warm"] if warm else []),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"filtering with {workers} workers failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _print(name: str, peer: str, ratio: float, rounds: int, detail: dict[str, Any]) -> None:
    line = {"name": name, "peer": peer, "ratio": round(ratio, 2), "n": rounds, "detail": detail}
    print(json.dumps(line, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
