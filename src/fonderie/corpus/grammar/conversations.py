"""Conversations: everyday dialogues, from the exchanges of `dialogues.toml`."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from fonderie.corpus.grammar.casting import cast
from fonderie.corpus.grammar.composition import Composition
from fonderie.corpus.grammar.lexicon import load
from fonderie.corpus.grammar.realise import Binding, Scene, pick

USER, ASSISTANT = "Utilisateur : ", "Assistant : "
"""What begins a line, exactly."""


def conversation(turns: Sequence[str], metadata: dict[str, str]) -> Composition:
    """A composition from an even number of turns, the user's first."""
    lines = [(ASSISTANT if index % 2 else USER) + turn for index, turn in enumerate(turns)]
    return Composition("\n".join(lines), "conversation", None, metadata)


def pair(rng: random.Random, table: Mapping[str, Any], asked: str, answered: str) -> Sequence[str]:
    """Two templates that go together: one of the table's `pairs`, or any question with any answer."""
    if "pairs" in table:
        chosen: Sequence[str] = pick(rng, table["pairs"])
        return chosen
    return pick(rng, table[asked]), pick(rng, table[answered])


def _bindings(rng: random.Random, schema: Mapping[str, Any], data: Mapping[str, Any]) -> Mapping[str, Binding]:
    """The cast of a dialogue; a riddle's answer, its lines and a wrong guess are drawn together."""
    if "cast" in schema:
        return cast(rng, schema["cast"], "people")
    riddle = pick(rng, data["riddle"])
    line, hint = riddle["lines"]
    guesses = cast(rng, {"answer": riddle["answer"], "wrong": "animal|thing.tool|nature.element"}, "people")
    return {"riddle": line, "hint": hint, **guesses}


def dialogue(rng: random.Random) -> Composition:
    """An everyday exchange of four to ten turns."""
    data = load("dialogues")
    schema = pick(rng, data["dialogue"])
    scene = Scene(rng, _bindings(rng, schema, data), rules=data["rules"])
    turns = []
    for exchange in schema["exchange"]:
        if exchange.get("optional") and rng.random() < 0.5:
            continue
        turns += [scene.render(template) for template in pair(rng, exchange, "user", "assistant")]
    return conversation(turns, {"kind": "dialogue", "schema": schema["name"]})
