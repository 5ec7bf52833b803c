"""A seeded French grammar: it composes the demo corpus, one text at a time, from tables of words and sentences.

The lexicon and the templates are TOML files beside this module, in the notation of `notation`; `realise` resolves
them with agreement, `sandhi` joins the words. The same state of `rng` gives the same text everywhere. All of it
is this project's own writing, published under CC0-1.0.
"""

import random

from fonderie.corpus.grammar.arithmetic import arithmetic
from fonderie.corpus.grammar.composition import Composition
from fonderie.corpus.grammar.conversations import dialogue
from fonderie.corpus.grammar.questions import question
from fonderie.corpus.grammar.stories import story

_COMPOSERS = {"story": story, "dialogue": dialogue, "question": question, "arithmetic": arithmetic}

KINDS: tuple[str, ...] = tuple(_COMPOSERS)
"""What `compose` can compose."""

__all__ = ["KINDS", "Composition", "compose"]


def compose(kind: str, rng: random.Random) -> Composition:
    """Compose one text of a kind. Pure: all chance comes from `rng`. KeyError if `kind` is not in `KINDS`."""
    return _COMPOSERS[kind](rng)
