"""fonderie licence: what a licence, by its text or its name, allows."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from fonderie.commands.options import add_json, console, print_json
from fonderie.core.errors import UsageError

_COLOURS = {"free": "green", "restricted": "red", "unknown": "yellow"}
_BYTES_PER_CHARACTER = 4


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("licence", help="whether a licence text or expression is free, restricted or unknown")
    parser.add_argument("what", metavar="FILE|EXPRESSION", help="a licence file, or an SPDX expression in quotes")
    add_json(parser)
    parser.set_defaults(command=_licence)


def _licence(options: argparse.Namespace) -> int:
    path = Path(options.what)
    # A name too long for a file system is no file, and asking about it is an error of its own.
    is_path = len(options.what) < 256 and path.exists()
    answer = _of_file(path) if is_path else _of_expression(options.what)
    if options.json:
        print_json(answer)
    else:
        _print(answer, console())
    return 0 if answer["status"] == "free" else 1


def _of_file(path: Path) -> dict[str, Any]:
    from fonderie.licences.text import LONGEST_TEXT, judge_text

    if not path.is_file():
        raise UsageError(f"{path} is not a file", hint="Name the licence file itself, such as LICENSE.")
    try:
        with path.open("rb") as file:
            data = file.read(_BYTES_PER_CHARACTER * LONGEST_TEXT + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="Check who may read it.") from error
    verdict = judge_text(data.decode("utf-8", errors="replace"))
    return {"file": str(path), **verdict._asdict()}


def _of_expression(text: str) -> dict[str, Any]:
    from fonderie.licences.verdict import identify, judge

    if "/" in text and not text.startswith(("http://", "https://")):
        raise UsageError(f"there is no file {text}", hint="Give a licence file, or an SPDX expression in quotes.")
    if not text.strip():
        raise UsageError("no licence is named", hint='For example: fonderie licence "MIT OR Apache-2.0"')
    verdict = judge(identify(text) or text)
    return {
        "expression": text,
        "licence": verdict.licence,
        "similarity": None,
        "status": verdict.status,
        "reasons": (verdict.reason,),
        "excerpts": (),
    }


def _print(answer: dict[str, Any], screen: Console) -> None:
    colour = _COLOURS[answer["status"]]
    name = answer["licence"] or "no known licence"
    like = "" if answer["similarity"] is None else f"  ({answer['similarity']:.1%} alike: no verdict, see below)"
    screen.print(f"[bold {colour}]{answer['status']}[/]  {escape(name)}{like}", highlight=False)
    for reason in answer["reasons"]:
        screen.print(f"  {escape(reason)}", highlight=False, soft_wrap=True)
    for excerpt in answer["excerpts"]:
        screen.print(f"  “{escape(excerpt)}”", style="italic", highlight=False, soft_wrap=True)
