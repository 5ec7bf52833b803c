"""What several commands share: options, and where they print."""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from fonderie.core.errors import InputError, UsageError

if TYPE_CHECKING:
    from fonderie.serve.database.base import Database

STORE_VARIABLE = "FONDERIE_STORE"
DATABASE_VARIABLE = "FONDERIE_DATABASE"
"""So that a password need not stand in the command, where every process of the machine can read it."""
PIPE_COLUMNS = 120


def add_store(parser: argparse.ArgumentParser) -> None:
    """--store, the folder of artifacts."""
    default = os.environ.get(STORE_VARIABLE, "fonderie-store")
    parser.add_argument(
        "--store",
        type=Path,
        default=Path(default),
        metavar="DIR",
        help=f"default: ${STORE_VARIABLE}, else %(default)s",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json, for programs."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def add_place(parser: argparse.ArgumentParser) -> None:
    """--country and --watts: what only people know of a machine, for the record of energy."""
    parser.add_argument(
        "--country",
        default=os.environ.get("FONDERIE_COUNTRY"),
        metavar="CODE",
        help="where this machine stands, in two letters of ISO 3166-1, for the record of energy; "
        "default: $FONDERIE_COUNTRY, else not stated",
    )
    parser.add_argument(
        "--watts",
        type=float,
        default=os.environ.get("FONDERIE_WATTS"),
        metavar="W",
        help="what this machine draws under load: an estimate of the energy, labelled so, beside what is measured; "
        "default: $FONDERIE_WATTS, else none",
    )


def add_database(parser: argparse.ArgumentParser) -> None:
    """--database, where the service remembers what it must."""
    parser.add_argument(
        "--database",
        default=os.environ.get(DATABASE_VARIABLE, "sqlite:///fonderie-service.db"),
        metavar="URL",
        help="sqlite:///file.db or postgresql://user:password@host/name; "
        f"default: ${DATABASE_VARIABLE}, else sqlite:///fonderie-service.db",
    )


@contextmanager
def service_database(url: str) -> "Iterator[Database]":
    """The service's database, of the newest version. UsageError if it cannot be opened, InputError if it fails."""
    try:
        from sqlalchemy.exc import SQLAlchemyError

        from fonderie.serve.database.base import is_away, open_database, why
    except ImportError as error:
        raise UsageError(
            f"{error.name} is not installed, which the service needs", hint="pip install 'fonderie[serve]'"
        ) from error
    with open_database(url) as database:
        try:
            yield database
        except SQLAlchemyError as error:
            if not is_away(error):
                raise
            raise InputError(
                f"the database {database.place} cannot be used at the moment: {why(error)}",
                hint="Nothing was changed. Try again when nobody holds it, and its disk has room.",
            ) from error


def positive(text: str) -> int:
    """A whole number of at least 1, as argparse reads one."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def console(*, stderr: bool = False) -> Console:
    """Standard output, or error; a pipe or a file has no width of its own, and tables need some."""
    found = Console(stderr=stderr)
    return found if found.is_terminal or "COLUMNS" in os.environ else Console(stderr=stderr, width=PIPE_COLUMNS)


def print_json(value: Any) -> None:
    """A JSON value on standard output, unfolded whatever the width."""
    print(json.dumps(value, ensure_ascii=False, indent=1))
