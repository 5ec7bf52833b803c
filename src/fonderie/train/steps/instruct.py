"""train.instruct: a base learns to answer, from whole conversations; only what the assistant says counts.

Writes what every training does (committed.py). Which targets count follows from the tokens (tokens/examples.py), so
that verify recomputes it, batch by batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import PositiveFloat

from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Port, step
from fonderie.tokens.examples import Examples, conversations_in
from fonderie.tokens.shards import TokenStream
from fonderie.train.committed import saving, train_committed
from fonderie.train.parallel.launch import shared_out
from fonderie.train.record.commitment import Commitment
from fonderie.train.settings.duration import Share
from fonderie.train.steps.held_out import VALIDATION_PORT, HeldOut
from fonderie.train.steps.tuning import Tuning, TuningSettings, fits_base, opened, packed_batches
from fonderie.train.training import NextToken, parameters_of

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from fonderie.model.language_model import LanguageModel

NAME = "train.instruct"
VERSION = 1


class InstructParameters(TuningSettings):
    """How a base is instructed."""

    learning_rate: PositiveFloat = 3e-5
    """Peak learning rate. The default and `final` are Lucie-7B-Instruct's: 3e-5 down to 3e-6; small models want
    more."""
    final: Share = 0.1
    """Share of the peak learning rate left after the last step."""
    packing: bool = True
    """Several conversations share a sequence, none reading another. A model that transformers computes cannot keep
    them apart: false gives each a sequence of its own."""
    texts: bool = False
    """Let plain texts in among the conversations, all of whose tokens count: a share of what the base was trained
    on, so that it forgets less."""

    def examples(self, stream: TokenStream, special: Mapping[str, int]) -> Examples:
        """The conversations of a stream that can be learnt from."""
        return conversations_in(stream, special, room=self.context + 1, long=self.long, texts=self.texts)


instruct_parameters = partial(parameters_of, kind=InstructParameters, what="instruction")
"""The parameters that a commitment names; InputError if they are those of no instruction."""


@dataclass(frozen=True)
class Instruction(NextToken, Tuning):
    """Sizes, conversations and plan of an instruction."""

    params: InstructParameters

    @classmethod
    def of(
        cls, params: InstructParameters, stream: TokenStream, commitment: Commitment, base: Path | None = None
    ) -> Self:
        """The training of parameters on a stream, in the order that a commitment names."""
        assert commitment.special is not None
        examples = params.examples(stream, commitment.special)
        packed, plan = packed_batches(examples, params, commitment.shuffle_seed, together=params.packing)
        return cls(params, packed, plan, base)

    @classmethod
    def committed(cls, commitment: Commitment, tokens: Sequence[Path], base: Path | None = None) -> Self:
        """The training that a commitment names, on the token shards in a folder; InputError if it names none."""
        (folder,) = tokens
        return cls.of(instruct_parameters(commitment), TokenStream.open(folder), commitment, base)

    def fresh(self, device: str) -> "tuple[LanguageModel, Optimizer]":
        """The base in fp32, and an optimizer before its first step."""
        model, optimizer = super().fresh(device)
        if self.params.packing and not model.native:
            raise InputError(
                "transformers computes this base, and cannot keep conversations in one sequence apart",
                hint="Set packing = false.",
            )
        return model, optimizer


@step(
    NAME,
    version=VERSION,
    parameters=InstructParameters,
    produces="model",
    inputs={"model": Port("model"), "tokens": Port("tokens"), "tokenizer": Port("tokenizer"), **VALIDATION_PORT},
    resumable=True,
    upstream=fits_base,
)
@shared_out
def instruct(inputs: Inputs, params: InstructParameters, out: Output, machine: Machine) -> None:
    """Teach a base to answer, from conversations; statistics count them, and the assistant's tokens.

    With an input `validation`, they also say the loss on its conversations, the base's and the model's.
    """
    stream, draft = opened(NAME, VERSION, inputs, params, machine)
    training = Instruction.of(params, stream, draft, inputs.one("model").path)
    held_out = HeldOut.of(inputs, training.packed, params.examples, out)

    def save(model: "LanguageModel", folder: Path) -> None:
        saving(stream.index)(model, folder)
        if held_out is not None:
            out.statistics["held_out"] = held_out.losses(folder, machine)

    out.statistics.update(training.statistics())
    train_committed(training, draft, out, machine, save=save)
