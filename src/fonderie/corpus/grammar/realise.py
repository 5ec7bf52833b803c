"""The realiser: a template and what its names are bound to, to French text."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from fonderie.corpus.grammar import lexicon, notation, referents
from fonderie.corpus.grammar.conjugation import COMPOUND_TENSES
from fonderie.corpus.grammar.morphology import agree, number_words
from fonderie.corpus.grammar.referents import Referent
from fonderie.corpus.grammar.sandhi import polish

T = TypeVar("T")
Binding = Referent | str | int

REGISTERS = {
    "tale": {"E": "ps", "B": "im", "A": "pq", "F": "co"},
    "told": {"E": "pc", "B": "im", "A": "pq", "F": "co"},
    "now": {"E": "pr", "B": "pr", "A": "pc", "F": "fs"},
}
"""Who tells, and the tense that gives each role: the written tale, the story told aloud, the present."""

_PERSONS = {"je": 0, "tu": 1, "on": 2, "il": 2, "elle": 2, "nous": 3, "vous": 4, "ils": 5, "elles": 5}
_REFLEXIVE = ("me", "te", "se", "nous", "vous", "se")
_INDIRECT = frozenset(("dire", "demander", "parler", "sourire", "répéter", "promettre", "succéder"))
"""Reflexive verbs whose pronoun is an indirect object: `elle s'est dit`, without agreement."""


def pick(rng: random.Random, items: Sequence[T]) -> T:
    """One item, by a single draw: the same on every platform and Python version."""
    return items[int(rng.random() * len(items))]


class Scene:
    """The names bound in one text, its register, and the source of chance."""

    def __init__(
        self, rng: random.Random, bindings: Mapping[str, Binding], *, register: str = "tale", rules: Mapping[str, Any]
    ) -> None:
        self.rng = rng
        self.bindings = bindings
        self.register = register
        self.rules = rules

    def render(self, template: str) -> str:
        """The polished text of a template: a sentence or a few, or a turn of conversation."""
        return polish(self._sequence(notation.parse(template)))

    def _sequence(self, nodes: notation.Sequence) -> str:
        return "".join([node if isinstance(node, str) else self._node(node) for node in nodes])

    def _node(self, node: Any) -> str:
        if isinstance(node, notation.Choice):
            return self._sequence(pick(self.rng, node.options))
        if isinstance(node, notation.Rule):
            return self._sequence(notation.parse(pick(self.rng, self._options(node))))
        if isinstance(node, notation.Mention):
            text = self._mention(node)
        elif isinstance(node, notation.Agreement):
            _, gender, many = self._subject(node.subject)
            text = referents.agreed(self._word(node.adjective), gender, many=many)
        else:
            text = self._action(node)
        return text[:1].upper() + text[1:] if node.capital else text

    def _options(self, rule: notation.Rule) -> Sequence[str]:
        name = rule.name
        if isinstance(bound := self.bindings.get(name), str):
            return (bound,)
        if rule.variable:
            return self.rules[f"{name}_{self._referent(rule.variable).noun}"]  # type: ignore[no-any-return]
        return self.rules.get(f"{name}_{self.register}") or self.rules[name]

    def _word(self, word: str) -> str:
        return str(self.bindings[word[1:]]) if word.startswith("$") else word

    def _subject(self, subject: str) -> tuple[int, str, bool]:
        """Person, gender and number of a subject: `hero`, `hero+friend`, `tu`, `je=hero`."""
        first, _, rest = self._word(subject).partition("=")
        if first in _PERSONS:
            person = _PERSONS[first]
            gender = self._subject(rest)[1] if rest else ("f" if first.startswith("elle") else "m")
            return person, gender, person in (3, 5)
        names = first.split("+")
        feminine = all(self._gender(name) == "f" for name in names)
        many = len(names) > 1 or names[0].endswith("_s")
        return (5 if many else 2), ("f" if feminine else "m"), many

    def _gender(self, name: str) -> str:
        return self._referent(name.removesuffix("_s")).gender

    def _referent(self, name: str) -> Referent:
        bound = self.bindings[name]
        if not isinstance(bound, Referent):
            raise TypeError(f"{name} is bound to {bound!r}, which has no gender")
        return bound

    def _mention(self, node: notation.Mention) -> str:
        if "+" in node.reference:
            return self._refer_to_several(node)
        bound = self.bindings[node.reference]
        if isinstance(bound, int):
            return number_words(bound) if node.operation == "lettres" else str(bound)
        if isinstance(bound, str):
            return bound
        return self._refer(bound, node)

    def _refer_to_several(self, node: notation.Mention) -> str:
        if referents.is_pronoun(node.operation):
            return referents.pronoun(node.operation, self._subject(node.reference)[1], many=True)
        names = [referents.default(self._referent(name)) for name in node.reference.split("+")]
        return f"{', '.join(names[:-1])} et {names[-1]}"

    def _refer(self, bound: Referent, node: notation.Mention) -> str:
        operation = node.operation
        if operation == "alt":
            named = bound.name and self.rng.random() < 0.6
            return bound.name if named else referents.noun_phrase(bound, bound.determiner, epithet=False)
        if operation == "":
            return bound.name or referents.noun_phrase(bound, bound.determiner, epithet=node.epithet)
        if operation == "vocatif":
            return bound.name or bound.noun
        if operation == "genre":
            return "féminin" if bound.gender == "f" else "masculin"
        if operation == "en":
            return referents.in_country(bound)
        if referents.is_pronoun(operation):
            return referents.pronoun(operation, bound.gender, many=False)
        if operation == "intro":
            return referents.introduction(bound, variant=self.rng.random() < 0.3)
        if operation in ("à", "vers", "dans", "dans_un"):
            preposition = operation if operation in ("à", "vers") else bound.preposition
            determiner = "un" if operation == "dans_un" else bound.determiner
            return f"{preposition} {referents.noun_phrase(bound, determiner, epithet=node.epithet)}"
        if operation in ("compte", "décompte"):
            number = self.bindings[node.argument]
            if not isinstance(number, int):
                raise TypeError(f"{node.argument} is not a number")
            return referents.counted(bound, number, words=operation == "décompte")
        return referents.noun_phrase(bound, operation, epithet=node.epithet)

    def _action(self, node: notation.Action) -> str:
        tense = self._word(node.tense)
        tense = REGISTERS[self.register].get(tense, tense)
        person, gender, many = self._subject(node.subject)
        verb = lexicon.verb(self._word(node.verb))
        clitics, reflexive, antecedent = [], False, ""
        for clitic, target in node.clitics:
            if clitic == "se":
                reflexive = True
                clitics.append(_REFLEXIVE[person])
            elif clitic in ("le", "lui") and target:
                kind = "cod" if clitic == "le" else "coi"
                _, target_gender, target_many = self._subject(target)
                clitics.append(referents.pronoun(kind, target_gender, many=target_many))
                antecedent = target if clitic == "le" else antecedent
            else:
                clitics.append(clitic)
                antecedent = target or antecedent
        before = ("ne " if node.negated else "") + "".join(clitic + " " for clitic in clitics)
        after = f" {node.negation}" if node.negation else ""
        if tense == "fp":
            return (
                f"{'ne ' if node.negated else ''}{lexicon.verb('aller').form('pr', person)}{after} "
                + "".join(clitic + " " for clitic in clitics)
                + verb.infinitive
            )
        if tense not in COMPOUND_TENSES:
            return before + verb.form(tense, person) + after
        auxiliary = "être" if reflexive else verb.auxiliary
        participle = verb.participle
        if antecedent:
            _, target_gender, target_many = self._subject(antecedent)
            participle = agree(participle, target_gender, many=target_many)
        elif auxiliary == "être" and not (reflexive and verb.infinitive in _INDIRECT):
            participle = agree(participle, gender, many=many)
        return f"{before}{lexicon.verb(auxiliary).form(COMPOUND_TENSES[tense], person)}{after} {participle}"
