"""The small build with the French suites and a gate: what was made before is taken from its store."""

from tests.evaluate.small import RECIPE, Build, find_step

from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.run import run_recipe

SUITES = """
[asked]
step = "evaluate.french_items"
suites = ["agreement", "arithmetic"]
items = 6
seed = 3

[french]
step = "evaluate.french"
inputs = { model = "base", tokenizer = "bpe", items = "asked" }
max_tokens = 8
"""
GATE = """
[gate]
step = "evaluate.gate"
inputs = { scores = ["scores", "french"] }
minima = [
  { score = "bits_per_byte", at_most = BITS },
  { score = "accuracy", on = "french/agreement", at_least = 0.0 },
]
"""


def gated(small: Build, *, at_most: float, name: str, extra: str = "") -> Build:
    """Run the small recipe with suites and a gate on bits per byte; `extra` goes below the release."""
    begin, release = RECIPE.split("[release]")
    release = release.replace('scores = "scores"', 'scores = ["scores", "french"], gate = "gate"')
    folder = small.store.root.parent
    path = folder / f"{name}.toml"
    text = f"{begin}{SUITES}{GATE.replace('BITS', str(at_most))}[release]{release}{extra}"
    path.write_text(text, encoding="utf-8")
    return Build(small.store, run_recipe(load_recipe(path, (), find_step), small.store, Machine()))
