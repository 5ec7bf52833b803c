"""The switch of `fonderie serve`: to whom the service is open, and how it is closed; also from another process."""

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from fonderie.commands.options import service_database
from fonderie.core.errors import UsageError

if TYPE_CHECKING:
    from fonderie.serve.database.base import Database
    from fonderie.serve.stage import Language, State

PATIENCE_SECONDS = 3.0
"""How long a running service may take to obey: it looks twice a second."""
_LOOK_SECONDS = 0.1


def add_switch(parser: argparse.ArgumentParser) -> None:
    """--invite, --open, --close, --reopen, and what goes with closing."""
    group = parser.add_argument_group(
        "to whom it is open",
        "Kept in the database. Without RELEASE, turns the switch of the service that runs on --database.",
    )
    turn = group.add_mutually_exclusive_group()
    turn.add_argument("--invite", action="store_true", help="open it to the invited (fonderie invite) and to keys")
    turn.add_argument("--open", action="store_true", help="open it to everyone; as it is when nothing was said")
    turn.add_argument("--close", action="store_true", help="close it at once; running answers finish")
    turn.add_argument("--reopen", action="store_true", help="end the closing")
    group.add_argument("--message", metavar="TEXT", help="with --close: what people read")
    for language, name in (("fr", "French"), ("en", "English")):
        group.add_argument(
            f"--message-{language}", metavar="TEXT", help=f"with --close: what those read instead who read {name}"
        )
    group.add_argument("--now", action="store_true", help="with --close: running answers are cut off")


def check_switch(options: argparse.Namespace) -> None:
    """UsageError for options that contradict each other."""
    closing = [name for name in ("message", "message_fr", "message_en", "now") if getattr(options, name)]
    if closing and not options.close:
        raise UsageError(f"--{closing[0].replace('_', '-')} goes with --close")
    if options.releases and (options.close or options.reopen):
        turn = "--close" if options.close else "--reopen"
        raise UsageError(
            f"{turn} turns the switch of a running service, and starts none", hint="Leave RELEASE out."
        )
    if not options.releases and not any((options.invite, options.open, options.close, options.reopen)):
        raise UsageError("RELEASE is missing", hint="fonderie run ends with its path.")


def turn(options: argparse.Namespace, database: "Database", clock: Callable[[], float] = time.time) -> "State":
    """Turn the switch as the options say."""
    from fonderie.serve import stage

    with database.write() as connection:
        if options.close:
            own: dict[Language, str] = {"fr": options.message_fr or "", "en": options.message_en or ""}
            return stage.close(connection, clock(), message=options.message or "", in_language=own, now=options.now)
        if options.reopen:
            return stage.reopen(connection, clock())
        if options.invite or options.open:
            return stage.open_to(connection, "invite" if options.invite else "open", clock())
        return stage.read_state(connection)


def in_words(state: "State") -> str:
    """What the switch says."""
    to = "open to the invited and to keys" if state.stage == "invite" else "open to everyone"
    if state.closed is None:
        return to
    since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(state.closed.since))
    said = f": {state.closed.said()}" if state.closed.said() else ""
    return f"closed since {since}{said}; --reopen makes it {to}"


def turn_running(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Turn the switch of a running service, wait until all its processes have obeyed, and say so.

    Exit status 1 if none serves there, or one of them has not answered.
    """
    from fonderie.serve.database.base import Database
    from fonderie.serve.stage import Serving, serving

    file = Database(options.database).file
    if file is not None and not file.exists():
        # A new one would be made, and nothing closed.
        raise UsageError(
            f"there is no service here: {file.absolute()} does not exist",
            hint="Say it in the folder of `fonderie serve`, or with its --database.",
        )
    with service_database(options.database) as database:
        state = turn(options, database)
        until, found = time.monotonic() + PATIENCE_SECONDS, Serving(0, 0)
        while time.monotonic() < until:
            with database.read() as connection:
                found = serving(connection, state, time.time())
            if found.number and not found.behind:
                processes = f" ({found.number} processes)" if found.number > 1 else ""
                say(f"The service is {in_words(state)}{processes}")
                return 0
            time.sleep(_LOOK_SECONDS)
        if found.number:
            say(
                f"{found.behind} of {found.number} processes that serve on {database.place} have not answered: "
                "killed within the last minute, or cut off from it, when they close by themselves. The switch: "
                f"{in_words(state)}"
            )
        else:
            say(
                f"No running service has answered on {database.place}. One that starts on it will be "
                f"{in_words(state)}"
            )
        return 1
