"""Which engine answers: the options of `fonderie serve` for our own, and for one of others behind our interface."""

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fonderie.commands.options import positive
from fonderie.core.errors import UsageError

if TYPE_CHECKING:
    from fonderie.serve.answers import Answers
    from fonderie.serve.guards.guards import Guards
    from fonderie.serve.served import Served

OWN = "fonderie"


def add_engine(parser: argparse.ArgumentParser) -> None:
    """--engine and what goes with it."""
    parser.add_argument(
        "--engine",
        choices=(OWN, "vllm", "llamacpp"),
        default=OWN,
        help="what computes the answers; vllm and llamacpp are asked at --upstream; default: %(default)s",
    )
    parser.add_argument(
        "--upstream",
        action="append",
        default=[],
        metavar="URL",
        help="where vLLM or llama-server answers: once for all releases, or once for each, in their order; if it "
        "wants a key, that is in $FONDERIE_UPSTREAM_KEY",
    )
    parser.add_argument(
        "--batch", type=positive, default=16, metavar="N", help="requests answered at once; default: %(default)s"
    )
    parser.add_argument(
        "--waiting", type=positive, default=256, metavar="N", help="requests in line; default: %(default)s"
    )
    parser.add_argument(
        "--threads",
        type=positive,
        metavar="N",
        help="of our own engine; default: one, or all cores where that is faster",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        help="of our own engine's weights; bf16 is half the memory, and faster; default: fp32, as it was evaluated",
    )
    parser.add_argument("--device", help="of our own engine: cpu or cuda; default: cpu")
    parser.add_argument(
        "--admit-tokens",
        type=positive,
        metavar="N",
        help="of our own engine: what the requests answered at once may come to, prompts and longest answers "
        "together; default: --batch times the model's context",
    )
    parser.add_argument(
        "--prefix-cache",
        type=_not_negative,
        metavar="MIB",
        help="of our own engine: memory for what prompts have in common, 0 for none; default: 256",
    )


def opener(options: argparse.Namespace, guards: "Guards | None" = None) -> "Callable[[Path, Answers], Served]":
    """What opens the releases one after the other; UsageError for options that contradict each other."""
    from fonderie.serve.engine.engine import Limits
    from fonderie.serve.served import open_release
    from fonderie.serve.upstream.opening import KEY_VARIABLE, open_upstream

    limits = Limits(batch=options.batch, waiting=options.waiting)
    own = {name: getattr(options, name) for name in ("threads", "device", "precision")}
    mib = options.prefix_cache
    own_limits = {"tokens": options.admit_tokens, "prefix_bytes": None if mib is None else mib << 20}
    if options.engine == OWN:
        if options.upstream:
            raise UsageError("--upstream is for an engine of others", hint="--engine vllm or --engine llamacpp")
        settings: dict[str, Any] = {"threads": None}
        settings |= {name: value for name, value in own.items() if value is not None}
        limits = replace(limits, **{name: value for name, value in own_limits.items() if value is not None})
        return partial(open_release, limits=limits, guards=guards, **settings)
    for name in (*own, "admit_tokens", "prefix_cache"):
        if getattr(options, name) is not None:
            option = name.replace("_", "-")
            raise UsageError(f"--{option} is for our own engine", hint=f"Tell {options.engine} when you start it.")
    places = _places(options)

    def open_next(release: Path, answers: "Answers") -> "Served":
        return open_upstream(
            release,
            answers,
            kind=options.engine,
            url=next(places),
            key=os.environ.get(KEY_VARIABLE),
            alone=len(options.releases) == 1 or len(options.upstream) > 1,
            limits=limits,
            guards=guards,
        )

    return open_next


def _not_negative(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def _places(options: argparse.Namespace) -> Iterator[str]:
    given, releases = options.upstream, len(options.releases)
    if not given:
        raise UsageError(f"--engine {options.engine} needs --upstream URL", hint="http://127.0.0.1:8001")
    if len(given) not in (1, releases):
        raise UsageError(
            f"--upstream is given {len(given)} times for {releases} releases",
            hint="Once for all, or once for each, in their order.",
        )
    return iter(given * releases if len(given) == 1 else given)
