"""The command line: parse, call one function, print.

Exit status 0: done. 1: it failed, or found something wrong. 2: the request itself is wrong.
"""

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from fonderie import commands
from fonderie.core.environment import installed_version
from fonderie.core.errors import FonderieError
from fonderie.core.machine import available_cores

STORE_VARIABLE = "FONDERIE_STORE"
PIPE_COLUMNS = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fonderie",
        description="Build, prove and serve really open language models.",
        epilog="Start with: fonderie run recipes/demo.toml",
    )
    parser.add_argument("--version", action="version", version=f"fonderie {installed_version('fonderie')}")
    parser.add_argument("--debug", action="store_true", help="print the whole trace of an error")
    parser.set_defaults(command=None)
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_run(verbs)
    _add_show(verbs)
    _add_why(verbs)
    _add_verify(verbs)
    _add_chat(verbs)
    _add_doctor(verbs)
    return parser


def _add_store(parser: argparse.ArgumentParser) -> None:
    default = os.environ.get(STORE_VARIABLE, "fonderie-store")
    parser.add_argument(
        "--store",
        type=Path,
        default=Path(default),
        metavar="DIR",
        help=f"default: ${STORE_VARIABLE}, else %(default)s",
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def _add_run(verbs: Any) -> None:
    parser = verbs.add_parser("run", help="build everything a recipe describes, reusing what is already made")
    parser.add_argument("recipe", type=Path, metavar="RECIPE")
    parser.add_argument("--until", metavar="CALL", help="stop after this call and what it needs")
    parser.add_argument(
        "--set", action="append", default=[], metavar="CALL.PARAM=VALUE", help="override a parameter; recorded"
    )
    parser.add_argument("--check", action="store_true", help="validate the recipe and its sources; make nothing")
    parser.add_argument(
        "--workers", type=_positive, default=available_cores(), metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--threads", type=_positive, default=available_cores(), metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--device", default="cpu", help='"cpu" (default) or "cuda"')
    parser.add_argument("--no-wait", action="store_true", help="fail at once if another run holds the store")
    _add_store(parser)
    _add_json(parser)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    request = commands.RunRequest(
        recipe=options.recipe,
        store=options.store,
        overrides=tuple(options.set),
        until=options.until,
        workers=options.workers,
        threads=options.threads,
        device=options.device,
        wait=not options.no_wait,
    )
    if options.check:
        return commands.check(request, _console(), as_json=options.json)
    return commands.run(request, _console(), as_json=options.json)


def _add_show(verbs: Any) -> None:
    parser = verbs.add_parser("show", help="lineage, statistics, what was dropped and why")
    parser.add_argument(
        "what", metavar="RECIPE|RELEASE", help="a recipe that ran in the store, or a release's folder"
    )
    _add_store(parser)
    _add_json(parser)
    parser.set_defaults(command=_show)


def _show(options: argparse.Namespace) -> int:
    return commands.show(options.what, options.store, _console(), options.json)


def _add_why(verbs: Any) -> None:
    parser = verbs.add_parser("why", help="what became of a document, step by step")
    parser.add_argument("query", metavar="DOCUMENT_ID|TEXT", help="an id, the start of one, or words of the text")
    parser.add_argument("--recipe", metavar="NAME", help="needed if several recipes ran in the store")
    _add_store(parser)
    _add_json(parser)
    parser.set_defaults(command=_why)


def _why(options: argparse.Namespace) -> int:
    from fonderie.core.store import Store
    from fonderie.trace.why import artifacts_of, why

    trails = why(artifacts_of(Store(options.store), options.recipe), options.query)
    if options.json:
        _print_json([asdict(trail) for trail in trails])
    else:
        commands.print_trails(trails, options.query, _console())
    return 0 if trails else 1


def _add_verify(verbs: Any) -> None:
    parser = verbs.add_parser("verify", help="hash a release again and check the chain from weights to sources")
    parser.add_argument("release", type=Path, metavar="RELEASE")
    _add_json(parser)
    parser.set_defaults(command=lambda options: commands.verify(options.release, _console(), options.json))


def _add_chat(verbs: Any) -> None:
    parser = verbs.add_parser("chat", help="talk with a release in the terminal")
    parser.add_argument("release", type=Path, metavar="RELEASE")
    parser.add_argument("--temperature", type=float, default=0.7, help="0 is greedy; default: %(default)s")
    parser.add_argument("--top-p", type=float, default=0.95, help="default: %(default)s")
    parser.add_argument("--max-tokens", type=_positive, default=200, help="longest answer; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same answers; default: %(default)s")
    parser.add_argument(
        "--threads", type=_positive, default=available_cores(), metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a turn; questions from standard input")
    parser.set_defaults(command=_chat)


def _chat(options: argparse.Namespace) -> int:
    from fonderie.chat.terminal import Settings, chat

    settings = Settings(
        temperature=options.temperature,
        top_p=options.top_p,
        max_tokens=options.max_tokens,
        seed=options.seed,
        threads=options.threads,
    )
    return chat(options.release, settings, as_json=options.json)


def _add_doctor(verbs: Any) -> None:
    parser = verbs.add_parser("doctor", help="what is installed, which devices there are, what is missing")
    _add_store(parser)
    _add_json(parser)
    parser.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from fonderie.doctor import examine, render

    examined = examine(options.store)
    if options.json:
        _print_json([asdict(check) for check in examined])
    else:
        _console().print(render(examined))
    return 1 if any(check.status == "missing" for check in examined) else 0


def _console() -> Console:
    """Standard output; a pipe or a file has no width of its own, and tables need some."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=PIPE_COLUMNS)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    sys.exit(main())
