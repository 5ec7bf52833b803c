"""fonderie erase: what a request touches; write the tombstones and the decision."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from fonderie.commands.options import add_json, add_store, console, positive, print_json
from fonderie.core.errors import UsageError
from fonderie.core.machine import Machine, available_cores
from fonderie.core.progress import Silent, Terminal

if TYPE_CHECKING:
    from fonderie.trace.erasure import Examination
    from fonderie.trace.erasure_search import Found

DOCUMENTS_SHOWN = 20


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser(
        "erase", help="find what a request for erasure touches; keep it out of the next build"
    )
    parser.add_argument("request", type=Path, metavar="REQUEST.toml", help="see docs/guide/erase.md")
    parser.add_argument(
        "--recipe", metavar="NAME", help="search what one recipe last read; default: the whole store"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what it touches; write nothing")
    parser.add_argument(
        "--yes", action="store_true", help="every document that a name alone finds is about the right person"
    )
    parser.add_argument(
        "--salt-file", type=Path, metavar="FILE", help="64 hexadecimal digits; lists of one salt are obeyed faster"
    )
    parser.add_argument(
        "--workers", type=positive, default=available_cores(), metavar="N", help="default: %(default)s"
    )
    add_store(parser)
    add_json(parser)
    parser.set_defaults(command=_erase)


def _erase(options: argparse.Namespace) -> int:
    from fonderie.core.store import Store, now
    from fonderie.trace.erasure import carry_out, examine, read_salt, refuse_reference
    from fonderie.trace.erasure_request import read_request

    received = read_request(options.request)
    request, screen = received.request, console()
    if request.decision is None and not options.dry_run:
        raise UsageError(
            f"{options.request} holds no decision", hint='decision = "granted", "partly" or "refused"; or --dry-run'
        )
    if not options.store.is_dir():
        raise UsageError(f"there is no store at {options.store}", hint="Name it with --store.")
    store = Store(options.store)
    if not options.dry_run:
        refuse_reference(store, request.reference)
    date = now()
    examination = examine(
        received,
        store,
        Machine(workers=options.workers, reporter=Silent() if options.json else Terminal(screen)),
        date=date,
        recipe=options.recipe,
        confirm_all=options.yes,
        salt=read_salt(options.salt_file) if options.salt_file else None,
    )
    blocked = bool(examination.unconfirmed or not examination.erased) and request.decision != "refused"
    folder = None if options.dry_run or blocked else carry_out(examination, store, date=date)
    if options.json:
        print_json(_as_json(examination, folder))
    else:
        _show(examination, screen)
        _conclude(examination, folder, options.dry_run, screen)
    return 1 if blocked else 0


def _as_json(examination: "Examination", folder: Path | None) -> dict[str, Any]:
    return {
        "reference": examination.received.request.reference,
        "decision": examination.received.request.decision,
        "found": [asdict(item) for item in examination.found],
        "erased": [item.id for item in examination.erased],
        "copies": [{**place._asdict(), "because": str(match)} for place, match in examination.copies],
        "left": [item._asdict() for item in examination.left],
        "unconfirmed": [item.id for item in examination.unconfirmed],
        "touched": asdict(examination.reach),
        "seconds": round(examination.seconds, 3),
        "written": None if folder is None else str(folder),
    }


def _show(examination: "Examination", screen: Console) -> None:
    from fonderie.trace.erasure_record import Touching, count, touched_lines

    found, seconds = examination.found, examination.seconds
    screen.print(f"{count(len(found), 'document')} found, in {seconds:,.1f} s.", highlight=False)
    _list(found, screen)
    if examination.copies:
        screen.print(f"{len(examination.copies)} more would be kept out with them:", highlight=False)
        for place, match in examination.copies[:DOCUMENTS_SHOWN]:
            about = escape(f"{place.source}: {place.origin}")
            screen.print(f"  {place.id}\n    {about}: {match.how}, {match.measure:.2f}", highlight=False)
    for item in examination.left:
        screen.print(f"  stays: {item.id}: {item.why}", highlight=False)
    if found:
        screen.print("Touched:")
        for line in touched_lines(asdict(Touching.of(examination.reach))):
            screen.print(f"  {escape(line)}", highlight=False, soft_wrap=True)
    weak = examination.known_by_all_words
    if weak:
        screen.print(
            f"Too short, or too like others, to be known again once changed: {weak} of "
            f"{len(examination.erased)}. The next build knows them by all their words.",
            highlight=False,
        )


def _list(found: "Sequence[Found]", screen: Console) -> None:
    for item in found[:DOCUMENTS_SHOWN]:
        screen.print(f"  [bold]{item.id}[/bold]", highlight=False)
        screen.print(f"    {escape(f'{item.source}: {item.origin}')}, by {', '.join(item.by)}", highlight=False)
        for surface in item.surfaces:
            screen.print(f"    “…{escape(surface)}…”", style="italic", highlight=False)
    if len(found) > DOCUMENTS_SHOWN:
        screen.print(f"  … and {len(found) - DOCUMENTS_SHOWN} more; --json lists all", highlight=False)


def _conclude(examination: "Examination", folder: Path | None, dry_run: bool, screen: Console) -> None:
    if examination.unconfirmed:
        screen.print(
            f"[yellow]Found by a name alone: {len(examination.unconfirmed)}.[/yellow] Homonyms exist. List those "
            "about the right person in select.confirm, or give --yes to take them all.",
            highlight=False,
        )
    if folder is not None:
        screen.print(f"Recorded in {escape(str(folder))}.", highlight=False, soft_wrap=True)
        if (folder / "tombstones.json").exists():
            screen.print("The next run on this store obeys it; weights that there are keep what they learnt.")
    elif dry_run:
        screen.print("Nothing was written: this was a dry run.")
    elif not examination.erased:
        screen.print("Nothing was written: no document is to be erased.")
