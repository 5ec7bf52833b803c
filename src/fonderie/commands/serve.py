"""fonderie serve: releases behind an OpenAI-compatible interface."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fonderie.commands.engines import add_engine, opener
from fonderie.commands.options import add_database, console, positive
from fonderie.core.errors import UsageError

if TYPE_CHECKING:
    from fastapi import FastAPI


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("serve", help="answer over HTTP as OpenAI's interface does")
    parser.add_argument("releases", type=Path, nargs="+", metavar="RELEASE")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: %(default)s")
    parser.add_argument("--port", type=int, default=8000, help="0 for any that is free; default: %(default)s")
    add_engine(parser)
    parser.add_argument(
        "--i-know-it-failed",
        metavar="REASON",
        help="serve a release that failed its gate; who, when and why is recorded beside it",
    )
    add_database(parser)
    _add_door(parser)
    parser.set_defaults(command=_serve)


def _add_door(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--require-key", action="store_true", help="answer holders of a key only: fonderie keys")
    parser.add_argument(
        "--per-minute-per-address",
        type=positive,
        default=600,
        metavar="N",
        help="requests without a key from one network address; hospitals share one; default: %(default)s",
    )
    parser.add_argument(
        "--per-minute-per-key",
        type=positive,
        default=600,
        metavar="N",
        help="requests by a key that was given no number of its own; default: %(default)s",
    )
    parser.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        metavar="CIDR",
        help="network of a proxy whose X-Forwarded-For and X-Forwarded-Proto are believed; may be repeated; "
        "default: nobody's are",
    )


def _serve(options: argparse.Namespace) -> int:
    try:
        import fastapi  # noqa: F401
        import llguidance  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"{error.name} is not installed, which serving needs", hint="pip install 'fonderie[serve]'"
        ) from error
    from fonderie.chat.site.app import add_site
    from fonderie.release.gate import refuse_failed
    from fonderie.serve.access import Door, Rules, trusted_proxies
    from fonderie.serve.api.app import make_api
    from fonderie.serve.database.base import open_database
    from fonderie.serve.run import Address, serve
    from fonderie.serve.served import Served

    for release in options.releases:
        refuse_failed(release, options.i_know_it_failed, action="serve")
    screen = console()
    rules = Rules(options.require_key, options.per_minute_per_address, options.per_minute_per_key)
    load = opener(options)
    database = open_database(options.database)

    def make(models: dict[str, Served]) -> "FastAPI":
        door = Door(database, rules)
        app = make_api(models, door)
        add_site(app, models, door)
        return app

    with database:
        serve(
            options.releases,
            make,
            address=Address(options.host, options.port),
            proxies=trusted_proxies(options.trusted_proxy),
            load=load,
            say=lambda text: screen.print(text, highlight=False, soft_wrap=True),
        )
    return 0
