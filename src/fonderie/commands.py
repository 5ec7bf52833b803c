"""What the commands do, between the command line's words and the packages' functions."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from fonderie.core.errors import UsageError
from fonderie.core.machine import Machine
from fonderie.core.progress import Silent, Terminal
from fonderie.core.recipe import load_recipe
from fonderie.core.run import RunResult, check_recipe, run_recipe
from fonderie.core.steps import find_step
from fonderie.core.store import Store
from fonderie.trace.why import Trail, artifacts_of


@dataclass(frozen=True)
class RunRequest:
    """What `fonderie run` was asked for."""

    recipe: Path
    store: Path
    overrides: tuple[str, ...]
    until: str | None
    workers: int
    threads: int
    device: str
    wait: bool


def check(request: RunRequest, console: Console, *, as_json: bool) -> int:
    """Validate a recipe, find its sources and let every step refuse; make nothing."""
    recipe = load_recipe(request.recipe, request.overrides, find_step)
    sources = check_recipe(recipe, recipe.names_until(request.until))
    if as_json:
        calls = {
            name: [source.name for files in found.values() for source in files] for name, found in sources.items()
        }
        console.print_json(data={"recipe": recipe.name, "calls": calls})
    else:
        files = sum(len(group) for found in sources.values() for group in found.values())
        console.print(
            f"{recipe.path} is right: {len(sources)} calls, {files} source files, every licence accepted."
        )
    return 0


def run(request: RunRequest, console: Console, *, as_json: bool) -> int:
    """Run a recipe, and end with its release or with what each call came to."""
    recipe = load_recipe(request.recipe, request.overrides, find_step)
    machine = Machine(
        workers=request.workers,
        threads=request.threads,
        device=request.device,
        reporter=Silent() if as_json else Terminal(console),
    )
    if not as_json:
        console.print(f"[bold]{escape(recipe.title)}[/bold]  {escape(str(recipe.path))}")
        if recipe.policy.also_allow:
            _warn(console, recipe.policy.also_allow)
    result = run_recipe(recipe, Store(request.store), machine, until=request.until, wait=request.wait)
    if as_json:
        console.print_json(data=_as_json(result))
        return 0
    if result.made:
        console.print(f"Made {len(result.made)} calls, reused {len(result.reused)}.")
    else:
        console.print(f"Nothing to do: all {len(result.reused)} calls are already made, with the same inputs.")
    if result.releases:
        from fonderie.release.summary import print_summary

        for release in result.releases:
            print_summary(release, console)
    return 0


def _warn(console: Console, licences: Iterable[str]) -> None:
    console.print(
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


def show(what: str, store_path: Path, console: Console, as_json: bool) -> int:
    """Print the report of a recipe's last run, or of a release."""
    from fonderie.release.report import Report, build_report, render

    folder = Path(what)
    if (folder / "release.json").is_file():
        report = Report.model_validate_json((folder / "report.json").read_bytes())
    else:
        name = folder.stem if folder.suffix == ".toml" else what
        store = Store(store_path)
        lock = store.read_lock(name)
        if lock is None:
            raise UsageError(
                f"'{what}' is neither a release's folder nor a recipe that ran to its end in {store.root}",
                hint="Run it first: fonderie run RECIPE",
            )
        report = build_report(artifacts_of(store, name).values(), lock)
    if as_json:
        console.print_json(report.model_dump_json())
    else:
        console.print(render(report))
    return 0


def verify(folder: Path, console: Console, as_json: bool) -> int:
    """Check a release; exit status 1 if anything does not hold."""
    from fonderie.release.verify import verify as verify_release

    machine = Machine(reporter=Silent() if as_json else Terminal(console))
    verification = verify_release(folder, machine)
    if as_json:
        console.print_json(verification.model_dump_json())
        return 0 if verification.ok else 1
    for item in verification.checks:
        mark = "[green]ok[/green]    " if item.ok else "[red]failed[/red]"
        console.print(f"  {mark} {escape(item.name)}: {escape(item.detail)}", highlight=False)
    for problem in verification.problems:
        console.print(f"  [red]{escape(problem)}[/red]", highlight=False, soft_wrap=True)
    for line in verification.chain:
        console.print(f"  {escape(line)}", highlight=False, soft_wrap=True, style="dim")
    said = "holds" if verification.ok else "does NOT hold"
    name = escape(f"{verification.name} {verification.version}")
    console.print(f"{name} {said}: {verification.digest}", highlight=False)
    return 0 if verification.ok else 1


def print_trails(trails: list[Trail], query: str, console: Console) -> None:
    """Print what became of each document found."""
    if not trails:
        console.print(f"No document matches {query!r}.", highlight=False)
    for trail in trails:
        console.print(f"[bold]{trail.id}[/bold]", highlight=False)
        console.print(f"  {escape(trail.source)}: {escape(trail.origin)}", highlight=False)
        console.print(f"  “{escape(trail.excerpt)}…”", style="italic", highlight=False)
        for fate in trail.fates:
            colour = {"kept": "green", "edited": "yellow", "dropped": "red"}[fate.fate]
            why = ": ".join(part for part in (fate.reason, fate.detail) if part)
            console.print(f"  {fate.call:<14} [{colour}]{fate.fate:<8}[/{colour}] {escape(why)}", highlight=False)
        for place in trail.tokens:
            last = place.first + place.length - 1
            console.print(
                f"  {place.call:<14} {place.length:,} tokens, positions {place.first:,} to {last:,}, {place.shard}",
                highlight=False,
            )
            for call, steps in place.seen.items():
                shown = ", ".join(f"{step:,}" for step in steps[:12]) + (" …" if len(steps) > 12 else "")
                console.print(
                    f"  {call:<14} seen in {len(steps)} training steps: {shown}"
                    if steps
                    else f"  {call:<14} never seen",
                    highlight=False,
                )
