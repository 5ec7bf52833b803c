"""The scripts that are submitted, as text: pure functions of a profile and of what is to be run."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from fonderie.core.recipe import Recipe
from fonderie.core.slurm.profile import Job

SIGNAL = "USR1"


def script(job: Job, *, name: str, folder: Path, stage: str) -> str:
    """A batch script: a chain of jobs, one at a time, each of which runs link.py as its own process.

    `folder` holds the chain's state and output; `stage` is the name of its kind of job.
    """
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in _options(job, name, folder, stage))]
    # Not -u: the scripts of modules and environments read variables that may be unset.
    lines += ["set -eo pipefail"]
    if job.modules:
        lines += ["module purge", f"module load {' '.join(job.modules)}"]
    lines += job.setup
    lines += [f"export {key}={shlex.quote(value)}" for key, value in sorted(job.environment.items())]
    # `exec`, so that the signal before the limit, which goes to the script alone, reaches the link.
    link = [sys.executable, "-m", "fonderie.core.slurm.link", str(folder), stage]
    return "\n".join([*lines, f"exec {shlex.join(link)}"]) + "\n"


def _options(job: Job, name: str, folder: Path, stage: str) -> Iterator[str]:
    yield f"--job-name={name}"
    for option in ("account", "partition", "qos", "constraint", "reservation", "hint"):
        value = getattr(job, option)
        if value is not None:
            yield f"--{option}={value}"
    if job.exclusive:
        yield "--exclusive"
    yield f"--nodes={job.nodes}"
    yield "--ntasks-per-node=1"
    yield f"--cpus-per-task={job.cpus_per_node}"
    if job.gpus_per_node:
        yield f"--gres=gpu:{job.gpus_per_node}"
    if job.memory_per_node is not None:
        yield f"--mem={job.memory_per_node}"
    yield f"--time={job.time}"
    yield f"--array=1-{job.links}%1"
    yield f"--signal=B:{SIGNAL}@{job.warn_seconds}"
    yield "--requeue"
    yield "--open-mode=append"
    yield f"--output={folder / stage}-%A_%a.log"


def preparations(recipe: Recipe, names: list[str]) -> list[str]:
    """The last calls of what can be made before any training; making these makes all of it."""
    before: set[str] = set()
    for name in names:
        call = recipe.calls[name]
        parents = {parent for group in call.inputs.values() for parent in group}
        # Trainings are the steps that can stop half-way and go on; what needs one comes after it.
        if not call.step.resumable and not call.step.needs_lock and parents <= before:
            before.add(name)
    used = {parent for name in before for group in recipe.calls[name].inputs.values() for parent in group}
    return [name for name in names if name in before - used]
