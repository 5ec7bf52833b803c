"""Questions about the closed little world, and honest answers about the model itself."""

import random
from collections.abc import Mapping

from fonderie.corpus.grammar import lexicon
from fonderie.corpus.grammar.casting import cast
from fonderie.corpus.grammar.composition import Composition
from fonderie.corpus.grammar.conversations import conversation
from fonderie.corpus.grammar.lexicon import load
from fonderie.corpus.grammar.morphology import bare
from fonderie.corpus.grammar.realise import Binding, pick
from fonderie.corpus.grammar.topics import Computer, draw, turns

_QUESTIONS = (1, 1, 1, 2, 2, 3)
"""How many questions a conversation holds, drawn evenly."""


def question(rng: random.Random) -> Composition:
    """One to three questions, each with its answer."""
    data = load("questions")
    spoken: list[str] = []
    names: list[str] = []
    for _ in range(pick(rng, _QUESTIONS)):
        topic = draw(rng, data["topic"])
        if topic["name"] in names:
            continue
        names.append(topic["name"])
        spoken += turns(rng, topic, data["rules"], _COMPUTERS)
    return conversation(spoken, {"kind": "question", "topics": ", ".join(names)})


def _neighbours(rng: random.Random, bound: dict[str, Binding]) -> dict[str, Binding]:
    items = load("world")["sequence"][str(bound["list"])]
    index = int(rng.random() * len(items))
    return {"word": items[index], "next": items[(index + 1) % len(items)], "previous": items[index - 1]}


def _conjugated(rng: random.Random, _: dict[str, Binding]) -> dict[str, Binding]:
    data = load("questions")["conjugation"]
    name, tense = pick(rng, data["tenses"])
    return {
        "verb": pick(rng, data["verbs"]),
        "tense_name": name,
        "tense": tense,
        "person": pick(rng, data["persons"]),
    }


def _action(rng: random.Random, _: dict[str, Binding]) -> dict[str, Binding]:
    data = load("questions")["conjugation"]
    verb, complement = pick(rng, data["actions"])
    return {"verb": verb, "object": complement, "person": pick(rng, data["persons"])}


def _single_words() -> list[str]:
    found = lexicon.nouns("animal|food.fruit|food.vegetable|thing.dear|nature.tree")
    return [noun.lemma for noun in found if noun.lemma.isalpha()]


def _alphabetical(rng: random.Random, _: dict[str, Binding]) -> dict[str, Binding]:
    words: list[str] = []
    while len(words) < 3:
        word = pick(rng, _single_words())
        if word not in words:
            words.append(word)
    ordered = sorted(words, key=bare)
    return {"first": words[0], "second": words[1], "third": words[2], "ordered": ", ".join(ordered)}


def _letters(rng: random.Random, _: dict[str, Binding]) -> dict[str, Binding]:
    word = pick(rng, [word for word in _single_words() if "œ" not in word])
    return {"word": word, "count": len(word), "first": word[0], "last": word[-1]}


def _tale(rng: random.Random, _: dict[str, Binding]) -> dict[str, Binding]:
    """The template of a very short story, and its cast."""
    tales = load("questions")["tales"]
    trouble, help_ = pick(rng, tales["trouble"])
    template = f"{pick(rng, tales['start'])} {trouble} {help_} {pick(rng, tales['end'])}"
    return {"tale": template, **cast(rng, tales["cast"], "animals")}


_COMPUTERS: Mapping[str, Computer] = {
    "neighbours": _neighbours,
    "conjugated": _conjugated,
    "action": _action,
    "alphabetical": _alphabetical,
    "letters": _letters,
    "tale": _tale,
}
