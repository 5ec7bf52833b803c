"""fonderie keys: who may ask the interface by a key of their own, and how much."""

import argparse
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from fonderie.commands.options import add_database, add_json, console, positive, print_json, service_database

if TYPE_CHECKING:
    from fonderie.serve.keys import Key
    from fonderie.serve.usage import Used


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("keys", help="keys of the public service: make, list, revoke")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    made = actions.add_parser("add", help="make a key and print it, this once")
    made.add_argument("name", metavar="NAME", help="whose it is, or what for; use is counted under it")
    made.add_argument("--role", choices=("user", "admin"), default="user", help="default: %(default)s")
    made.add_argument(
        "--per-minute", type=positive, metavar="N", help="requests; default: what `fonderie serve` says for all"
    )
    made.add_argument(
        "--per-day-tokens",
        type=positive,
        metavar="N",
        help="tokens of prompts and answers from midnight to midnight, UTC; default: no end",
    )
    made.set_defaults(command=_add)

    listed = actions.add_parser("list", help="every key that was made, and what it used today")
    add_json(listed)
    listed.set_defaults(command=_list)

    revoked = actions.add_parser("revoke", help="end a key, at once and for good")
    revoked.add_argument("name", metavar="NAME")
    revoked.set_defaults(command=_revoke)

    for action in (made, listed, revoked):
        add_database(action)


def _add(options: argparse.Namespace) -> int:
    with service_database(options.database) as database:
        from fonderie.serve.keys import add_key

        with database.write() as connection:
            secret = add_key(
                connection,
                options.name,
                time.time(),
                role=options.role,
                per_minute=options.per_minute,
                per_day_tokens=options.per_day_tokens,
            )
    # The key alone on standard output, for scripts; all the rest goes to people.
    console().print(secret, markup=False, highlight=False, soft_wrap=True)
    told = console(stderr=True)
    told.print(f"The key of {options.name}. Only its hash is kept: it cannot be shown again.", markup=False)
    return 0


def _list(options: argparse.Namespace) -> int:
    with service_database(options.database) as database:
        from fonderie.serve.keys import list_keys
        from fonderie.serve.usage import day_of, used_on

        today = day_of(time.time())
        with database.read() as connection:
            found = [(key, used_on(connection, today, key.caller)) for key in list_keys(connection)]
    if options.json:
        print_json([_described(key, used) for key, used in found])
        return 0
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "ROLE", "PER MINUTE", "TOKENS A DAY", "TOKENS TODAY", "MADE", "REVOKED"):
        table.add_column(heading, justify="right" if heading.startswith(("PER", "TOKENS")) else "left")
    for key, used in found:
        table.add_row(
            escape(key.name),
            key.role,
            "as all" if key.per_minute is None else f"{key.per_minute:,}",
            "no end" if key.per_day_tokens is None else f"{key.per_day_tokens:,}",
            f"{used.tokens:,}",
            _day(key.created_at),
            _day(key.revoked_at),
        )
    console().print(table if found else "There are no keys.")
    return 0


def _revoke(options: argparse.Namespace) -> int:
    with service_database(options.database) as database:
        from fonderie.serve.keys import revoke_key

        with database.write() as connection:
            revoke_key(connection, options.name, time.time())
    console().print(f"{options.name} is revoked: its next request is refused.", markup=False, highlight=False)
    return 0


def _described(key: "Key", used: "Used") -> dict[str, Any]:
    return {
        "name": key.name,
        "role": key.role,
        "per_minute": key.per_minute,
        "per_day_tokens": key.per_day_tokens,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
        "today": {
            "requests": used.requests,
            "prompt_tokens": used.prompt_tokens,
            "answer_tokens": used.answer_tokens,
        },
    }


def _day(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).date().isoformat()
