"""Arithmetic: small sums, differences, products, and a product of a sum, asked in words; results are computed.

The last kind is what the public found wrong with Lucie's chat ("5 (3 + 2) = 17"). The last number of the answer
counts, as is usual since GSM8K (arXiv 2110.14168).
"""

import random
from collections.abc import Callable

from fonderie.evaluate.french.items import Item
from fonderie.evaluate.french.words import pick

SUITE = "arithmetic"


def _between(rng: random.Random, low: int, high: int) -> int:
    return low + int(rng.random() * (high - low + 1))


def _sum(rng: random.Random) -> tuple[str, str, int]:
    a, b = _between(rng, 2, 60), _between(rng, 2, 39)
    return f"{a} + {b}", f"{a} plus {b}", a + b


def _difference(rng: random.Random) -> tuple[str, str, int]:
    b, result = _between(rng, 2, 39), _between(rng, 2, 60)
    return f"{b + result} - {b}", f"{b + result} moins {b}", result


def _product(rng: random.Random) -> tuple[str, str, int]:
    a, b = _between(rng, 2, 10), _between(rng, 2, 10)
    return f"{a} × {b}", f"{a} fois {b}", a * b


def _product_of_sum(rng: random.Random) -> tuple[str, str, int]:
    a, b, c = _between(rng, 2, 9), _between(rng, 1, 9), _between(rng, 1, 9)
    return f"{a} × ({b} + {c})", f"{a} fois la somme de {b} et de {c}", a * (b + c)


_OPERATIONS: dict[str, Callable[[random.Random], tuple[str, str, int]]] = {
    "sum": _sum,
    "difference": _difference,
    "product": _product,
    "product of a sum": _product_of_sum,
}
_WORDINGS = ("Combien font {0} ?", "Calcule {0}.", "Combien font {1} ?")


def compose(rng: random.Random, number: int) -> Item:
    """Item `number`: the operations take turns."""
    part = list(_OPERATIONS)[number % len(_OPERATIONS)]
    symbols, spoken, result = _OPERATIONS[part](rng)
    question = pick(rng, _WORDINGS).format(symbols, spoken)
    return Item(SUITE, part, "answer", question, str(result), rule="last_number")
