"""Arithmetic: little calculations and problems whose results are computed, never written."""

import random

from fonderie.corpus.grammar.composition import Composition
from fonderie.corpus.grammar.conversations import conversation
from fonderie.corpus.grammar.lexicon import load
from fonderie.corpus.grammar.realise import pick
from fonderie.corpus.grammar.topics import draw, turns

_PROBLEMS = (1, 1, 2, 3)
"""How many calculations a conversation holds, drawn evenly."""


def arithmetic(rng: random.Random) -> Composition:
    """One to three calculations, each with its answer."""
    data = load("arithmetic")
    topics = [draw(rng, data["topic"]) for _ in range(pick(rng, _PROBLEMS))]
    spoken = [turn for topic in topics for turn in turns(rng, topic, data["rules"], {})]
    names = ", ".join(topic["name"] for topic in topics)
    return conversation(spoken, {"kind": "arithmetic", "topics": names})
