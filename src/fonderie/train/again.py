"""A training as its commitment names it, whichever step it was: for those who check one or do it again.

Imports no torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fonderie.core.errors import InputError
from fonderie.tokens.shards import TokenStream
from fonderie.train.committed import Trainable
from fonderie.train.record.commitment import COMMITMENT, Commitment
from fonderie.train.settings.shared import Settings
from fonderie.train.steps import continued, instruct, prefer, pretrain
from fonderie.train.steps.continued import Continuation, continue_parameters
from fonderie.train.steps.instruct import Instruction, instruct_parameters
from fonderie.train.steps.prefer import Preferring, prefer_parameters
from fonderie.train.steps.tuning import Tuning
from fonderie.train.training import Training, pretrain_parameters


@dataclass(frozen=True)
class Beside:
    """What a training needs beside its tokens, where it is at hand."""

    base: Path | None = None
    """Folder of the model that it went on from: needed for its first step alone."""
    reference: Path | None = None
    """reference.safetensors of a training on preferences."""


@dataclass(frozen=True)
class _Kind:
    """How to read one kind of training."""

    parameters: Callable[[Commitment], Settings]
    training: Callable[[Commitment, Sequence[Path], Beside], Trainable]


_KINDS: Mapping[str, _Kind] = {
    pretrain.NAME: _Kind(
        pretrain_parameters,
        lambda commitment, tokens, beside: Training.committed(commitment, tokens, beside.base),
    ),
    continued.NAME: _Kind(
        continue_parameters,
        lambda commitment, tokens, beside: Continuation.committed(commitment, tokens, beside.base),
    ),
    instruct.NAME: _Kind(
        instruct_parameters,
        lambda commitment, tokens, beside: Instruction.committed(commitment, tokens, beside.base),
    ),
    prefer.NAME: _Kind(
        prefer_parameters,
        lambda commitment, tokens, beside: Preferring.committed(commitment, tokens, beside.base, beside.reference),
    ),
}


def parameters_named(commitment: Commitment) -> Settings:
    """The parameters that a commitment names; InputError if they are those of no training."""
    return _kind(commitment).parameters(commitment)


def training_named(commitment: Commitment, tokens: Sequence[Path], beside: Beside | None = None) -> Trainable:
    """The training that a commitment names, on the token shards in a folder for each phase.

    InputError if it is none, or the reference is another. Whether the shards are those of the commitment is not
    checked here.
    """
    return _kind(commitment).training(commitment, tokens, beside or Beside())


def training_packed(commitment: Commitment, tokens: Path) -> Tuning:
    """The training of whole examples that a commitment names, for its order alone: no reference is needed."""
    stream = TokenStream.open(tokens)
    if commitment.step == prefer.NAME:
        return Preferring.of(prefer_parameters(commitment), stream, commitment)
    return Instruction.of(instruct_parameters(commitment), stream, commitment)


def _kind(commitment: Commitment) -> _Kind:
    if commitment.step not in _KINDS:
        raise InputError(
            f"{COMMITMENT} is of {commitment.step!r}, which is no training that this version knows",
            hint=f"Known: {', '.join(_KINDS)}.",
        )
    return _KINDS[commitment.step]
