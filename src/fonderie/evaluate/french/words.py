"""The tables of words behind the suites, read once."""

import random
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple, TypeVar

Entry = TypeVar("Entry")


class Word(NamedTuple):
    """A noun."""

    lemma: str
    gender: str
    """`m` or `f`."""


@cache
def words(name: str = "words") -> Mapping[str, Any]:
    """One data file of this package."""
    return tomllib.loads(resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def pick(rng: random.Random, entries: Sequence[Entry]) -> Entry:
    """One of them, drawn evenly; the same draw on every version of Python."""
    return entries[int(rng.random() * len(entries))]
