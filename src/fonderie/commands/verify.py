"""fonderie verify: hash a release again and check the chain from weights to sources."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from fonderie.commands.options import add_json, console, print_json
from fonderie.core.errors import UsageError
from fonderie.core.machine import Machine
from fonderie.core.progress import Silent, Terminal

if TYPE_CHECKING:
    from fonderie.release.signing.signature import SignatureCheck
    from fonderie.release.verify import Verification


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("verify", help="hash a release again and check the chain from weights to sources")
    parser.add_argument("release", type=Path, metavar="RELEASE")
    parser.add_argument("--key", type=Path, metavar="FILE", help="also check the signature, with this public key")
    parser.add_argument(
        "--signature", type=Path, metavar="FILE", help="default: RELEASE.dsse.json, or release.dsse.json inside"
    )
    parser.add_argument(
        "--sources", type=Path, metavar="DIR", help="also hash the source files, wherever they lie in this folder"
    )
    add_json(parser)
    parser.set_defaults(command=_verify)


def _verify(options: argparse.Namespace) -> int:
    from fonderie.release.verify import verify

    if options.signature is not None and options.key is None:
        raise UsageError("a signature is checked with a public key", hint="Name it: --key FILE")
    if options.sources is not None and not options.sources.is_dir():
        raise UsageError(f"{options.sources} is no folder of source files")
    if options.key is not None:
        from fonderie.release.signing.keys import read_public_key

        read_public_key(options.key)  # before gigabytes are hashed for a key that is none
    screen = console()
    machine = Machine(reporter=Silent() if options.json else Terminal(screen))
    verification = verify(options.release, machine, sources=options.sources)
    signature = _signature(options, verification)
    ok = verification.ok and (signature is None or signature.ok)
    if options.json:
        signed = {} if signature is None else {"signature": signature.model_dump(mode="json")}
        print_json({**verification.model_dump(mode="json"), "ok": ok, **signed})
        return 0 if ok else 1
    for item in verification.checks:
        mark = "[green]ok[/green]    " if item.ok else "[red]failed[/red]"
        screen.print(f"  {mark} {escape(item.name)}: {escape(item.detail)}", highlight=False)
    for found in verification.links:
        mark = "[green]ok[/green]    " if found.checked else "[yellow]open[/yellow]  "
        mark = mark if found.ok else "[red]broken[/red]"
        text = f"{found.upper} ← {found.lower}: {found.detail}"
        screen.print(f"  {mark} {escape(text)}", highlight=False, soft_wrap=True)
    for problem in verification.problems:
        screen.print(f"  [red]{escape(problem)}[/red]", highlight=False, soft_wrap=True)
    if verification.broken is not None:
        text = f"The first broken link: {verification.broken}"
        screen.print(f"  [bold red]{escape(text)}[/bold red]", highlight=False, soft_wrap=True)
    for line in verification.chain:
        screen.print(f"  {escape(line)}", highlight=False, soft_wrap=True, style="dim")
    said = "holds" if verification.ok else "does NOT hold"
    name = escape(f"{verification.name} {verification.version}")
    screen.print(f"{name} {said}: {verification.digest}", highlight=False)
    if signature is not None:
        mark = "[green]ok[/green]    " if signature.ok else "[red]failed[/red]"
        screen.print(f"  {mark} signature: {escape(signature.detail)}", highlight=False, soft_wrap=True)
        for problem in signature.problems[1:]:
            screen.print(f"  [red]{escape(problem)}[/red]", highlight=False, soft_wrap=True)
    return 0 if ok else 1


def _signature(options: argparse.Namespace, verification: "Verification") -> "SignatureCheck | None":
    """What the signature comes to, if a key was given; the release's files are not hashed again."""
    if options.key is None:
        return None
    from fonderie.release.signing.signature import check

    return check(options.release, options.key, options.signature, digest=verification.digest)
