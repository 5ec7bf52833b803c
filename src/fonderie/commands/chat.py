"""fonderie chat: talk with a release in the terminal."""

import argparse
from pathlib import Path
from typing import Any

from fonderie.commands.options import positive
from fonderie.core.machine import available_cores


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("chat", help="talk with a release in the terminal")
    parser.add_argument("release", type=Path, metavar="RELEASE")
    parser.add_argument("--temperature", type=float, default=0.7, help="0 is greedy; default: %(default)s")
    parser.add_argument("--top-p", type=float, default=0.95, help="default: %(default)s")
    parser.add_argument("--max-tokens", type=positive, default=200, help="longest answer; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same answers; default: %(default)s")
    parser.add_argument(
        "--threads", type=positive, default=available_cores(), metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--output-filter",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="show no answer that repeats a passage of it (output-filter.json of `fonderie erase`)",
    )
    parser.add_argument(
        "--i-know-it-failed",
        metavar="REASON",
        help="talk with a release that failed its gate; who, when and why is recorded beside it",
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
    return chat(
        options.release,
        settings,
        as_json=options.json,
        output_filters=options.output_filter,
        i_know_it_failed=options.i_know_it_failed,
    )
