"""The command line: parse, call one function, print.

Exit status 0: done. 1: it failed, or found something wrong. 2: the request itself is wrong.
"""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from rich.console import Console

from fonderie.core.environment import installed_version
from fonderie.core.errors import FonderieError

COMMANDS = (
    *("run", "show", "report", "why", "verify", "replay", "sign", "audit"),
    *("licence", "evidence", "watch", "erase", "evaluate", "chat", "serve", "keys", "invite", "votes"),
    "doctor",
)
"""In the order of the help; each is a module of fonderie.commands."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(given).parse_args(given)
    errors = Console(stderr=True, highlight=False)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return int(options.command(options))
    except FonderieError as error:
        if options.debug:
            traceback.print_exc()
        errors.print(f"[bold red]{type(error).__name__}[/bold red] ", end="")
        errors.print(error.message, markup=False, soft_wrap=True)
        if error.hint:
            errors.print(error.hint, markup=False, soft_wrap=True)
        return error.exit_status
    except KeyboardInterrupt:
        errors.print("Interrupted. What had finished is kept; the same command goes on from there.")
        return 1
    except BrokenPipeError:
        # The reader went away, as `| head` does; close quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _interrupt(signum: int, frame: Any) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fonderie",
        description="Build, prove and serve really open language models.",
        epilog="Start with: fonderie run recipes/demo.toml",
    )
    parser.add_argument("--version", action="version", version=f"fonderie {installed_version('fonderie')}")
    parser.add_argument("--debug", action="store_true", help="print the whole trace of an error")
    parser.set_defaults(command=None)
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    # A command that is named is the only one whose module is needed: a tenth of a second at every start.
    for name in (asked,) if asked in COMMANDS else COMMANDS:
        import_module(f"fonderie.commands.{name}").add(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
