"""Runs train.pretrain by several processes, outside any store; as a script, for tests that kill it."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.train.pretraining import SMALL, artifact

from fonderie.core import pause
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output
from fonderie.train.steps.pretrain import PretrainParameters, pretrain


def run(tokens: Path, tokenizer: Path, staging: Path, machine: Machine | None = None, **changes: Any) -> Output:
    """Two processes, unless the machine says otherwise."""
    out = Output(staging / "files", staging / "state")
    for folder in (out.path, out.state):
        folder.mkdir(parents=True, exist_ok=True)
    inputs = Inputs({"tokens": (artifact(tokens),), "tokenizer": (artifact(tokenizer),)})
    params = PretrainParameters.model_validate({**SMALL, **changes})
    pretrain(inputs, params, out, machine or Machine(processes=2))
    return out


if __name__ == "__main__":
    folders = [Path(argument) for argument in sys.argv[1:4]]
    machine, changes = (json.loads(argument) for argument in sys.argv[4:6])
    os.setpgrp()
    with pause.on_signal():
        run(*folders, Machine(**machine), **changes)
