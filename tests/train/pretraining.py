"""Runs train.pretrain on two folders, outside any store; as a script, for tests that kill it."""

import json
import sys
from pathlib import Path

from fonderie.core.machine import Machine
from fonderie.core.manifest import Manifest
from fonderie.core.step import Artifact, Inputs, Output
from fonderie.train.pretrain import PretrainParameters, pretrain

SMALL = {
    "depth": 2,
    "width": 32,
    "head_size": 8,
    "context": 32,
    "duration": "180 steps",
    "batch": 8,
    "accumulation": 2,
    "warmup": 0.1,
    "checkpoint_every": 20,
    "checkpoints_kept": 2,
}


def artifact(path: Path) -> Artifact:
    manifest = Manifest(key="", digest="", step="", version=1, parameters={}, inputs={}, sources={}, files=[])
    return Artifact(path, manifest)


def run(tokens: Path, tokenizer: Path, staging: Path, *, threads: int = 1, **changes: object) -> Output:
    out = Output(staging / "files", staging / "state")
    for folder in (out.path, out.state):
        folder.mkdir(parents=True, exist_ok=True)
    inputs = Inputs({"tokens": (artifact(tokens),), "tokenizer": (artifact(tokenizer),)})
    pretrain(inputs, PretrainParameters.model_validate({**SMALL, **changes}), out, Machine(threads=threads))
    return out


if __name__ == "__main__":
    folders = [Path(argument) for argument in sys.argv[1:4]]
    threads, changes = sys.argv[4:] or ("1", "{}")
    run(*folders, threads=int(threads), **json.loads(changes))
