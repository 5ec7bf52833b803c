"""fonderie why: what became of a document, step by step."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from fonderie.commands.examples import marked, visible
from fonderie.commands.options import add_json, add_store, console, print_json

if TYPE_CHECKING:
    from fonderie.trace.why import Fate, Trail

STEPS_SHOWN = 12
INDENT = 17
NO_TEXT = "its text is in no artifact: it was dropped as it was read, or is empty"


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("why", help="what became of a document, step by step")
    parser.add_argument(
        "query",
        metavar="DOCUMENT_ID|TEXT",
        help="an id, the start of one, words of the text, or of its file's name",
    )
    parser.add_argument("--recipe", metavar="NAME", help="needed if several recipes ran in the store")
    add_store(parser)
    add_json(parser)
    parser.set_defaults(command=_why)


def _why(options: argparse.Namespace) -> int:
    from fonderie.core.store import Store
    from fonderie.trace.why import MATCHES_SHOWN, artifacts_of, why

    trails = why(artifacts_of(Store(options.store), options.recipe), options.query, MATCHES_SHOWN + 1)
    more, trails = len(trails) > MATCHES_SHOWN, trails[:MATCHES_SHOWN]
    if options.json:
        print_json([asdict(trail) for trail in trails])
    else:
        _print_trails(trails, options.query, console())
    if more:
        said = f"These are the first {MATCHES_SHOWN} documents; more match. Give more words, or an id."
        console(stderr=True).print(said, highlight=False)
    return 0 if trails else 1


def _print_trails(trails: "list[Trail]", query: str, screen: Console) -> None:
    if not trails:
        screen.print(f"No document matches {escape(repr(query))}.", highlight=False)
    for trail in trails:
        screen.print(f"[bold]{trail.id}[/bold]", highlight=False)
        screen.print(f"  {escape(visible(f'{trail.source}: {trail.origin}'))}", highlight=False)
        words = f"“{visible(trail.excerpt)}…”" if trail.excerpt else NO_TEXT
        screen.print(f"  {escape(words)}", style="italic", highlight=False)
        for fate in trail.fates:
            _print_fate(fate, screen)
        for place in trail.tokens:
            last = place.first + place.length - 1
            screen.print(
                f"  {place.call:<14} {place.length:,} tokens, positions {place.first:,} to {last:,}, {place.shard}",
                highlight=False,
            )
            for call, steps in place.seen.items():
                shown = ", ".join(f"{step:,}" for step in steps[:STEPS_SHOWN])
                more = " …" if len(steps) > STEPS_SHOWN else ""
                screen.print(
                    f"  {call:<14} seen in {len(steps)} training steps: {shown}{more}"
                    if steps
                    else f"  {call:<14} never seen",
                    highlight=False,
                )


def _print_fate(fate: "Fate", screen: Console) -> None:
    colour = {"kept": "green", "edited": "yellow", "dropped": "red"}[fate.fate]
    said = ": ".join(part for part in (fate.reason, fate.detail) if part)
    screen.print(f"  {fate.call:<14} [{colour}]{fate.fate:<8}[/{colour}] {escape(visible(said))}", highlight=False)
    if fate.changes:
        screen.print(Padding(marked(fate.changes), (0, 0, 0, INDENT)))
    if fate.instead is not None:
        stays = fate.instead
        screen.print(
            f"{'':<{INDENT}}kept instead: {stays.id} from {escape(stays.source)}: {escape(stays.origin)}",
            highlight=False,
        )
        screen.print(
            Padding(Text(f"“{visible(stays.excerpt)}”", style="italic"), (0, 0, 0, INDENT)), highlight=False
        )
