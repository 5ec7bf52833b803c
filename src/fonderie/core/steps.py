"""Every step there is, by name. The one registry.

Values are "module:attribute", imported when a recipe calls the step: reading a corpus never imports torch.
"""

import difflib
from importlib import import_module

from fonderie.core.errors import RecipeError
from fonderie.core.step import Step

STEPS = {
    "corpus.generate": "fonderie.corpus.generate:generate",
    "corpus.read": "fonderie.corpus.read:read",
    "corpus.conversations": "fonderie.corpus.conversations:conversations",
    "corpus.preferences": "fonderie.corpus.conversations:preferences",
    "corpus.dialogue": "fonderie.corpus.dialogue:dialogue",
    "corpus.ngram": "fonderie.corpus.ngram.train:train_ngrams",
    "corpus.filter": "fonderie.corpus.filter:filter_documents",
    "corpus.redact": "fonderie.corpus.redact:redact",
    "corpus.optout": "fonderie.corpus.optout.step:optout",
    "corpus.dedup": "fonderie.corpus.dedup.documents:dedup",
    "corpus.dedup_passages": "fonderie.corpus.dedup.passages:dedup_passages",
    "corpus.decontaminate": "fonderie.corpus.decontaminate:decontaminate",
    "corpus.mix": "fonderie.corpus.mix:mix",
    "corpus.hold_out": "fonderie.corpus.hold_out:hold_out",
    "tokens.bpe": "fonderie.tokens.bpe:train_bpe",
    "tokens.pack": "fonderie.tokens.pack:pack",
    "tokens.pairs": "fonderie.tokens.pack:pairs",
    "tokens.extend": "fonderie.tokens.extend:extend",
    "tokens.transplant": "fonderie.train.steps.transplant:transplant",
    "tokens.import": "fonderie.train.steps.imported:import_tokenizer",
    "model.import": "fonderie.train.steps.imported:import_model",
    "train.pretrain": "fonderie.train.steps.pretrain:pretrain",
    "train.continue": "fonderie.train.steps.continued:continue_training",
    "model.checkpoint": "fonderie.train.steps.taken:take",
    "train.instruct": "fonderie.train.steps.instruct:instruct",
    "train.prefer": "fonderie.train.steps.prefer:prefer",
    "evaluate.perplexity": "fonderie.evaluate.perplexity:perplexity",
    "evaluate.french_items": "fonderie.evaluate.french.compose:french_items",
    "evaluate.french": "fonderie.evaluate.french.step:french",
    "evaluate.harness": "fonderie.evaluate.harness.step:harness",
    "evaluate.gate": "fonderie.evaluate.gate:gate",
    "evaluate.samples": "fonderie.evaluate.samples:samples",
    "release.bundle": "fonderie.release.bundle:bundle",
}


def find_step(name: str) -> Step:
    """The step of that name; RecipeError if there is none."""
    if name not in STEPS:
        close = difflib.get_close_matches(name, STEPS, n=1)
        guess = f"; did you mean '{close[0]}'?" if close else ""
        raise RecipeError(f"there is no step '{name}'{guess}", hint=f"Known: {', '.join(STEPS)}.")
    module, _, attribute = STEPS[name].partition(":")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, Step) or found.name != name:
        raise TypeError(f"{STEPS[name]} is not the step '{name}'")
    return found
