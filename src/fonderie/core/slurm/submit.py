"""Submitting a run: the files of its chain, and sbatch."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fonderie.core.errors import StepError, UsageError
from fonderie.core.files import write_atomically
from fonderie.core.recipe import Recipe
from fonderie.core.slurm.link import CHAIN, FINISHED, STOP
from fonderie.core.slurm.profile import Job, Profile
from fonderie.core.slurm.script import preparations, script

FOLDER = "slurm"


@dataclass(frozen=True)
class Stage:
    """One chain of jobs, ready to be submitted."""

    name: str
    job: Job
    script: str
    commands: list[list[str]]
    """What each job runs, one after the other."""


def stages(
    recipe: Recipe, profile: Profile, names: list[str], arguments: Sequence[str], folder: Path
) -> list[Stage]:
    """The chains of a run: what comes before the training, if the profile has jobs for it, then the rest.

    `arguments` are those of `fonderie run` that say what is to be made: the recipe, its overrides, the store.
    """
    run = [sys.executable, "-m", "fonderie.cli", "run", *arguments]
    found = []
    if profile.preparation is not None:
        job = profile.preparation
        before = preparations(recipe, names)
        workers = ["--workers", str(job.cpus_per_node), "--threads", str(job.cpus_per_node)]
        commands = [[*run, *workers, "--until", call] for call in before]
        if commands:
            found.append(_stage("preparation", job, recipe, commands, folder))
    training = profile.training
    how = {
        "--workers": training.cpus_per_node,
        "--threads": training.threads or training.cpus_per_node // training.each,
        "--processes": training.processes,
        "--nodes": training.nodes,
        "--tensor-parallel": training.tensor_parallel,
        "--device": "cuda" if training.gpus_per_node else "cpu",
    }
    options = [text for option, value in how.items() for text in (option, str(value))]
    options += ["--recompute"] if training.recompute else []
    # Asked for by name only where the run ends early: a recipe's last call has all its releases behind it.
    until = ["--until", names[-1]] if names != list(recipe.calls) else []
    return [*found, _stage("training", training, recipe, [[*run, *options, *until]], folder)]


def _stage(name: str, job: Job, recipe: Recipe, commands: list[list[str]], folder: Path) -> Stage:
    return Stage(name, job, script(job, name=f"{recipe.name}-{name}", folder=folder, stage=name), commands)


def folder_of(recipe: Recipe, store: Path) -> Path:
    """Where a recipe's jobs write, beside its log of events; it need not be there yet."""
    return store.resolve() / "runs" / recipe.name / FOLDER


def submit(folder: Path, planned: Sequence[Stage]) -> dict[str, int]:
    """Write the scripts and submit them, each chain after the one before it; returns their job numbers.

    Raises UsageError where there is no Slurm or the kill switch lies there, StepError for what sbatch refuses.
    """
    if shutil.which("sbatch") is None:
        raise UsageError(
            "there is no sbatch here", hint="Submit from a machine of the cluster; --check prints the scripts."
        )
    switch = folder / STOP
    if switch.exists():
        raise UsageError(f"{switch} stops this run's jobs", hint="Remove it to submit new ones.")
    running = _running(folder)
    if running:
        raise UsageError(
            f"jobs of this run are in the queue already: {', '.join(running)}",
            hint=f"Let them finish, or end them: touch {switch}.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    events = folder.parent / "events.jsonl"
    numbers: dict[str, int] = {}
    for stage in planned:
        before = list(numbers)[-1] if numbers else None
        (folder / f"{stage.name}.sh").write_text(stage.script, encoding="utf-8")
        for stale in (FINISHED, "failures"):
            (folder / f"{stage.name}.{stale}").unlink(missing_ok=True)
        chain: dict[str, Any] = {
            "commands": stage.commands,
            "folder": str(Path.cwd()),
            "events": str(events),
            "attempts": stage.job.attempts,
            "after": before,
        }
        # Whether the chain before it has finished is seen by its mark: one whose last links are no longer needed
        # has cancelled them, which Slurm would not count as a success.
        dependency = [] if before is None else [f"--dependency=afterany:{numbers[before]}"]
        numbers[stage.name] = _sbatch([*dependency, str(folder / f"{stage.name}.sh")])
        chain["job"] = numbers[stage.name]
        write_atomically(folder / f"{stage.name}.{CHAIN}", json.dumps(chain, indent=1).encode("utf-8"))
    return numbers


def _sbatch(arguments: Sequence[str]) -> int:
    # Held until its chain file is written, so that no job starts without one.
    done = subprocess.run(
        ["sbatch", "--parsable", "--hold", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StepError(f"sbatch refused {arguments[-1]}: {done.stderr.strip()}", hint="Look at the profile.")
    return int(done.stdout.strip().partition(";")[0])


def release(numbers: dict[str, int]) -> None:
    """Let submitted jobs start."""
    for number in numbers.values():
        done = subprocess.run(["scontrol", "release", str(number)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise StepError(f"scontrol did not release job {number}: {done.stderr.strip()}")


def _running(folder: Path) -> list[str]:
    """Numbers of jobs of earlier submissions that are still in the queue."""
    found = []
    for path in sorted(folder.glob(f"*.{CHAIN}")):
        number = str(json.loads(path.read_bytes())["job"])
        command = ["squeue", "--noheader", "--format=%F", "--jobs", number]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        # squeue fails for a number that it has forgotten, which is not running.
        if not done.returncode and done.stdout.split():
            found.append(number)
    return found
