"""fonderie verify: hash a release again and check the chain from weights to sources."""

import argparse
from pathlib import Path
from typing import Any

from rich.markup import escape

from fonderie.commands.options import add_json, console
from fonderie.core.machine import Machine
from fonderie.core.progress import Silent, Terminal


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("verify", help="hash a release again and check the chain from weights to sources")
    parser.add_argument("release", type=Path, metavar="RELEASE")
    add_json(parser)
    parser.set_defaults(command=_verify)


def _verify(options: argparse.Namespace) -> int:
    from fonderie.release.verify import verify

    screen = console()
    machine = Machine(reporter=Silent() if options.json else Terminal(screen))
    verification = verify(options.release, machine)
    if options.json:
        screen.print_json(verification.model_dump_json())
        return 0 if verification.ok else 1
    for item in verification.checks:
        mark = "[green]ok[/green]    " if item.ok else "[red]failed[/red]"
        screen.print(f"  {mark} {escape(item.name)}: {escape(item.detail)}", highlight=False)
    for problem in verification.problems:
        screen.print(f"  [red]{escape(problem)}[/red]", highlight=False, soft_wrap=True)
    for line in verification.chain:
        screen.print(f"  {escape(line)}", highlight=False, soft_wrap=True, style="dim")
    said = "holds" if verification.ok else "does NOT hold"
    name = escape(f"{verification.name} {verification.version}")
    screen.print(f"{name} {said}: {verification.digest}", highlight=False)
    return 0 if verification.ok else 1
