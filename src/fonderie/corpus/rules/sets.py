"""Rule sets by name, and how a recipe's rules become the list that one document must satisfy."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from fonderie.corpus.kernels.line_rules import flat, phrase_arrays
from fonderie.corpus.rules.rule import SENTENCES, Rule

_WITHOUT = "without "


class Phrase(BaseModel):
    """A phrase that drops the line that holds it, or the document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    drops: Literal["line", "document"]

    @property
    def reason(self) -> str:
        """The rule, as the ledger gives it."""
        return f"no line with '{self.text}'"


class LineRules(BaseModel):
    """Rules that drop lines rather than documents."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    longest_word: int
    """Characters; a line with a longer word is dropped."""
    fewest_words: int
    """A line with fewer, between white space, is dropped."""
    ends: tuple[str, ...]
    """A line that ends with none of these is dropped."""
    ends_in_dots: bool
    """Whether "..." is an end."""
    citations: tuple[str, ...]
    """What is removed from lines, beside numbers in square brackets."""
    phrases: tuple[Phrase, ...]
    """In order: the first that a line holds decides."""

    def arrays(self) -> tuple[Any, ...]:
        """As the kernel takes them."""
        citations, citation_places = flat(self.citations)
        drops = np.array([phrase.drops == "document" for phrase in self.phrases], np.bool_)
        ends = np.array([ord(end) for end in self.ends], np.int32)
        return (
            self.longest_word,
            self.fewest_words,
            ends,
            not self.ends_in_dots,
            citations,
            citation_places,
            phrase_arrays([phrase.text for phrase in self.phrases]),
            drops,
        )


@dataclass(frozen=True)
class Plan:
    """What one document goes through, in order."""

    items: tuple[Rule | LineRules, ...]

    def measures(self) -> set[str]:
        """Everything it measures."""
        return {item.measure for item in self.items if isinstance(item, Rule)}


@cache
def _tables() -> dict[str, dict[str, Any]]:
    return tomllib.loads(resources.files(__package__ or "").joinpath("sets.toml").read_text("utf-8"))


@cache
def set_names() -> tuple[str, ...]:
    """The sets that a recipe can name."""
    return tuple(_tables())


@cache
def rule_set(name: str) -> tuple[Rule | LineRules, ...]:
    """A set's rules, those on lines first; what it states replaces what its base does."""
    table = _tables()[name]
    items: list[Rule | LineRules] = list(rule_set(table["base"])) if "base" in table else []
    if "lines" in table:
        base = next((item.model_dump() for item in items if isinstance(item, LineRules)), {})
        lines = LineRules.model_validate({**base, **table["lines"], "name": name})
        items = [lines, *(item for item in items if not isinstance(item, LineRules))]
    return tuple(_replace(items, [Rule.parse(text) for text in table.get("rules", ())]))


def parse(entries: Iterable[str]) -> tuple[Rule | LineRules, ...]:
    """Rules from a recipe's entries, each a rule or the name of a set; ValueError says what is wrong with one."""
    items: list[Rule | LineRules] = []
    dropped_lines = False
    for entry in entries:
        if entry.strip() in set_names():
            items.extend(rule_set(entry.strip()))
        elif entry.strip().isidentifier():
            raise ValueError(f"there is no rule set '{entry.strip()}'; known: {', '.join(set_names())}")
        else:
            items.append(Rule.parse(entry))
    for item in items:
        dropped_lines = dropped_lines or isinstance(item, LineRules)
        if isinstance(item, Rule) and item.measure == SENTENCES and not dropped_lines:
            raise ValueError(f"'{item.text}': no line is dropped before it; name a set that does, such as c4")
    return tuple(items)


def overridden(items: Iterable[Rule | LineRules], changes: Iterable[str]) -> tuple[Rule | LineRules, ...]:
    """Rules with those of a language or source in their place; ValueError says what is wrong with a change.

    A rule takes the place of those that bound the same measure on the same side, or joins the end.
    "without measure" removes every rule on it.
    """
    result = list(items)
    for change in changes:
        if change.startswith(_WITHOUT):
            measure = change.removeprefix(_WITHOUT).strip()
            left = [item for item in result if isinstance(item, LineRules) or item.measure != measure]
            if len(left) == len(result):
                raise ValueError(f"'{change}': no rule is on {measure}")
            result = left
        else:
            result = _replace(result, [Rule.parse(change)])
    return tuple(result)


def _replace(items: list[Rule | LineRules], rules: Iterable[Rule]) -> list[Rule | LineRules]:
    result = list(items)
    for rule in rules:
        same = [i for i, item in enumerate(result) if isinstance(item, Rule) and rule.same_bound(item)]
        if same:
            result[same[0]] = rule
            result = [item for i, item in enumerate(result) if i not in same[1:]]
        else:
            result.append(rule)
    return result


class Plans:
    """The plan of each document: the recipe's rules, then its language's, then its source's."""

    def __init__(
        self, rules: Iterable[str], languages: Mapping[str, Iterable[str]], sources: Mapping[str, Iterable[str]]
    ) -> None:
        self._rules = parse(rules)
        self._languages, self._sources = languages, sources
        self._made: dict[tuple[str | None, str | None], Plan] = {}
        for language in (None, *languages):
            for source in (None, *sources):
                self.of(language, source)

    def of(self, language: str | None, source: str | None) -> Plan:
        """The plan of a document in a language, from a source."""
        key = (language if language in self._languages else None, source if source in self._sources else None)
        if key not in self._made:
            items = overridden(self._rules, self._languages.get(key[0] or "", ()))
            self._made[key] = Plan(overridden(items, self._sources.get(key[1] or "", ())))
        return self._made[key]

    @property
    def by_language(self) -> bool:
        """Whether a document's language can change its plan."""
        return bool(self._languages)

    @property
    def measures(self) -> set[str]:
        """Everything that any of the plans measures."""
        return set().union(*(plan.measures() for plan in self._made.values()))
