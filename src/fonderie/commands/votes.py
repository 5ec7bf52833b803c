"""fonderie votes: what people said of answers, in duels and by thumbs, published for everyone."""

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fonderie.commands.options import add_database, add_json, console, print_json, service_database
from fonderie.core.errors import UsageError

LICENCES = ("CC-BY-4.0", "etalab-2.0")


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("votes", help="what people judged in the public service: publish it")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    exported = actions.add_parser("export", help="a data set of what people judged and agreed to have published")
    exported.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder that is not there yet")
    exported.add_argument(
        "--licence", choices=LICENCES, default=LICENCES[0], help="one that people agreed to; default: %(default)s"
    )
    add_database(exported)
    add_json(exported)
    exported.set_defaults(command=_export)


def _export(options: argparse.Namespace) -> int:
    _refuse_missing(options.database)
    with service_database(options.database) as database:
        from fonderie.chat.export import counted, export

        done = export(database, options.out, licence=options.licence, at=time.time())
    if options.json:
        print_json({**asdict(done), "out": str(options.out), "licence": options.licence})
        return 0
    screen = console()
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in done.personal_data.items())
    what = f"{counted(done.votes, 'vote')} and {counted(done.thumbs, 'thumb')}"
    left_out = f"{done.with_personal_data:,} more left out for personal data" + (f" ({kinds})" if kinds else "")
    screen.print(f"{what} in {counted(done.conversations, 'conversation')}; {left_out}.", highlight=False)
    screen.print(
        f"{counted(done.preferences, 'answer')} preferred to another: data/preferences.parquet.", highlight=False
    )
    if done.tombstones:
        screen.print(
            f"Withdrawn since earlier exports: {counted(done.tombstones, 'conversation')}, in tombstones.json.",
            highlight=False,
        )
    screen.print(f"Written to {options.out}.", markup=False, highlight=False, soft_wrap=True)
    return 0


def _refuse_missing(url: str) -> None:
    """A service opens a new database where there is none; an export of one would be a mistake in its name."""
    path = url.partition("sqlite:///")[2]
    if path and not Path(path).is_file():
        raise UsageError(f"there is no database {path}", hint="Name the service's with --database URL.")
