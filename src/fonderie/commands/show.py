"""fonderie show: the report of a recipe's last run, or of a release."""

import argparse
from pathlib import Path
from typing import Any

from fonderie.commands.options import add_json, add_store, console
from fonderie.core.errors import UsageError
from fonderie.core.store import Store


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("show", help="lineage, statistics, what was dropped and why")
    parser.add_argument(
        "what", metavar="RECIPE|RELEASE", help="a recipe that ran in the store, or a release's folder"
    )
    add_store(parser)
    add_json(parser)
    parser.set_defaults(command=_show)


def _show(options: argparse.Namespace) -> int:
    from fonderie.release.report import Report, build_report, render
    from fonderie.trace.why import artifacts_of

    folder = Path(options.what)
    if (folder / "release.json").is_file():
        report = Report.model_validate_json((folder / "report.json").read_bytes())
    else:
        name = folder.stem if folder.suffix == ".toml" else options.what
        store = Store(options.store)
        lock = store.read_lock(name)
        if lock is None:
            raise UsageError(
                f"'{options.what}' is neither a release's folder nor a recipe that ran to its end in {store.root}",
                hint="Run it first: fonderie run RECIPE",
            )
        report = build_report(artifacts_of(store, name).values(), lock)
    if options.json:
        console().print_json(report.model_dump_json())
    else:
        console().print(render(report))
    return 0
