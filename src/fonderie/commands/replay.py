"""fonderie replay: train sampled segments of a release again, and compare."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from fonderie.commands.options import add_json, console, positive
from fonderie.core.machine import Machine, available_cores
from fonderie.core.progress import Silent, Terminal

if TYPE_CHECKING:
    from fonderie.audit.replay.report import ReplayReport, SegmentReport

COLOURS = {"identical": "green", "consistent": "green", "inconclusive": "yellow", "different": "red"}


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("replay", help="train sampled segments of a release again, and compare")
    parser.add_argument("release", type=Path, metavar="RELEASE")
    parser.add_argument(
        "--segments", type=positive, default=1, metavar="K", help="how many, drawn at random; default: %(default)s"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="draws the segments: choose your own; default: %(default)s"
    )
    parser.add_argument(
        "--tokens",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="the token shards, where the release does not hold them; again for each further mix of its phases",
    )
    parser.add_argument(
        "--base", type=Path, metavar="DIR", help="the model it went on from, where the release does not hold it"
    )
    parser.add_argument(
        "--threads", type=positive, default=available_cores(), metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--device", default="cpu", help='"cpu" (default) or "cuda"')
    add_json(parser)
    parser.set_defaults(command=_replay)


def _replay(options: argparse.Namespace) -> int:
    from fonderie.audit.replay.replay import replay_release

    screen = console()
    machine = Machine(
        threads=options.threads,
        device=options.device,
        reporter=Silent() if options.json else Terminal(screen),
    )
    report = replay_release(
        options.release,
        segments=options.segments,
        seed=options.seed,
        tokens=options.tokens,
        base=options.base,
        machine=machine,
    )
    if options.json:
        screen.print_json(report.model_dump_json())
    else:
        _print(report, screen)
    return 0 if report.verdict in ("identical", "consistent") else 1


def _print(report: "ReplayReport", screen: Console) -> None:
    name = escape(f"{report.name} {report.version}")
    screen.print(
        f"[bold]{name}[/bold]  {len(report.segments)} of {report.segments_published} segments, drawn by seed "
        f"{report.seed}",
        highlight=False,
    )
    for problem in report.problems:
        screen.print(f"  [red]{escape(problem)}[/red]", highlight=False, soft_wrap=True)
    for segment in report.segments:
        _print_segment(segment, screen)
    for label, machine in (("made on", report.made_on), ("replayed on", report.replayed_on)):
        screen.print(f"  {label:<12} {escape(_machine(machine))}", style="dim", highlight=False, soft_wrap=True)
    if len(report.segments) < report.segments_published and report.segments:
        chances = ", ".join(f"{item.probability:.0%} if {item.share:.0%} were" for item in report.detection)
        screen.print(
            f"  If part of the segments were falsified, a draw like this would have met one with probability "
            f"{chances}.",
            style="dim",
            highlight=False,
            soft_wrap=True,
        )
    colour = COLOURS[report.verdict]
    screen.print(
        f"[bold {colour}]{report.verdict}[/bold {colour}]  {escape(report.detail)}", highlight=False, soft_wrap=True
    )


def _print_segment(segment: "SegmentReport", screen: Console) -> None:
    colour = COLOURS[segment.verdict]
    screen.print(
        f"  [{colour}]{segment.verdict:<12}[/{colour}] steps {segment.first + 1:,} to {segment.last:,}, "
        f"{segment.seconds:,.1f} s: {escape(segment.detail)}",
        highlight=False,
        soft_wrap=True,
    )
    if segment.tolerance is None:
        return
    for repeat in (*segment.tolerance.repeats, segment.tolerance.control):
        screen.print(
            f"               {repeat.name}: weights {repeat.weights:.1e}, losses {repeat.largest_loss:.1e}",
            style="dim",
            highlight=False,
        )


def _machine(found: dict[str, Any]) -> str:
    libraries = found.get("libraries") or {}
    parts = [
        found.get("processor"),
        *(found.get("gpus") or []),
        found.get("cpu_capability"),
        f"{found['threads']} threads" if found.get("threads") else None,
        f"torch {libraries['torch']}" if libraries.get("torch") else None,
    ]
    return ", ".join(str(part) for part in parts if part) or "not recorded"
