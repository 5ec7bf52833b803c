"""False premises and absurd questions, each with a true twin, so that to deny always is right half of the time.

The facts are of the kind that every school child knows; which animals give what stands in premises.toml.
"""

import random
from collections.abc import Mapping
from typing import Any

from fonderie.corpus.grammar.lexicon import noun
from fonderie.corpus.grammar.morphology import begins_with_vowel_sound
from fonderie.evaluate.french.items import Item
from fonderie.evaluate.french.words import pick, words

PREMISES = "false_premises"
ABSURD = "absurd_questions"


def compose_premise(rng: random.Random, number: int) -> Item:
    """Item `number`: false and true take turns, and so do the two ways to ask."""
    true = number % 2 == 1
    fact: Mapping[str, Any] = pick(rng, words("premises")["fact"])
    animal = noun(pick(rng, fact["true" if true else "false"]))
    they = "elles" if animal.gender == "f" else "ils"
    subject = f"les {animal.plural}"
    affirmed, denied = f"{subject} {fact['affirmed']}.", f"{subject} {fact['denied']}."
    if number // 2 % 2:
        asked = f"Pourquoi {subject} {fact['asked'].format(they)} ?"
        yes, no = _capital(affirmed), _capital(denied)
        part = "why"
    else:
        asked = f"Est-ce que {subject} {fact['affirmed']} ?"
        yes, no = f"Oui, {affirmed}", f"Non, {denied}"
        part = "whether"
    right, wrong = (yes, no) if true else (no, yes)
    return Item(PREMISES, f"{part}, {'true' if true else 'false'}", "choice", asked, right, wrong)


def compose_absurd(rng: random.Random, number: int) -> Item:
    """Item `number`: absurd questions and sensible twins take turns."""
    true = number % 2 == 1
    product: Mapping[str, Any] = pick(rng, words("premises")["product"])
    animal = noun(pick(rng, product["true" if true else "false"])).lemma
    of = f"d'{animal}" if begins_with_vowel_sound(animal) else f"de {animal}"
    wording = pick(rng, words("premises")["wordings"]["plural" if product["plural"] else "singular"])
    question = wording.format(the=f"{product['the']} {of}", of_the=f"{product['of_the']} {of}")
    rule = "does_not_refuse" if true else "refuses"
    return Item(ABSURD, "sensible" if true else "absurd", "answer", question, "", rule=rule)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
