"""fonderie run --on slurm: the run as jobs of a cluster."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from fonderie.core.errors import UsageError
from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.run import check_recipe
from fonderie.core.slurm.link import STOP
from fonderie.core.slurm.profile import read_profile
from fonderie.core.slurm.submit import folder_of, release, stages
from fonderie.core.slurm.submit import submit as submit_stages
from fonderie.core.steps import find_step
from fonderie.core.store import Store
from fonderie.core.tombstones import lists_in_force
from fonderie.train.parallel.layout import check_layouts

OF_THE_PROFILE = {
    "processes": 1,
    "nodes": 1,
    "tensor_parallel": 1,
    "recompute": False,
    "threads": None,
    "device": "cpu",
}
"""Options that a profile settles, with what they are where nobody gave them."""


def submit(options: argparse.Namespace, screen: Console) -> int:
    """Check the recipe, write the scripts, submit them; with --check, print them instead."""
    if options.profile is None:
        raise UsageError(
            "--on slurm needs --profile FILE", hint="recipes/slurm/jean-zay.toml is one to start from."
        )
    given = [name for name, default in OF_THE_PROFILE.items() if getattr(options, name) != default]
    if given:
        raise UsageError(
            f"--{given[0].replace('_', '-')} is settled by {options.profile} where jobs are submitted",
            hint="Change it there.",
        )
    profile = read_profile(options.profile)
    recipe = load_recipe(options.recipe, options.set, find_step)
    names = recipe.names_until(options.until)
    check_recipe(recipe, names, lists_in_force(recipe, options.store), [] if recipe.data_elsewhere else None)
    training = profile.training
    machine = Machine(
        processes=training.processes,
        nodes=training.nodes,
        tensor_parallel=training.tensor_parallel,
        recompute=training.recompute,
    )
    check_layouts((recipe.calls[name] for name in names), machine)
    folder = folder_of(recipe, options.store)
    planned = stages(recipe, profile, names, _arguments(options), folder)
    if options.check:
        _show(options, screen, [(stage.name, stage.script, stage.commands) for stage in planned])
        return 0
    # The store is made here, if it is new: a job that cannot write it had better not be queued.
    Store(options.store).run_folder(recipe.name)
    numbers = submit_stages(folder, planned)
    release(numbers)
    if options.json:
        screen.print_json(data={"jobs": numbers, "folder": str(folder), "stop": str(folder / STOP)})
        return 0
    for stage in planned:
        screen.print(
            f"Submitted job {numbers[stage.name]}: {stage.name}, up to {stage.job.links} links of {stage.job.time}",
            highlight=False,
        )
    screen.print(escape(f"Its output is in {folder}. To stop it: touch {folder / STOP}"), soft_wrap=True)
    return 0


def _arguments(options: argparse.Namespace) -> list[str]:
    """What the jobs are told of the run itself, with paths that hold in any folder."""
    overrides = [text for value in options.set for text in ("--set", value)]
    where = [str(Path(options.recipe).resolve()), "--store", str(Path(options.store).resolve())]
    country = ["--country", options.country] if options.country else []
    watts = ["--watts", str(options.watts)] if options.watts else []
    return [*where, *overrides, *country, *watts, "--patience", str(options.patience)]


def _show(options: argparse.Namespace, screen: Console, planned: list[Any]) -> None:
    if options.json:
        found = [{"stage": name, "script": text, "commands": commands} for name, text, commands in planned]
        screen.print_json(data={"stages": found})
        return
    for name, text, commands in planned:
        screen.rule(name, align="left")
        screen.print(text, markup=False, highlight=False, soft_wrap=True)
        for command in commands:
            screen.print(f"# runs: {' '.join(command)}", markup=False, highlight=False, soft_wrap=True)
