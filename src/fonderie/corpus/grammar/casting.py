"""Casting: from the `cast` table of a schema to the referents, words and numbers bound in one text.

A cast entry is a list of strings (one is drawn as it stands) or a selector:

    character      a person in a world of people, an animal in a world of animals
    elder          the same, old and wise;    child, adult, person: people
    thing.dear     a noun under a path of nouns.toml; `|` joins paths, `of:lion,ours` names nouns
    … + thing      followed by `+` and groups of adjectives.toml joined by `|`: the noun has an epithet
    A / B          A among people, B among animals
    2..9           a whole number;   =a+b, =a-b, =a*b: computed from two bound names or numbers
    adj:mood_glad  an adjective
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from fonderie.corpus.grammar import lexicon
from fonderie.corpus.grammar.lexicon import Noun, load
from fonderie.corpus.grammar.morphology import plural
from fonderie.corpus.grammar.realise import Binding, pick
from fonderie.corpus.grammar.referents import Referent

_ANIMALS = "animal.forest|animal.farm"
_OLD_ANIMALS = "of:hibou,tortue,corbeau,cerf,blaireau,chouette,héron,oie,âne,ours"


def cast(rng: random.Random, table: Mapping[str, Any], world: str) -> dict[str, Binding]:
    """Bind every name of a cast table, in order; no noun and no name serves twice."""
    bound: dict[str, Binding] = {}
    used: set[str] = set()
    for name, selector in table.items():
        bound[name] = (
            pick(rng, selector) if isinstance(selector, list) else _draw(rng, selector, world, bound, used)
        )
    return bound


def _draw(rng: random.Random, selector: str, world: str, bound: Mapping[str, Binding], used: set[str]) -> Binding:
    people, slash, animals = selector.partition(" / ")
    selector = animals if slash and world == "animals" else people
    if selector[:1] == "=":
        return _compute(selector[1:], bound)
    low, dots, high = selector.partition("..")
    if dots:
        return int(low) + int(rng.random() * (int(high) - int(low) + 1))
    if selector.startswith("adj:"):
        return pick(rng, lexicon.adjectives(selector[4:]))
    if selector in ("character", "elder") and world == "animals":
        return _animal(rng, used, old=selector == "elder")
    if selector in ("character", "elder", "child", "adult", "person"):
        return _person(rng, selector, used)
    return _thing(rng, selector, used)


def _compute(expression: str, bound: Mapping[str, Binding]) -> int:
    """`a+b`, `a-b` or `a*b`, where a and b are bound names or whole numbers."""

    def value(word: str) -> int:
        number = int(word) if word.isdigit() else bound[word]
        if not isinstance(number, int):
            raise TypeError(f"{word} is not a number in ={expression}")
        return number

    for sign in "+-*":
        left, found, right = expression.partition(sign)
        if found:
            a, b = value(left), value(right)
            return a + b if sign == "+" else a - b if sign == "-" else a * b
    raise ValueError(f"no sign in ={expression}")


def _fresh(rng: random.Random, items: Sequence[Any], used: set[str], key: Any) -> Any:
    """An item whose key has not served yet; after a few draws, the first such item in order."""
    for _ in range(8):
        item = pick(rng, items)
        if key(item) not in used:
            break
    else:
        item = next(item for item in items if key(item) not in used)
    used.add(key(item))
    return item


def _person(rng: random.Random, kind: str, used: set[str]) -> Referent:
    people = load("people")
    if kind in ("character", "person"):
        kind = "child" if rng.random() < 0.5 else "adult"
    gender = "m" if rng.random() < 0.5 else "f"
    pair = _fresh(rng, people["nouns"]["adult" if kind == "elder" else kind], used, key=lambda pair: pair[0])
    noun = pair[gender == "f"]
    name = _fresh(rng, people["names"][gender], used, key=str)
    epithet = "vieux" if kind == "elder" else pick(rng, lexicon.adjectives("character"))
    if kind != "elder" and (rng.random() < 0.3 or (noun.startswith("petit") and lexicon.precedes(epithet))):
        epithet = ""
    return Referent(noun, plural(noun, noun=True), gender, name=name, epithet=epithet)


def _animal(rng: random.Random, used: set[str], *, old: bool) -> Referent:
    noun = _fresh(rng, lexicon.nouns(_OLD_ANIMALS if old else _ANIMALS), used, key=lambda noun: noun.lemma)
    name = "" if old or rng.random() < 0.7 else _fresh(rng, load("people")["names"]["animal"], used, key=str)
    group = "character" if rng.random() < 0.7 else "fur"
    epithet = "vieux" if old else pick(rng, lexicon.adjectives(group)) if rng.random() < 0.8 else ""
    return _referent(noun, epithet, name)


def _thing(rng: random.Random, selector: str, used: set[str]) -> Referent:
    paths, plus, groups = selector.partition("+")
    noun = _fresh(rng, lexicon.nouns(paths), used, key=lambda noun: noun.lemma)
    epithet = pick(rng, lexicon.adjectives(pick(rng, groups.split("|")))) if plus else ""
    # No second adjective on `petite ville`, and none after a complement, where its agreement would be read twice.
    crowded = noun.lemma.startswith(("petit", "vieux", "grand")) or (
        " " in noun.lemma and not lexicon.precedes(epithet)
    )
    return _referent(noun, "" if crowded else epithet, "")


def _referent(noun: Noun, epithet: str, name: str) -> Referent:
    return Referent(noun.lemma, noun.plural, noun.gender, name, epithet, noun.preposition)
