"""fonderie evaluate: put the French suites, or tasks of lm-eval, to a release, and print what comes of it."""

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from fonderie.commands.options import add_json, console, positive, print_json
from fonderie.core.errors import ReleaseError, UsageError
from fonderie.core.machine import Machine, available_cores
from fonderie.core.progress import Silent, Terminal

if TYPE_CHECKING:
    from fonderie.core.step import Output
    from fonderie.evaluate.score import Score

SOURCE = "fonderie evaluate"
ITEMS = 100
OF_SUITES = ("suite", "items", "seed", "template", "model_name")


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("evaluate", help="put French suites, or tasks of lm-eval, to a release")
    parser.add_argument("release", type=Path, metavar="RELEASE")
    suites = parser.add_argument_group("the French suites")
    suites.add_argument("--suite", action="append", metavar="NAME", help="this suite alone; may be repeated")
    suites.add_argument("--items", type=positive, metavar="N", help=f"of each; default: {ITEMS}")
    suites.add_argument("--seed", type=int, help="another seed, other items; default: 0")
    suites.add_argument("--template", choices=("chat", "plain"), help="default: chat")
    suites.add_argument("--model-name", metavar="NAME", help="the name that it may give itself")
    tasks = parser.add_argument_group("lm-eval, instead of the suites (pip install 'fonderie[eval]')")
    tasks.add_argument("--tasks", metavar="GLOB", help="a folder of tasks and their data, such as 'tasks/**'")
    tasks.add_argument("--run", action="append", metavar="TASK", help="a task, group or tag; may be repeated")
    tasks.add_argument("--shots", type=int, metavar="K", help="solved examples before each question")
    tasks.add_argument("--limit", type=positive, metavar="N", help="the first items of each task only")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep scores and every answer in this new folder")
    parser.add_argument(
        "--threads", type=positive, default=available_cores(), metavar="N", help="default: %(default)s"
    )
    add_json(parser)
    parser.set_defaults(command=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    release: Path = options.release
    if not (release / "release.json").is_file():
        raise ReleaseError(f"{release} is no release: it has no release.json")
    if (options.run or options.shots is not None or options.limit) and not options.tasks:
        raise UsageError("--run, --shots and --limit are for --tasks")
    of_suites = {f"--{name.replace('_', '-')}": getattr(options, name) for name in OF_SUITES}
    given = [name for name, value in of_suites.items() if value is not None]
    if options.tasks and given:
        raise UsageError(f"{', '.join(given)} and --tasks are of two evaluations: leave one of them out")
    if options.out and options.out.exists():
        raise UsageError(f"--out: {options.out} is there already; name a new folder")
    screen = console()
    machine = Machine(threads=options.threads, reporter=Silent() if options.json else Terminal(screen))
    with tempfile.TemporaryDirectory() as scratch:
        out = _output(options.out, Path(scratch))
        scores = _tasks(options, out, machine) if options.tasks else _suites(options, out, machine)
    if options.json:
        print_json([score.model_dump(mode="json") for score in scores])
        return 0
    from fonderie.release.writing.tables import laid_out, scores_table

    screen.print(laid_out(scores_table(scores)))
    if options.out:
        screen.print(f"Every answer: {escape(str(options.out))}", highlight=False, soft_wrap=True)
    return 0


def _output(kept: Path | None, scratch: Path) -> "Output":
    from fonderie.core.step import Output

    path, state = kept or scratch / "out", scratch / "state"
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"--out: {path} cannot be made: {error.strerror}") from error
    state.mkdir()
    return Output(path, state)


def _suites(options: argparse.Namespace, out: "Output", machine: Machine) -> "list[Score]":
    from fonderie.evaluate.french.compose import SUITES, compose_items
    from fonderie.evaluate.french.step import FrenchParameters, ask
    from fonderie.evaluate.score import write_scores
    from fonderie.release.trained_on import documents_behind

    unknown = sorted(set(options.suite or ()) - set(SUITES))
    if unknown:
        raise UsageError(f"there is no suite '{unknown[0]}'", hint=f"Known: {', '.join(SUITES)}.")
    suites = tuple(suite for suite in SUITES if not options.suite or suite in options.suite)
    items = compose_items(suites, options.items or ITEMS, options.seed or 0, options.model_name or "")
    asked = [(item.document(SOURCE, number), item) for number, item in enumerate(items)]
    params = FrenchParameters(template=options.template or "chat")
    shards = documents_behind(options.release)
    scores, outcomes = ask(options.release, options.release, asked, params, shards=shards, machine=machine)
    write_scores(out, scores, outcomes)
    return scores


def _tasks(options: argparse.Namespace, out: "Output", machine: Machine) -> "list[Score]":
    from fonderie.core.recipe import find_sources
    from fonderie.evaluate.harness.step import HarnessParameters, refuse_early, run
    from fonderie.evaluate.score import read_scores

    if not options.run:
        raise UsageError("--tasks says where they are; --run says which")
    if options.shots is not None and options.shots < 0:
        raise UsageError(f"--shots {options.shots} is below 0")
    sources = find_sources(options.tasks, Path.cwd(), "--tasks")
    params = HarnessParameters(
        tasks=options.tasks, run=tuple(options.run), shots=options.shots, limit=options.limit
    )
    refuse_early(params, {"tasks": sources})
    run(options.release, options.release, params, sources, out=out, machine=machine)
    return read_scores(out.path)
