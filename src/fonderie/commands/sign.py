"""fonderie sign: sign a release with a local key, or make one."""

import argparse
import os
import sys
from getpass import getpass
from pathlib import Path
from typing import Any

from rich.markup import escape

from fonderie.commands.options import add_json, console, print_json
from fonderie.core.errors import UsageError
from fonderie.core.machine import Machine
from fonderie.core.progress import Silent, Terminal

FORMATS = ("dsse", "model-signing")


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("sign", help="sign a release with a local key, or make a key")
    parser.add_argument("release", type=Path, nargs="?", metavar="RELEASE")
    keys = parser.add_mutually_exclusive_group(required=True)
    keys.add_argument("--key", type=Path, metavar="FILE", help="the private key to sign with")
    keys.add_argument(
        "--new-key",
        type=Path,
        metavar="FILE",
        help="make a private key there, and its public one in FILE.pub; never overwrites",
    )
    parser.add_argument("--passphrase", action="store_true", help="with --new-key: lock it by a passphrase")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: RELEASE.dsse.json, beside the folder")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="dsse",
        help="in-toto in a DSSE envelope (default), or OpenSSF model-signing: pip install 'fonderie[signing]'",
    )
    add_json(parser)
    parser.set_defaults(command=_sign)


def _sign(options: argparse.Namespace) -> int:
    if options.new_key is not None:
        return _new_key(options)
    if options.release is None:
        raise UsageError("sign what? No release is named", hint="fonderie sign RELEASE --key FILE")
    if options.passphrase:
        raise UsageError("--passphrase goes with --new-key", hint="A locked key asks for its own when it signs.")
    from fonderie.evaluate.gate import in_words
    from fonderie.release.gate import read_gate

    screen = console()
    machine = Machine(reporter=Silent() if options.json else Terminal(screen))
    if options.format == "dsse":
        from fonderie.release.signing.signature import sign

        path = sign(options.release, options.key, options.out, ask=_ask, machine=machine)
    else:
        from fonderie.release.signing.openssf import sign_bundle

        path = sign_bundle(options.release, options.key, options.out, ask=_ask, machine=machine)
    gate = read_gate(options.release)  # a signature shows nobody the model: it is not refused, and says so
    if options.json:
        print_json({"signature": str(path), "format": options.format, "gate_passed": gate.passed if gate else None})
        return 0
    screen.print(f"Signed: {escape(str(path))}", highlight=False, soft_wrap=True)
    for line in gate.failed if gate else ():
        text = f"What you signed FAILED its gate: {in_words(line)}"
        screen.print(f"[bold red]{escape(text)}[/bold red]", highlight=False, soft_wrap=True)
    screen.print(
        f"Check it: fonderie verify {escape(str(options.release))} --key PUBLIC_KEY",
        highlight=False,
        soft_wrap=True,
    )
    return 0


def _new_key(options: argparse.Namespace) -> int:
    if options.release is not None or options.out is not None:
        raise UsageError("--new-key makes a key and signs nothing", hint="fonderie sign --new-key FILE")
    from fonderie.release.signing.keys import key_id, read_public_key
    from fonderie.release.signing.openssf import new_elliptic_key
    from fonderie.release.signing.signature import new_key

    make = new_key if options.format == "dsse" else new_elliptic_key
    public = make(options.new_key, _new_passphrase() if options.passphrase else "")
    found = key_id(read_public_key(public))
    if options.json:
        print_json({"private_key": str(options.new_key), "public_key": str(public), "keyid": found})
        return 0
    screen = console()
    for line in (
        f"Private key: {options.new_key} (keep it to yourself, and a copy where it cannot be lost)",
        f"Public key:  {public} (publish it where people trust that it is yours)",
        f"Key id:      {found}",
    ):
        screen.print(escape(line), highlight=False, soft_wrap=True)
    return 0


def _ask(path: Path) -> str:
    """The passphrase of a key: from the environment, else from the terminal."""
    from fonderie.release.signing.keys import PASSPHRASE_VARIABLE, passphrase_from_environment

    if os.environ.get(PASSPHRASE_VARIABLE) or not sys.stdin.isatty():
        return passphrase_from_environment(path)
    return getpass(f"Passphrase of {path}: ")


def _new_passphrase() -> str:
    from fonderie.release.signing.keys import PASSPHRASE_VARIABLE

    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given:
        return given
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for a passphrase", hint=f"Set {PASSPHRASE_VARIABLE}.")
    first = getpass("New passphrase: ")
    if not first or getpass("The same again: ") != first:
        raise UsageError("the two passphrases differ, or are empty; no key was made")
    return first
