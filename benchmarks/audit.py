"""How fast `fonderie audit` is on a release of 2 GB, against plain sha256 of the same bytes on the same machine.

python benchmarks/audit.py [--rounds N] [--folder DIR]

Builds a small corpus and trains a wide model for three steps, so that the release is whole, valid and large; audits
it with the command as anyone would, start-up included; hashes every file with hashlib; in turn; compares medians.
Prints one JSON line for each peer: hashlib on one core, and on all of them. The release is removed afterwards.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RECIPE = """
[recipe]
title = "Large"

[tales]
step = "corpus.generate"
stories = 400

[training]
step = "corpus.hold_out"
inputs = { documents = "tales" }
share = 0.1
keep = "training"

[bpe]
step = "tokens.bpe"
inputs = { documents = "training" }
vocabulary = 1024

[shards]
step = "tokens.pack"
inputs = { documents = "training", tokenizer = "bpe" }

[base]
step = "train.pretrain"
inputs = { tokens = "shards", tokenizer = "bpe" }
depth = 12
width = 1024
heads = 16
kv_heads = 16
head_size = 64
hidden = 2560
context = 64
batch = 2
duration = "3 steps"
checkpoint_every = 2

[release]
step = "release.bundle"
inputs = { model = "base", tokenizer = "bpe" }
name = "large"
version = "1"
licence = "Apache-2.0"
language = ["fr"]
demonstration = true
"""
NEEDED_BYTES = 2_000_000_000
NEEDED_RATIO = 0.7
"""Of the speed of sha256 on one core: what was promised."""


def build(folder: Path) -> Path:
    """A release of more than 2 GB."""
    (folder / "large.toml").write_text(RECIPE, encoding="utf-8")
    command = [fonderie(), "run", "large.toml", "--store", "store", "--json"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return Path(json.loads(done.stdout)["releases"][0]).resolve()


def fonderie() -> str:
    """The command beside this interpreter."""
    return str(Path(sys.executable).parent / "fonderie")


def audit(release: Path) -> None:
    """Audit as anyone would; it must find the release in order."""
    done = subprocess.run(
        [fonderie(), "audit", str(release), "--json"], check=False, capture_output=True, text=True
    )
    report = json.loads(done.stdout)
    if done.returncode != 0 or not all(check["ok"] for check in report["checks"]):
        failing = [finding["summary"] for finding in report["findings"] if finding["verdict"] == "fail"]
        raise SystemExit(f"the release does not hold: {failing}")


def sha256_one_core(release: Path) -> None:
    """Every file after the other."""
    for path in files(release):
        sha256(path)


def sha256_all_cores(release: Path) -> None:
    """As many files at once as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(sha256, files(release)))


def sha256(path: Path) -> str:
    """One file's digest."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files(release: Path) -> list[Path]:
    """Every file of a release, the largest first."""
    return sorted(
        (path for path in release.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size, reverse=True
    )


def seconds(function: Callable[[Path], None], release: Path) -> float:
    """How long one call takes, by the clock on the wall."""
    start = time.perf_counter()
    function(release)
    return time.perf_counter() - start


def main() -> int:
    """Measure in turn; exit status 1 if the promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to build it; 6 GB are needed for a while")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="fonderie-benchmark-") as folder:
        release = build(Path(folder))
        size = sum(path.stat().st_size for path in files(release))
        if size < NEEDED_BYTES:
            raise SystemExit(f"the release has {size:,} bytes, {NEEDED_BYTES:,} are needed")
        functions = (audit, sha256_one_core, sha256_all_cores)
        for function in functions:  # once, so that all of them read from memory
            function(release)
        times: dict[str, list[float]] = {function.__name__: [] for function in functions}
        for _ in range(options.rounds):
            for function in functions:
                times[function.__name__].append(seconds(function, release))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for peer in ("sha256_one_core", "sha256_all_cores"):
        result = {
            "name": "audit_vs_sha256",
            "peer": f"hashlib, {peer.removeprefix('sha256_').replace('_', ' ')}",
            "ratio": round(medians[peer] / medians["audit"], 3),
            "n": options.rounds,
            "detail": {
                "bytes": size,
                "audit_seconds": round(medians["audit"], 2),
                "sha256_seconds": round(medians[peer], 2),
                "fastest_ratio": round(min(times[peer]) / min(times["audit"]), 3),
                "cores": os.cpu_count(),
                "load_average": round(os.getloadavg()[0], 1),
            },
        }
        print(json.dumps(result))
    return int(medians["sha256_one_core"] / medians["audit"] < NEEDED_RATIO)


if __name__ == "__main__":
    sys.exit(main())
