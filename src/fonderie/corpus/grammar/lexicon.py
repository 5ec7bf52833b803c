"""The words: nouns, adjectives, verbs and people, read once from the TOML files beside this module."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from fonderie.corpus.grammar import morphology
from fonderie.corpus.grammar.conjugation import Verb, modelled, regular


@cache
def load(name: str) -> Mapping[str, Any]:
    """One data file of this package (`nouns` for `nouns.toml`), parsed once."""
    return tomllib.loads(resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun with its gender; a place also has the preposition that says one is there."""

    lemma: str
    gender: str
    """`m` or `f`."""
    plural: str
    preposition: str = "dans"
    """`dans` la forêt, `à` la plage, `sur` la colline."""


@cache
def noun_index() -> Mapping[str, tuple[Noun, ...]]:
    """Every dotted path of `nouns.toml` (`food`, `food.fruit`) to the nouns under it, in file order."""
    data = load("nouns")
    plurals: Mapping[str, str] = data["plurals"]
    index: dict[str, tuple[Noun, ...]] = {}

    def walk(path: str, table: Mapping[str, Any]) -> tuple[Noun, ...]:
        preposition = table.get("preposition", "dans")
        found = [
            Noun(word, gender, plurals.get(word) or morphology.plural(word, noun=True), preposition)
            for gender in ("m", "f")
            for word in table.get(gender, ())
        ]
        for key, value in table.items():
            if isinstance(value, dict):
                found.extend(walk(f"{path}.{key}", value))
        index[path] = tuple(found)
        return index[path]

    for key, table in data.items():
        if key != "plurals":
            walk(key, table)
    return index


@cache
def nouns(selector: str) -> tuple[Noun, ...]:
    """The nouns of a selector, each once: dotted paths of `nouns.toml`, or lists `of:lion,ours`, joined by `|`."""
    found: dict[str, Noun] = {}
    for part in selector.split("|"):
        listed = part.startswith("of:")
        group = [noun(lemma) for lemma in part[3:].split(",")] if listed else noun_index()[part]
        found.update((entry.lemma, entry) for entry in group)
    return tuple(found.values())


@cache
def noun(lemma: str) -> Noun:
    """The noun of that lemma, wherever it stands in `nouns.toml`."""
    for path, group in noun_index().items():
        if "." not in path:
            for candidate in group:
                if candidate.lemma == lemma:
                    return candidate
    raise KeyError(f"no noun {lemma!r} in nouns.toml")


@cache
def adjectives(group: str) -> tuple[str, ...]:
    """The adjectives of a group of `adjectives.toml`, masculine singular."""
    return tuple(load("adjectives")["groups"][group])


@cache
def precedes(adjective: str) -> bool:
    """Whether the adjective stands before its noun: `un petit chat`, but `un chat noir`."""
    return adjective in load("adjectives")["before"]


@cache
def verb(infinitive: str) -> Verb:
    """A verb of `verbs.toml`, or a regular one if the file does not speak of it."""
    data = load("verbs")
    auxiliary = "être" if infinitive in data["with_etre"] else "avoir"
    if infinitive in data["like"]:
        return modelled(infinitive, verb(data["like"][infinitive]), auxiliary)
    parts = data["verb"].get(infinitive)
    if parts is None:
        return regular(infinitive, auxiliary)
    present = tuple(parts["present"].split())
    imperfect = parts.get("imperfect") or present[3].removesuffix("ons")
    return Verb(infinitive, present, imperfect, parts["future"], parts["past"], parts["participle"], auxiliary)
