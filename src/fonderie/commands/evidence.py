"""fonderie evidence: ask sites for their reservations of rights, and keep what they answer, dated."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from fonderie.commands.options import add_json, add_store, console, positive, print_json
from fonderie.core.errors import UsageError

CONTACT_VARIABLE = "FONDERIE_CONTACT"
_HTTP = ("http://", "https://")


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser(
        "evidence", help="ask sites for their opt-outs from training, and keep what they answer with its date"
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    fetch = actions.add_parser("fetch", help="robots.txt, tdmrep.json and ai.txt of every site; resumable")
    fetch.add_argument(
        "what",
        nargs="+",
        metavar="RECIPE|URLS",
        help="a recipe with corpus.optout (its documents are made first), a file of addresses, or an address",
    )
    fetch.add_argument("--out", type=Path, required=True, metavar="DIR", help="the evidence folder, added to")
    fetch.add_argument(
        "--contact",
        default=os.environ.get(CONTACT_VARIABLE),
        metavar="WHO",
        help=f"e-mail or page, told to every server; default: ${CONTACT_VARIABLE}",
    )
    fetch.add_argument(
        "--pages", action="store_true", help="also ask for every page, for its headers and <meta>: many requests"
    )
    fetch.add_argument("--limit", type=positive, metavar="N", help="ask at most so many sites")
    fetch.add_argument(
        "--pause", type=_seconds, default=1.0, metavar="SECONDS", help="per host; default: %(default)s"
    )
    fetch.add_argument(
        "--parallel", type=positive, default=8, metavar="N", help="hosts at once; default: %(default)s"
    )
    fetch.add_argument(
        "--again-after", type=_seconds, default=30.0, metavar="DAYS", help="ask again then; default: %(default)s"
    )
    fetch.add_argument("--allow-loopback", action="store_true", help="ask servers of this machine too: for tests")
    add_store(fetch)
    add_json(fetch)
    parser.set_defaults(command=_fetch)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no number") from None
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def _fetch(options: argparse.Namespace) -> int:
    from fonderie.core.environment import installed_version
    from fonderie.corpus.optout.collect import Collector, Counts, Store, wanted
    from fonderie.corpus.optout.fetch import Fetcher, Manners, new_client
    from fonderie.corpus.readers.raw import need

    need("protego", "robots.txt")
    manners = Manners(
        contact=_contact(options.contact),
        version=installed_version("fonderie") or "",
        pause_seconds=options.pause,
        allow_loopback=options.allow_loopback,
    )
    screen = console()
    asked = wanted(_addresses(options, screen), pages=options.pages)
    if options.limit is not None:
        asked = asked._replace(sites=dict(list(asked.sites.items())[: options.limit]))
    if not asked.sites:
        raise UsageError(f"no address of the web in {', '.join(options.what)}", hint="There is nothing to ask for.")

    with new_client(manners) as client:
        collector = Collector(Fetcher(client, manners), Store(options.out), fresh_days=options.again_after)

        def told(site: str, counts: Counts) -> None:
            if not options.json and counts.unreachable:
                why = escape(f"{site}, {counts.unreachable} asked for: {collector.problems[site]}")
                screen.print(f"  [yellow]unreachable[/yellow] {why}", soft_wrap=True)

        counts = collector.run(asked, parallel=options.parallel, each=told)
    if options.json:
        print_json({"sites": len(asked.sites), "not_addresses": asked.skipped, **vars(counts)})
        return 0
    screen.print(
        f"Asked {len(asked.sites):,} {'site' if len(asked.sites) == 1 else 'sites'}: "
        f"{counts.found:,} files found, {counts.absent:,} not there, "
        f"{counts.unreachable:,} unreachable, {counts.known:,} known, {counts.left_alone:,} pages left alone."
    )
    if asked.skipped:
        screen.print(f"Not asked, being no addresses of the web: {asked.skipped:,}.")
    where = escape(str(options.out))
    screen.print(f'Evidence: {where}; in a recipe, corpus.optout with evidence = "{where}/**/*"', soft_wrap=True)
    return 0


def _contact(given: str | None) -> str:
    if given is None or not given.strip():
        raise UsageError(
            "whoever asks servers says who they are",
            hint=f"--contact you@example.org, or a page about your crawl; or set ${CONTACT_VARIABLE}",
        )
    if not given.isascii() or not given.isprintable():
        raise UsageError("the contact goes into an HTTP header: printable ASCII only")
    return given.strip()


def _addresses(options: argparse.Namespace, screen: Console) -> Iterator[str]:
    for what in options.what:
        if what.lower().startswith(_HTTP):
            yield what
        elif what.endswith(".toml"):
            yield from _of_recipe(Path(what), options, screen)
        else:
            yield from _of_file(Path(what))


def _of_file(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if line.strip() and not line.startswith("#"):
                    yield line.strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(
            f"{path} cannot be read as a list of addresses: {why}",
            hint="One a line; a recipe ends in .toml.",
        ) from error


def _of_recipe(path: Path, options: argparse.Namespace, screen: Console) -> Iterator[str]:
    """The addresses of all documents that a recipe's opt-out steps would judge; what makes them is run first."""
    from fonderie.core.document import read_documents, shard_paths
    from fonderie.core.machine import Machine
    from fonderie.core.progress import Silent, Terminal
    from fonderie.core.recipe import load_recipe
    from fonderie.core.run import run_recipe
    from fonderie.core.steps import find_step
    from fonderie.core.store import Store
    from fonderie.corpus.optout.addresses import stated_url

    recipe = load_recipe(path, [], find_step)
    calls = [call for call in recipe.calls.values() if call.step.name == "corpus.optout"]
    if not calls:
        raise UsageError(f"{path} has no call of corpus.optout", hint="Then no evidence is needed to run it.")
    machine = Machine(reporter=Silent() if options.json else Terminal(screen))
    for name in dict.fromkeys(name for call in calls for name in call.inputs["documents"]):
        artifact = run_recipe(recipe, Store(options.store), machine, until=name).artifacts[name]
        for shard in shard_paths(artifact.path):
            for document in read_documents(shard):
                url = stated_url(document.origin, document.metadata)
                if url is not None:
                    yield url
