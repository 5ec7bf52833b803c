"""Agreement: pairs of sentences that differ in one word, which agrees in the one and not in the other.

The model is right where the sentence that agrees is the likelier (as in BLiMP, arXiv 1912.00582). Half of the
constructions put a noun of the other number or gender between the word and what it agrees with.
"""

import random
from collections.abc import Callable

from fonderie.corpus.grammar.lexicon import verb
from fonderie.corpus.grammar.morphology import agree, begins_with_vowel_sound, plural
from fonderie.evaluate.french.items import Item
from fonderie.evaluate.french.words import Word, pick, words

SUITE = "agreement"
THIRD_SINGULAR, THIRD_PLURAL = 2, 5


def compose(rng: random.Random, number: int) -> Item:
    """Item `number`: the constructions take turns, and in each the numbers and genders do."""
    part = list(_CONSTRUCTIONS)[number % len(_CONSTRUCTIONS)]
    frame, right, wrong = _CONSTRUCTIONS[part](rng, number // len(_CONSTRUCTIONS) % 2 == 1)
    return Item(SUITE, part, "pair", "", _sentence(frame, right), _sentence(frame, wrong))


def _sentence(frame: str, word: str) -> str:
    text = frame.format(word)
    return text[0].upper() + text[1:]


def _the(word: Word, many: bool) -> str:
    if many:
        return f"les {plural(word.lemma, noun=True)}"
    if begins_with_vowel_sound(word.lemma):
        return f"l'{word.lemma}"
    return f"{'la' if word.gender == 'f' else 'le'} {word.lemma}"


def _of_the(word: Word, many: bool) -> str:
    if many:
        return f"des {plural(word.lemma, noun=True)}"
    if begins_with_vowel_sound(word.lemma):
        return f"de l'{word.lemma}"
    return f"de la {word.lemma}" if word.gender == "f" else f"du {word.lemma}"


def _verbs(rng: random.Random, many: bool) -> tuple[str, str]:
    drawn = verb(pick(rng, words()["verbs"]))
    forms = drawn.form("pr", THIRD_SINGULAR), drawn.form("pr", THIRD_PLURAL)
    return (forms[1], forms[0]) if many else forms


def _adjectives(rng: random.Random, gender: str, many: bool) -> tuple[str, str]:
    """A form that agrees, and the same number in the other gender."""
    adjective = pick(rng, words()["adjectives"])
    other = "m" if gender == "f" else "f"
    return agree(adjective, gender, many=many), agree(adjective, other, many=many)


def _two(rng: random.Random, group: str) -> tuple[Word, Word]:
    first, second = rng.sample(words()[group], 2)
    return Word(*first), Word(*second)


def _adjacent(rng: random.Random, many: bool) -> tuple[str, str, str]:
    return f"{_the(Word(*pick(rng, words()['people'])), many)} {{}} dans le jardin.", *_verbs(rng, many)


def _across_complement(rng: random.Random, many: bool) -> tuple[str, str, str]:
    subject, other = _two(rng, "people")
    return f"{_the(subject, many)} {_of_the(other, not many)} {{}} tous les jours.", *_verbs(rng, many)


def _across_relative(rng: random.Random, many: bool) -> tuple[str, str, str]:
    subject, other = _two(rng, "people")
    knows = "connaît" if many else "connaissent"
    that = f"que {_the(other, not many)}"
    return f"{_the(subject, many)} {that} {knows} {{}} souvent.", *_verbs(rng, many)


def _epithet(rng: random.Random, many: bool) -> tuple[str, str, str]:
    thing, person = Word(*pick(rng, words()["things"])), Word(*pick(rng, words()["people"]))
    one = "des" if many else "une" if thing.gender == "f" else "un"
    noun = plural(thing.lemma, noun=True) if many else thing.lemma
    return f"{_the(person, False)} regarde {one} {noun} {{}}.", *_adjectives(rng, thing.gender, many)


def _attribute(rng: random.Random, many: bool) -> tuple[str, str, str]:
    """The noun between has the other gender."""
    thing = Word(*pick(rng, words()["things"]))
    owner = Word(*pick(rng, [word for word in words()["people"] if word[1] != thing.gender]))
    frame = f"{_the(thing, many)} {_of_the(owner, False)} {'sont' if many else 'est'} {{}}."
    return frame, *_adjectives(rng, thing.gender, many)


def _participle(rng: random.Random, many: bool) -> tuple[str, str, str]:
    person = Word(*pick(rng, words()["people"]))
    participle = verb(pick(rng, words()["verbs_with_etre"])).participle
    other = "m" if person.gender == "f" else "f"
    frame = f"hier, {_the(person, many)} {'sont' if many else 'est'} {{}} avant midi."
    return frame, agree(participle, person.gender, many=many), agree(participle, other, many=many)


_CONSTRUCTIONS: dict[str, Callable[[random.Random, bool], tuple[str, str, str]]] = {
    "verb": _adjacent,
    "verb across a complement": _across_complement,
    "verb across a relative clause": _across_relative,
    "adjective": _epithet,
    "adjective across a complement": _attribute,
    "participle": _participle,
}
"""Each gives a sentence with a gap, the word that agrees and the one that does not."""
