"""Questions and answers drawn from topics: the engine behind `questions` and `arithmetic`."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from fonderie.corpus.grammar import lexicon
from fonderie.corpus.grammar.casting import cast
from fonderie.corpus.grammar.conversations import pair
from fonderie.corpus.grammar.lexicon import load
from fonderie.corpus.grammar.realise import Binding, Scene, pick
from fonderie.corpus.grammar.referents import Referent

Computer = Callable[[random.Random, dict[str, Binding]], dict[str, Binding]]
"""Binds what a topic needs and no table holds, from what its cast has bound."""

_ALWAYS = {"euro": "of:euro", "an": "of:an"}


def draw(rng: random.Random, topics: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """A topic, in proportion to the weights."""
    total = sum(topic.get("weight", 1) for topic in topics)
    point = rng.random() * total
    for topic in topics:
        point -= topic.get("weight", 1)
        if point < 0:
            return topic
    return topics[-1]


def turns(
    rng: random.Random, topic: Mapping[str, Any], rules: Mapping[str, Any], computers: Mapping[str, Computer]
) -> list[str]:
    """A question of the topic and its answer, and sometimes another about the same thing."""
    bindings: dict[str, Binding] = _row(rng, topic) if "table" in topic else {}
    bindings.update(cast(rng, {**topic.get("cast", {}), **_ALWAYS}, "people"))
    if "with" in topic:
        bindings.update(computers[topic["with"]](rng, bindings))
    scene = Scene(rng, bindings, rules=rules)
    spoken = [scene.render(template) for template in pair(rng, topic, "ask", "answer")]
    if "follow" in topic and rng.random() < 0.4:
        spoken += [scene.render(template) for template in pick(rng, topic["follow"])]
    return spoken


def _row(rng: random.Random, topic: Mapping[str, Any]) -> dict[str, Binding]:
    table = load("world")[topic["table"]]
    needed = [table["columns"].index(name) for name in topic.get("needs", ())]
    row = pick(rng, [row for row in table["rows"] if all(row[index] for index in needed)])
    nouns = table.get("nouns", ())
    return {
        name: _noun(cell) if name in nouns and cell else cell
        for name, cell in zip(table["columns"], row, strict=True)
    }


def _noun(lemma: str) -> Referent:
    noun = lexicon.noun(lemma)
    return Referent(noun.lemma, noun.plural, noun.gender)
