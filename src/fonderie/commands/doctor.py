"""fonderie doctor: what is installed, which devices there are, what is missing."""

import argparse
from dataclasses import asdict
from typing import Any

from fonderie.commands.options import add_json, add_store, console, print_json


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("doctor", help="what is installed, which devices there are, what is missing")
    add_store(parser)
    add_json(parser)
    parser.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from fonderie.doctor import examine, render

    examined = examine(options.store)
    if options.json:
        print_json([asdict(check) for check in examined])
    else:
        console().print(render(examined))
    return 1 if any(check.status == "missing" for check in examined) else 0
