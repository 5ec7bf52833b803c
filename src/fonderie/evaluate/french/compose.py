"""evaluate.french_items: the items of the French suites, as documents, so that a corpus can be cleaned of them."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from pydantic import Field, PositiveInt

from fonderie.core.document import Document
from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import CallName, Inputs, Output, Parameters, step
from fonderie.corpus.tombstones import load_tombstones
from fonderie.corpus.transform import keep, write_shard
from fonderie.evaluate.french import agreement, arithmetic, identity, premises
from fonderie.evaluate.french.items import Item

Suite = Literal["agreement", "arithmetic", "false_premises", "absurd_questions", "identity"]
SUITES: tuple[Suite, ...] = ("agreement", "arithmetic", "false_premises", "absurd_questions", "identity")
ATTEMPTS = 200
"""Draws for one item before a suite is said to have no more of them."""


class FrenchItemsParameters(Parameters):
    """Which suites, how many items, and the seed that composes them."""

    suites: tuple[Suite, ...] = Field(default=SUITES, min_length=1)
    """agreement: minimal pairs. arithmetic: small calculations. false_premises and absurd_questions: things that
    are not so, each with a true twin. identity: what are you?"""
    items: PositiveInt = 100
    """Of each suite; no two are the same."""
    seed: int = 0
    """Another seed, other items: a fresh one asks what no corpus can have been built around."""
    model_name: str = ""
    """The name that the model may give itself in `identity`, beside saying that it is a program."""
    source: CallName
    """The name of this set in documents and in the ledger of corpus.decontaminate."""


@step(
    "evaluate.french_items",
    version=1,
    parameters=FrenchItemsParameters,
    produces="documents",
    obeys_tombstones=True,
)
def french_items(inputs: Inputs, params: FrenchItemsParameters, out: Output, machine: Machine) -> None:  # noqa: ARG001
    """Compose the items of each suite, as documents; corpus.decontaminate takes them as an evaluation set."""
    tombstones = load_tombstones(inputs.tombstones)
    made = compose_items(params.suites, params.items, params.seed, params.model_name)

    def documents() -> Iterator[Document]:
        for number, item in enumerate(made):
            yield item.document(params.source, number)

    write_shard(
        out.path, 0, ((document, tombstones.refuse(document) or keep(document)) for document in documents())
    )
    out.statistics["items"] = dict.fromkeys(params.suites, params.items)
    out.statistics["synthetic"] = "composed by the grammars in fonderie.evaluate.french, no model involved"


def compose_items(suites: tuple[Suite, ...], count: int, seed: int, model_name: str = "") -> list[Item]:
    """Items of each suite, all different; InputError if a suite has fewer."""
    composers: dict[Suite, Callable[[random.Random, int], Item]] = {
        "agreement": agreement.compose,
        "arithmetic": arithmetic.compose,
        "false_premises": premises.compose_premise,
        "absurd_questions": premises.compose_absurd,
        "identity": partial(identity.compose, name=model_name),
    }
    found: list[Item] = []
    for suite in dict.fromkeys(suites):
        known: set[str] = set()
        for number in range(count):
            item = _fresh(composers[suite], f"{seed}/{suite}/{number}", number, known)
            if item is None:
                raise InputError(
                    f"the suite {suite} found no item number {number + 1} that it had not composed before",
                    hint=f"Ask for fewer than {number + 1} items.",
                )
            found.append(item)
    return found


def _fresh(compose: Callable[[random.Random, int], Item], seed: str, number: int, known: set[str]) -> Item | None:
    for attempt in range(ATTEMPTS):
        item = compose(random.Random(f"{seed}/{attempt}"), number)
        if item.id not in known:
            known.add(item.id)
            return item
    return None
