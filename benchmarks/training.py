"""How fast a small model trains, against Hugging Face's Trainer and litgpt on the same machine, model and data.

python benchmarks/training.py [3m] [25m] [3m_2t] [--windows N] [--steps N] [--peers FOLDER]

Everybody trains in bf16, compiled, in a process of its own that waits until it is told to take some steps: windows
of steps in turn, so that what else the machine does meets all alike; medians. Prints a JSON line for each
comparison, against the faster peer; the detail has everybody's tokens per second and peak of memory, and the share
of our step that is data loading. Exit status 1 if a promise is not kept.

Peers are installed from PyPI on first use, each into an environment below `--peers`, as they ask for different
versions of one library. The first start of each compiles for some minutes; what was compiled is kept there too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import numpy as np

from fonderie.model.config import ModelConfig
from fonderie.tokens.shards import Extent, ShardIndex, dtype_for, write_shard

PEERS = {
    "trainer": ("torch==2.13.0", "transformers==5.24.0", "accelerate==1.15.0"),
    "litgpt": ("torch==2.13.0", "litgpt==0.5.13"),
}
NAMES = {"trainer": "Hugging Face Trainer, compiled, bf16", "litgpt": "litgpt, compiled, bf16-mixed"}
CONTESTANTS = Path(__file__).with_name("training_contestants.py")
TOKENS = 2_000_000


def shape(depth: int, width: int, vocabulary: int, context: int) -> dict[str, Any]:
    """A model by our own rule, and 4,096 tokens a step."""
    config = ModelConfig.from_depth(depth, width=width, vocabulary=vocabulary, context=context)
    return config.model_dump(mode="json") | {"batch": 4096 // context, "parameters": config.parameters}


SHAPES = {"3m": shape(3, 256, 4096, 256), "25m": shape(6, 512, 16384, 512)}

# What was promised: name, shape, threads, ratio.
COMPARISONS = {
    "3m": ("train_3m_vs_best_peer", "3m", 1, 1.2),
    "25m": ("train_25m_vs_best_peer", "25m", 1, 1.2),
    "3m_2t": ("train_3m_2t_vs_best_peer", "3m", 2, 1.35),
}
LARGEST_DATA_SHARE = 0.01


class Contestant:
    """A process that trains when it is told to."""

    def __init__(self, kind: str, data: Path, sizes: dict[str, Any], threads: int, peers: Path) -> None:
        cache = peers / "compiled" / f"{sizes['parameters']}-{threads}t"
        cache.mkdir(parents=True, exist_ok=True)
        python = environment(peers, kind)
        cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[-threads:]))
        self.process = subprocess.Popen(
            ["taskset", "-c", cores, python, CONTESTANTS, kind, data, json.dumps(sizes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(cache / f"{kind}.log").open("w"),
            text=True,
            env={
                **os.environ,
                "OMP_NUM_THREADS": str(threads),
                "TORCHINDUCTOR_CACHE_DIR": str(cache / f"{kind}-compiled"),
                "TOKENIZERS_PARALLELISM": "false",
            },
        )
        self.log = cache / f"{kind}.log"

    def train(self, steps: int) -> dict[str, float]:
        """Take some steps; what it answers."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"a contestant ended early:\n{self.log.read_text()[-3000:]}")
        measured: dict[str, float] = json.loads(answer)
        return measured

    def end(self) -> None:
        """Close its orders, which ends it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def write_tokens(folder: Path, vocabulary: int) -> None:
    """Ids as frequent as words are (Zipf), as one document in a tokens artifact."""
    random = np.random.default_rng(0)
    weights = 1 / np.arange(1, vocabulary + 1)
    ids = random.choice(vocabulary, size=TOKENS, p=weights / weights.sum())
    extent = Extent("sha256:0", "zipf", "", "CC0-1.0", 0, TOKENS, 0)
    folder.mkdir()
    entry, _ = write_shard(folder, 0, dtype_for(vocabulary), [(extent, ids.tolist())])
    index = ShardIndex(dtype=dtype_for(vocabulary), vocabulary=vocabulary, bos=0, eos=1, end=2, shards=[entry])
    (folder / "index.json").write_text(index.model_dump_json(), encoding="utf-8")


def environment(peers: Path, kind: str) -> Path:
    """The interpreter of a contestant; a peer's is installed where it is missing."""
    if kind == "ours":
        return Path(sys.executable)
    python = peers / kind / "bin/python"
    if not python.exists():
        venv.create(peers / kind, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS[kind]], check=True)
    return python


def compare(asked: argparse.Namespace, name: str, size: str, threads: int, wanted: float) -> bool:
    """Measure everybody in turn, print the line; whether the promise is kept."""
    sizes = SHAPES[size]
    kinds = ("ours", *PEERS)
    with tempfile.TemporaryDirectory() as made:
        data = Path(made) / "tokens"
        write_tokens(data, sizes["vocabulary"])
        contestants = {kind: Contestant(kind, data, sizes, threads, asked.peers) for kind in kinds}
        try:
            for contestant in contestants.values():
                contestant.train(asked.warmup)
            windows: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
            for _ in range(asked.windows):
                for kind, contestant in contestants.items():
                    windows[kind].append(contestant.train(asked.steps))
        finally:
            for contestant in contestants.values():
                contestant.end()
    tokens = asked.steps * sizes["batch"] * sizes["context"]
    speed = {kind: statistics.median(tokens / window["seconds"] for window in windows[kind]) for kind in kinds}
    memory = {kind: max(window["peak_bytes"] for window in windows[kind]) for kind in kinds}
    best = max(PEERS, key=lambda kind: speed[kind])
    ratio = speed["ours"] / speed[best]
    share = statistics.median(window["data_seconds"] / window["seconds"] for window in windows["ours"])
    lean = memory["ours"] <= min(memory[kind] for kind in PEERS)
    detail = {
        "parameters": sizes["parameters"],
        "context": sizes["context"],
        "batch": sizes["batch"],
        "vocabulary": sizes["vocabulary"],
        "threads": threads,
        "steps_per_window": asked.steps,
        "tokens_per_second": {kind: round(value) for kind, value in speed.items()},
        "ratio_of_each_window": [
            round(theirs["seconds"] / mine["seconds"], 3)
            for mine, theirs in zip(windows["ours"], windows[best], strict=True)
        ],
        "cpu_seconds_per_step": {
            kind: round(statistics.median(window["cpu_seconds"] for window in windows[kind]) / asked.steps, 3)
            for kind in kinds
        },
        "peak_megabytes": {kind: round(value / 1e6) for kind, value in memory.items()},
        "memory_not_above_theirs": lean,
        "data_share_of_step": round(share, 5),
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(
        json.dumps(
            {"name": name, "peer": NAMES[best], "ratio": round(ratio, 3), "n": asked.windows, "detail": detail}
        ),
        flush=True,
    )
    return ratio >= wanted and lean and share < LARGEST_DATA_SHARE


def main() -> int:
    """Make the comparisons that are asked for, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", choices=[*COMPARISONS, []], metavar="3m, 25m, 3m_2t")
    parser.add_argument("--windows", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="per window")
    parser.add_argument("--warmup", type=int, default=5, help="steps before the first window, which compile")
    parser.add_argument("--peers", type=Path, default=Path("build/peers"), help="where the peers are installed")
    asked = parser.parse_args()
    asked.peers = asked.peers.resolve()
    kept = [compare(asked, *COMPARISONS[which]) for which in asked.which or COMPARISONS]
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())
