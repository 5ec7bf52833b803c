"""What model.import and tokens.import can be asked. Imports no torch, so that recipes can be checked without it."""

from pydantic import Field, PositiveInt

from fonderie.core.step import Parameters, Policy, RecipePolicy, SourceFiles


class Imported(Parameters):
    """What is said of anything that others made."""

    path: SourceFiles
    """Its files: "models/mistral/*", or hf://OWNER/MODEL@COMMIT the commit whole (HF_ENDPOINT: another hub)."""
    licence: str
    """SPDX identifier of its licence, as its makers state it; one that is not free must also stand in the recipe's
    policy."""
    policy: RecipePolicy = Policy()
    """The recipe's [policy]."""


class ImportModelParameters(Imported):
    """Where a model comes from, and what its makers say of it."""

    name: str = Field(min_length=1, max_length=200)
    """What its makers call it, such as "tiiuae/falcon-7b": cards say it."""
    data: str = ""
    """Where its makers publish the documents it was trained on; empty where they do not. Stated, not checked."""
    context: PositiveInt | None = None
    """Longest sequence, for a model whose config.json does not say it."""
    size: PositiveInt | None = None
    """Number of its weights, a table that is also the head counted once: by this, what goes on from it is priced
    before the files are here; it must be so once they are."""


class ImportTokenizerParameters(Imported):
    """Where a tokenizer comes from."""

    bos: str | None = None
    """The token that begins a document, where tokenizer_config.json does not say it, or says another."""
    eos: str | None = None
    """The token that ends a document, likewise."""
