"""fonderie report: the training of a recipe as one HTML page, while it runs or after."""

import argparse
import time
from pathlib import Path
from typing import Any

from rich.markup import escape

from fonderie.commands.options import add_json, add_store, console, positive, print_json
from fonderie.core.errors import UsageError
from fonderie.core.store import Store


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("report", help="the training as an HTML page, while it runs or after; opens offline")
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe that runs, or ran, in the store")
    parser.add_argument("--html", type=Path, metavar="FILE", help="default: RECIPE-training.html, here")
    parser.add_argument(
        "--follow",
        type=positive,
        metavar="SECONDS",
        help="write it again every so many seconds until the run ends; an open page then reloads itself",
    )
    add_store(parser)
    add_json(parser)
    parser.set_defaults(command=_report)


def _report(options: argparse.Namespace) -> int:
    from fonderie.release.reports.course import courses_of, has_ended

    if (Path(options.recipe) / "release.json").is_file():
        raise UsageError(
            f"{options.recipe} is a release, which holds its report already",
            hint=f"Open {Path(options.recipe) / 'training' / 'report.html'} in a browser.",
        )
    recipe = Path(options.recipe).stem if options.recipe.endswith(".toml") else options.recipe
    if not (options.store / "runs" / recipe / "events.jsonl").is_file():
        raise UsageError(
            f"no recipe '{recipe}' has begun to run in {options.store}",
            hint="Run it: fonderie run RECIPE. A store elsewhere is named by --store.",
        )
    store, path = Store(options.store), options.html or Path(f"{recipe}-training.html")
    while True:
        ended = has_ended(store, recipe)
        courses = courses_of(store, recipe)
        _write(path, recipe, courses, options.follow if options.follow and not ended else None)
        if ended or not options.follow:
            break
        time.sleep(options.follow)
    if options.json:
        print_json({"report": str(path), "trainings": [{"call": one.call, "state": one.state} for one in courses]})
        return 0
    for course in courses:
        console().print(f"  {escape(course.call)}: {escape(course.state)}", highlight=False, soft_wrap=True)
    console().print(f"Written: {escape(str(path))}", highlight=False, soft_wrap=True)
    return 0


def _write(path: Path, recipe: str, courses: Any, refresh_seconds: int | None) -> None:
    from fonderie.core.files import write_atomically
    from fonderie.release.reports.training import training_report

    page = training_report(recipe, courses, refresh_seconds=refresh_seconds)
    try:
        write_atomically(path, page.encode("utf-8"))
    except OSError as error:
        raise UsageError(f"--html: {path} cannot be written: {error.strerror}") from error
