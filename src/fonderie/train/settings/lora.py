"""What a low-rank adaptation can be asked. Imports no torch, so that recipes can be checked without it."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from fonderie.core.step import Parameters

ADAPTER = "adapter"
"""The folder of a model artifact that holds the adapter, in peft's format and names."""
Target = Literal["attention", "feed_forward", "head"]


class LoraParameters(Parameters):
    """Low-rank adaptation (arXiv 2106.09685): the base is frozen, and each matrix W becomes W + alpha / rank · B A.

    Where our decoder holds several projections in one matrix, as Falcon does, they share one A."""

    rank: PositiveInt = 16
    """Columns of B and rows of A (Claire's value)."""
    alpha: PositiveFloat = 32.0
    """What B A is scaled by, times the rank (Claire's value)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of A's inputs that are zeroed in training (Claire's value)."""
    targets: Annotated[tuple[Target, ...], Field(min_length=1)] = ("attention", "feed_forward", "head")
    """Which matrices; Claire adapts all of them. An adapted head is no longer tied to the embedding table."""
