"""fonderie serve: releases behind an OpenAI-compatible interface."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fonderie.commands.engines import add_engine, opener
from fonderie.commands.options import add_database, console, positive, service_database
from fonderie.commands.switch import add_switch, check_switch, in_words, turn, turn_running
from fonderie.core.errors import UsageError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from fonderie.serve.database.base import Database
    from fonderie.serve.guards.guards import Guards

MOST_RETENTION_DAYS = 395
"""As `serve.sessions` says of cookies, which is not imported to read an option."""


def add(verbs: Any) -> None:
    """Declare the command."""
    parser = verbs.add_parser("serve", help="answer over HTTP as OpenAI's interface does")
    parser.add_argument("releases", type=Path, nargs="*", metavar="RELEASE")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: %(default)s")
    parser.add_argument("--port", type=int, default=8000, help="0 for any that is free; default: %(default)s")
    add_engine(parser)
    parser.add_argument(
        "--i-know-it-failed",
        metavar="REASON",
        help="serve releases that failed their gates; who, when and why is recorded beside each",
    )
    add_database(parser)
    _add_door(parser)
    add_switch(parser)
    _add_guards(parser)
    _add_evaluation(parser)
    parser.set_defaults(command=_serve)


def _add_door(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--require-key", action="store_true", help="answer holders of a key only: fonderie keys")
    parser.add_argument(
        "--per-minute-per-address",
        type=positive,
        default=600,
        metavar="N",
        help="requests without a key from one network address, which hospitals share, in each process that serves; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--per-minute-per-key",
        type=positive,
        default=600,
        metavar="N",
        help="requests by a key that was given no number of its own, in each process; default: %(default)s",
    )
    parser.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        metavar="CIDR",
        help="network of a proxy whose X-Forwarded-For and X-Forwarded-Proto are believed; may be repeated; "
        "default: nobody's are",
    )
    parser.add_argument(
        "--open-metrics",
        action="store_true",
        help="let everybody read /metrics; default: holders of an admin's key",
    )


def _add_guards(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--guards",
        type=Path,
        metavar="FILE",
        help="what questions and answers are checked for, and what then; default: a few categories of our own",
    )
    parser.add_argument("--no-guards", action="store_true", help="check nothing, as when a model is evaluated")
    parser.add_argument(
        "--output-filter",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="list of erased passages that no answer may repeat, as `fonderie erase` writes it; may be repeated",
    )


def _add_evaluation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--duel",
        action="append",
        default=[],
        metavar="NAME[,SETTING=VALUE…]",
        help="who takes part in blind duels, with its settings, such as temperature=0.5; given twice or more; "
        "default: every release, and a single one at two temperatures",
    )
    parser.add_argument(
        "--operator",
        default="",
        metavar="TEXT",
        help="who is responsible for the service and how to write to them; the foot of its pages says so",
    )
    parser.add_argument(
        "--retention-days",
        type=_retention_days,
        default=180,
        metavar="N",
        help="after somebody's last visit, when all that they agreed to have kept is deleted: at most 395, for so "
        "long a cookie may last; default: %(default)s",
    )
    parser.add_argument(
        "--proof-of-work",
        type=int,
        default=0,
        metavar="BITS",
        help="what a vote costs the voter's browser: 2^BITS hashes, with 16 about a second; default: %(default)s",
    )


def _retention_days(text: str) -> int:
    days = positive(text)
    if days > MOST_RETENTION_DAYS:
        raise argparse.ArgumentTypeError(
            f"{text} is more than {MOST_RETENTION_DAYS}: what is kept would outlive the cookie that leads to it"
        )
    return days


def _serve(options: argparse.Namespace) -> int:
    check_switch(options)
    screen = console()

    def say(text: str) -> None:
        screen.print(text, highlight=False, soft_wrap=True, markup=False)

    if not options.releases:
        return turn_running(options, say)
    try:
        import fastapi  # noqa: F401
        import llguidance  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"{error.name} is not installed, which serving needs", hint="pip install 'fonderie[serve]'"
        ) from error
    guards = _guards(options)
    _pass_gates(options.releases, options.i_know_it_failed)
    with service_database(options.database) as database:
        state = turn(options, database)
        if state.closed is not None or state.stage != "open":
            say(f"The service is {in_words(state)}")
        _answer(options, database, guards, say)
    return 0


def _pass_gates(releases: Sequence[Path], known: str | None) -> None:
    """Refuse what failed its gate, unless somebody has said why; said of those alone that failed, and recorded."""
    from fonderie.release.gate import read_gate, refuse_failed

    gates = {release: read_gate(release) for release in releases}
    failed = {release for release, gate in gates.items() if gate is not None and not gate.passed}
    for release in releases:
        # Where none failed there is nothing to know, and it is refused.
        refuse_failed(release, known if release in failed or not failed else None, action="fonderie serve")


def _guards(options: argparse.Namespace) -> "Guards":
    """The guards that the options say. UsageError if they contradict each other, InputError for a bad file."""
    from fonderie.serve.guards.guards import Guards
    from fonderie.serve.guards.rules import read_guards
    from fonderie.trace.output_filter import OutputFilter

    if options.no_guards:
        if options.guards or options.output_filter:
            raise UsageError("--no-guards checks nothing, and --guards and --output-filter say what to check")
        return Guards.none()
    output_filter = OutputFilter.load(*options.output_filter) if options.output_filter else None
    return Guards(read_guards(options.guards), output_filter)


def _answer(
    options: argparse.Namespace, database: "Database", guards: "Guards", say: Callable[[str], None]
) -> None:
    """Answer until told to stop."""
    from fonderie.chat.retention import keeping_retention
    from fonderie.chat.site.admin import Admin, add_admin
    from fonderie.chat.site.app import add_site
    from fonderie.chat.site.evaluating import add_evaluating
    from fonderie.chat.site.running import Runs
    from fonderie.chat.site.sealing import Seals
    from fonderie.chat.site.stages import add_stages
    from fonderie.serve.access import Door, Rules, trusted_proxies
    from fonderie.serve.api.app import make_api
    from fonderie.serve.run import Address, serve
    from fonderie.serve.served import Served
    from fonderie.serve.stage import Stage

    rules = Rules(options.require_key, options.per_minute_per_address, options.per_minute_per_key)
    serving: dict[str, Served] = {}

    def cut_off() -> None:
        for model in serving.values():
            model.answers.give_up(model.engine)

    stage = Stage(database, now_closed=cut_off)

    def make(models: dict[str, Served]) -> "FastAPI":
        serving.update(models)
        door = Door(database, rules, stage=stage)
        retention = partial(keeping_retention, database, options.retention_days)
        app = make_api(models, door, during=[stage.running, retention], open_metrics=options.open_metrics)
        runs, seals = Runs(), Seals(database)
        site = add_site(app, models, door, runs=runs, seals=seals, operator=options.operator)
        add_evaluating(
            site,
            models,
            door,
            database,
            runs=runs,
            seals=seals,
            retention_days=options.retention_days,
            contenders=options.duel,
            proof_of_work_bits=options.proof_of_work,
        )
        add_stages(site, door, stage)
        add_admin(site, Admin(models, door, stage, guards))
        return app

    serve(
        options.releases,
        make,
        address=Address(options.host, options.port),
        proxies=trusted_proxies(options.trusted_proxy),
        load=opener(options, guards),
        say=say,
        drain=stage.drain,
    )
