"""What several commands share: options, and where they print."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console

STORE_VARIABLE = "FONDERIE_STORE"
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


def positive(text: str) -> int:
    """A whole number of at least 1, as argparse reads one."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def console() -> Console:
    """Standard output; a pipe or a file has no width of its own, and tables need some."""
    found = Console()
    return found if found.is_terminal or "COLUMNS" in os.environ else Console(width=PIPE_COLUMNS)


def print_json(value: Any) -> None:
    """A JSON value on standard output, unfolded whatever the width."""
    print(json.dumps(value, ensure_ascii=False, indent=1))
