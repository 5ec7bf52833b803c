"""fonderie invite: codes for those who may use the service while it is open to the invited."""

import argparse
import time
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

from fonderie.commands.options import add_database, add_json, console, positive, print_json, service_database
from fonderie.core.errors import UsageError


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("invite", help="a code for the public service while it is open to the invited")
    parser.add_argument(
        "--uses", type=positive, default=1, metavar="N", help="browsers that it lets in; default: %(default)s"
    )
    parser.add_argument("--note", default="", metavar="TEXT", help="whom it is for, for the list")
    parser.add_argument("--list", action="store_true", help="the codes that were made, without the codes")
    add_json(parser)
    add_database(parser)
    parser.set_defaults(command=_invite)


def _invite(options: argparse.Namespace) -> int:
    if options.list:
        return _list(options)
    if options.json:
        raise UsageError("--json goes with --list")
    with service_database(options.database) as database:
        from fonderie.serve.invites import make_invite

        with database.write() as connection:
            code = make_invite(connection, time.time(), uses=options.uses, note=options.note)
    # The code alone on standard output, for scripts; all the rest goes to people.
    console().print(code, markup=False, highlight=False, soft_wrap=True)
    told = "one browser" if options.uses == 1 else f"{options.uses:,} browsers"
    console(stderr=True).print(f"For {told}, at /invite. Only its hash is kept: it cannot be shown again.")
    return 0


def _list(options: argparse.Namespace) -> int:
    with service_database(options.database) as database:
        from fonderie.serve.invites import list_invites

        with database.read() as connection:
            found = list_invites(connection)
    if options.json:
        print_json([vars(invite) for invite in found])
        return 0
    table = Table(box=None, pad_edge=False)
    for heading in ("NOTE", "USES LEFT", "MADE"):
        table.add_column(heading, justify="right" if heading == "USES LEFT" else "left")
    for invite in found:
        made = datetime.fromtimestamp(invite.created_at, UTC).date().isoformat()
        table.add_row(escape(invite.note), f"{invite.uses_left:,}", made)
    console().print(table if found else "There are no codes.")
    return 0
