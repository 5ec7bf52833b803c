"""corpus.filter: rules as data; a document that breaks one is dropped, and the ledger says which one and why."""

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from pydantic import field_validator

from fonderie.core.document import Document
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, step
from fonderie.corpus.measures import MEASURES
from fonderie.corpus.transform import Decision, drop, keep, transform

_RULE = re.compile(r"^\s*(\w+)\s*(<=|>=|==|!=|<|>|not in|in)\s*(.+?)\s*$")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
    "in": lambda value, bound: value in bound,
    "not in": lambda value, bound: value not in bound,
}


@dataclass(frozen=True)
class Rule:
    """A measure, a comparison and a bound, such as "words >= 50"; a document must satisfy it."""

    text: str

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """A rule from its text; ValueError says what is wrong with it."""
        rule = cls(text)
        measure, comparison, bound = rule._parts
        if measure not in MEASURES:
            raise ValueError(f"'{text}': no measure '{measure}'; known: {', '.join(MEASURES)}")
        takes_word = measure == "language"
        word = isinstance(bound, str) or (isinstance(bound, list) and all(isinstance(item, str) for item in bound))
        if takes_word != word or (comparison in ("in", "not in")) != isinstance(bound, list):
            raise ValueError(f"'{text}': {measure} cannot be compared so with {bound!r}")
        return rule

    @cached_property
    def _parts(self) -> tuple[str, str, Any]:
        match = _RULE.match(self.text)
        if match is None:
            raise ValueError(f"'{self.text}' is not of the form: measure comparison value")
        try:
            bound = ast.literal_eval(match[3])
        except (ValueError, SyntaxError):
            raise ValueError(f"'{self.text}': {match[3]} is not a number, a word in quotes or a list") from None
        if isinstance(bound, bool) or not isinstance(bound, int | float | str | list):
            raise ValueError(f"'{self.text}': {match[3]} is not a number, a word in quotes or a list")
        return match[1], match[2], bound

    def broken_by(self, text: str) -> str | None:
        """The measured value if a text breaks the rule, else None."""
        measure, comparison, bound = self._parts
        value = MEASURES[measure](text)
        if _OPERATORS[comparison](value, bound):
            return None
        return f"{measure} = {value}" if isinstance(value, str) else f"{measure} = {value:.4g}"


class FilterParameters(Parameters):
    """What a document must satisfy."""

    rules: tuple[str, ...]
    """Each "measure comparison value"; all must hold. The first that does not is the reason."""

    @field_validator("rules")
    @classmethod
    def _readable(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        if not rules:
            raise ValueError("no rule is given")
        for rule in rules:
            Rule.parse(rule)
        return rules


@step(
    "corpus.filter",
    version=1,
    parameters=FilterParameters,
    produces="documents",
    inputs={"documents": Port("documents", many=True)},
)
def filter_documents(inputs: Inputs, params: FilterParameters, out: Output, machine: Machine) -> None:
    """Keep the documents that satisfy every rule."""
    rules = tuple(Rule.parse(rule) for rule in params.rules)
    transform(inputs.all("documents"), out, machine, partial(_decide, rules=rules), label="filtering")


def _decide(document: Document, *, rules: tuple[Rule, ...]) -> Decision:
    for rule in rules:
        measured = rule.broken_by(document.text)
        if measured is not None:
            return drop(rule.text, measured)
    return keep(document)
