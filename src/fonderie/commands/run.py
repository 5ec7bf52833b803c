"""fonderie run: build everything a recipe describes."""

import argparse
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from fonderie.commands.options import add_json, add_place, add_store, console, positive
from fonderie.core import pause
from fonderie.core.errors import UsageError
from fonderie.core.machine import Machine, available_cores
from fonderie.core.progress import Reporter, Silent, Terminal
from fonderie.core.recipe import load_recipe
from fonderie.core.run import RunResult, check_recipe, run_recipe
from fonderie.core.steps import find_step
from fonderie.core.store import Store
from fonderie.core.tombstones import lists_in_force

if TYPE_CHECKING:
    from fonderie.train.pricing import Assumptions, Price

SLURM = "slurm"


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("run", help="build everything a recipe describes, reusing what is already made")
    parser.add_argument("recipe", type=Path, metavar="RECIPE")
    parser.add_argument("--until", metavar="CALL", help="stop after this call and what it needs")
    parser.add_argument(
        "--set", action="append", default=[], metavar="CALL.PARAM=VALUE", help="override a parameter; recorded"
    )
    parser.add_argument("--check", action="store_true", help="validate the recipe and its sources; make nothing")
    parser.add_argument(
        "--mfu", type=_share, metavar="SHARE", help="with --check: price training at this share of a GPU's peak"
    )
    parser.add_argument(
        "--workers", type=positive, default=available_cores(), metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="of one process; default: the cores, shared out by processes"
    )
    parser.add_argument(
        "--processes", type=positive, default=1, metavar="N", help="that share a training; torchrun starts them"
    )
    parser.add_argument(
        "--nodes", type=positive, default=1, metavar="N", help="of this Slurm job, which the processes are on"
    )
    parser.add_argument(
        "--tensor-parallel",
        type=positive,
        default=1,
        metavar="N",
        help="processes that share the matrices of each block, for models too wide for one",
    )
    parser.add_argument(
        "--recompute", action="store_true", help="train with less memory, in a third more time, to the same bits"
    )
    parser.add_argument(
        "--patience",
        type=positive,
        default=600,
        metavar="SECONDS",
        help="how long a process of a training waits for the others before the run fails; default: %(default)s",
    )
    parser.add_argument("--device", default="cpu", help='"cpu" (default) or "cuda"')
    add_place(parser)
    parser.add_argument(
        "--on",
        metavar="CLUSTER",
        help="map over shards on Ray: ray starts a cluster of this machine, ray://HOST:PORT is one that is there "
        "and sees the same files at the same paths; default: processes of this machine. slurm submits the run as "
        "jobs, see --profile",
    )
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="with --on slurm: what the site wants to be told, as TOML"
    )
    parser.add_argument("--no-wait", action="store_true", help="fail at once if another run holds the store")
    add_store(parser)
    add_json(parser)
    parser.set_defaults(command=_command)


def _command(options: argparse.Namespace) -> int:
    screen = console()
    if options.on == SLURM:
        from fonderie.commands.submit import submit

        return submit(options, screen)
    if options.profile is not None:
        raise UsageError("--profile describes a site's Slurm: give it with --on slurm")
    return (_check if options.check else _run)(options, screen)


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def _check(options: argparse.Namespace, screen: Console) -> int:
    """Validate a recipe, find its sources, let every step refuse, price the training; make nothing."""
    from fonderie.train.parallel.layout import check_layouts
    from fonderie.train.pricing import Assumptions, price_recipe

    machine = _machine(options, Silent())
    recipe = load_recipe(options.recipe, options.set, find_step)
    tombstones = lists_in_force(recipe, options.store)
    names = recipe.names_until(options.until)
    missing: list[str] = []
    sources = check_recipe(recipe, names, tombstones, missing if recipe.data_elsewhere else None)
    check_layouts((recipe.calls[name] for name in names), machine)
    assumed = Assumptions() if options.mfu is None else Assumptions(mfu=options.mfu)
    prices = price_recipe(recipe, names, assumed)
    if options.json:
        calls = {
            name: [source.name for files in found.values() for source in files] for name, found in sources.items()
        }
        lists = {source.name: source.entry.sha256 for source in tombstones}
        told = {"recipe": recipe.name, "calls": calls, "missing": missing, "tombstones": lists}
        priced = [asdict(price) for price in prices]
        screen.print_json(data={**told, "prices": priced, "assumptions": asdict(assumed)})
        return 0
    files = sum(len(group) for found in sources.values() for group in found.values())
    screen.print(f"{recipe.path} is right: {len(sources)} calls, {files} source files, every licence accepted.")
    if missing:
        screen.print(f"Its data are elsewhere: {len(missing)} paths match nothing here, and a run will need them.")
    for source in tombstones:
        screen.print(f"It would obey {escape(str(source.path))}", highlight=False, soft_wrap=True)
    for price in prices:
        _print_price(price, assumed, screen)
    return 0


def _print_price(price: "Price", assumed: "Assumptions", screen: Console) -> None:
    size = f"[{price.call}]" if price.parameters is None else f"[{price.call}] {price.parameters:,} parameters"
    if price.flops is None or price.gpu_hours is None or price.kilowatt_hours is None:
        screen.print(escape(f"{size}: no estimate; {price.unknown}."), highlight=False)
        return
    screen.print(
        escape(f"{size}, {price.steps:,} steps, {price.tokens:,} tokens: {price.flops:.3g} FLOPs."), highlight=False
    )
    machine = f"{assumed.gpu} ({assumed.peak_flops / 1e12:,.0f} TFLOP/s, {assumed.gpu_watts:,.0f} W)"
    screen.print(
        f"  about {price.gpu_hours:,.4g} GPU-hours and {price.kilowatt_hours:,.4g} kWh: an estimate, for {machine} "
        f"at an MFU of {assumed.mfu:.0%} and a PUE of {assumed.pue}."
        + (f" Besides, {price.besides}." if price.besides else ""),
        highlight=False,
    )


def _machine(options: argparse.Namespace, reporter: Reporter) -> Machine:
    """Where and by how many the calls are made; UsageError for what does not come out even."""
    return Machine(
        workers=options.workers,
        threads=options.threads or max(1, available_cores() * options.nodes // options.processes),
        device=options.device,
        processes=options.processes,
        nodes=options.nodes,
        tensor_parallel=options.tensor_parallel,
        recompute=options.recompute,
        patience_seconds=options.patience,
        country=options.country,
        watts=options.watts,
        on=options.on,
        reporter=reporter,
    )


def _run(options: argparse.Namespace, screen: Console) -> int:
    """Run a recipe, and end with its release or with what each call came to."""
    if options.mfu is not None:
        raise UsageError("--mfu prices a training that is only checked: give it with --check")
    recipe = load_recipe(options.recipe, options.set, find_step)
    machine = _machine(options, Silent() if options.json else Terminal(screen))
    if not options.json:
        screen.print(f"[bold]{escape(recipe.title)}[/bold]  {escape(str(recipe.path))}")
        if recipe.policy.also_allow:
            _warn(screen, recipe.policy.also_allow)
    with pause.on_signal():
        result = run_recipe(recipe, Store(options.store), machine, until=options.until, wait=not options.no_wait)
    if options.json:
        screen.print_json(data=_as_json(result))
        return 0
    if result.made:
        screen.print(f"Made {len(result.made)} calls, reused {len(result.reused)}.")
    else:
        screen.print(f"Nothing to do: all {len(result.reused)} calls are already made, with the same inputs.")
    if result.releases:
        from fonderie.release.summary import print_summary

        for release in result.releases:
            print_summary(release, screen)
    return 0


def _warn(screen: Console, licences: Iterable[str]) -> None:
    screen.print(
        f"[bold red]RESTRICTED[/bold red] This recipe's policy also accepts {escape(', '.join(licences))}: "
        "what comes out is not free of restrictions of use."
    )


def _as_json(result: RunResult) -> dict[str, Any]:
    return {
        "made": result.made,
        "reused": result.reused,
        "releases": [str(path) for path in result.releases],
        "calls": {
            name: {"key": artifact.key, "digest": artifact.digest, "path": str(artifact.path)}
            for name, artifact in result.artifacts.items()
        },
    }
