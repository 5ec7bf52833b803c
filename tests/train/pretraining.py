"""Runs train.pretrain on two folders, outside any store; as a script, for tests that kill it."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from fonderie.core.machine import Machine
from fonderie.core.manifest import Manifest
from fonderie.core.step import Artifact, Inputs, Output
from fonderie.train.steps.pretrain import PretrainParameters, pretrain

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


def artifact(path: Path, *tokens: Path) -> Artifact:
    """A folder as an artifact with a key of its own, made of these tokens."""
    key = f"sha256:{path}"
    manifest = Manifest(key=key, digest="", step="", version=1, parameters={}, inputs={}, sources={}, files=[])
    return Artifact(path, manifest, {"tokens": tuple(map(artifact, tokens))} if tokens else {})


def run(
    tokens: Path | Sequence[Path],
    tokenizer: Path,
    staging: Path,
    *,
    machine: Machine | None = None,
    model: Path | None = None,
    **changes: object,
) -> Output:
    """Run the step; `tokens` are one folder for all phases, or one for each; `model` is what to begin from."""
    given = [tokens] if isinstance(tokens, Path) else tokens
    out = Output(staging / "files", staging / "state")
    for folder in (out.path, out.state):
        folder.mkdir(parents=True, exist_ok=True)
    inputs = Inputs(
        {
            "tokens": tuple(map(artifact, given)),
            "tokenizer": (artifact(tokenizer),),
            **({"model": (artifact(model),)} if model else {}),
        }
    )
    settings = {**SMALL, **changes}
    if "phases" in settings:
        settings.pop("duration", None)
    pretrain(inputs, PretrainParameters.model_validate(settings), out, machine or Machine())
    return out


if __name__ == "__main__":
    tokens_folder, *folders = [Path(argument) for argument in sys.argv[1:4]]
    threads, changes = sys.argv[4:] or ("1", "{}")
    given = json.loads(changes)
    also = [Path(folder) for folder in given.pop("also_tokens", [])]
    run([tokens_folder, *also], *folders, machine=Machine(threads=int(threads)), **given)
