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
        self,
        rng: random.Random,
        bindings: Mapping[str, Binding],
        *,
        register: str = "tale",
        rules: Mapping[str, Any],
    ) -> None:
        self.rng = rng
        self.bindings = bindings
        self.register = register
        self.rules = rules

    def render(self, template: str) -> str:
        """The polished text of a template: a sentence or a few, or a turn of conversation."""
        return polish(self._sequence(notation.parse(template)))

    def draw(self, template: str) -> str:
        """The text of a template as it stands, for what is not French: alternatives drawn, nothing joined."""
        return self._sequence(notation.parse(template))

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
            name = f"{name}_{self._referent(rule.variable).noun}"
        options: Sequence[str] = self.rules.get(f"{name}_{self.register}") or self.rules[name]
        return options

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
        if node.operation == "intro":
            return referents.introduction(bound, variant=self.rng.random() < 0.3)
        if node.operation in ("compte", "décompte"):
            number = self.bindings[node.argument]
            if not isinstance(number, int):
                raise TypeError(f"{node.argument} is not a number")
            return referents.counted(bound, number, words=node.operation == "décompte")
        return referents.refer(bound, node.operation, epithet=node.epithet)

    def _action(self, node: notation.Action) -> str:
        tense = self._word(node.tense)
        tense = REGISTERS[self.register].get(tense, tense)
        person, gender, many = self._subject(node.subject)
        verb = lexicon.verb(self._word(node.verb))
        clitics = "".join(self._clitic(clitic, target, person) + " " for clitic, target in node.clitics)
        no = "ne " if node.negated else ""
        not_ = f" {node.negation}" if node.negation else ""
        if tense == "fp":
            return f"{no}{lexicon.verb('aller').form('pr', person)}{not_} {clitics}{verb.infinitive}"
        if tense not in COMPOUND_TENSES:
            return f"{no}{clitics}{verb.form(tense, person)}{not_}"
        reflexive = any(clitic == "se" for clitic, _ in node.clitics)
        auxiliary = "être" if reflexive else verb.auxiliary
        objects = [target for clitic, target in node.clitics if target and clitic != "lui"]
        participle = verb.participle
        if objects:  # a direct object that stands before avoir: `elle l'a perdue`
            _, gender, many = self._subject(objects[0])
        if objects or (auxiliary == "être" and not (reflexive and verb.infinitive in _INDIRECT)):
            participle = agree(participle, gender, many=many)
        return f"{no}{clitics}{lexicon.verb(auxiliary).form(COMPOUND_TENSES[tense], person)}{not_} {participle}"

    def _clitic(self, clitic: str, target: str, person: int) -> str:
        if clitic == "se":
            return _REFLEXIVE[person]
        if not target:
            return clitic
        _, gender, many = self._subject(target)
        return referents.pronoun("cod" if clitic == "le" else "coi", gender, many=many)
