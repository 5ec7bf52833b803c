"""A training as parameters and tokens settle it before anything is learnt: for its maker, and for an auditor."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import ValidationError

from fonderie.core.errors import InputError
from fonderie.model.config import ModelConfig
from fonderie.tokens.shards import TokenStream
from fonderie.train.commitment import COMMITMENT, Commitment, parse_commitment
from fonderie.train.duration import steps_in
from fonderie.train.loader import Batches
from fonderie.train.parameters import PretrainParameters
from fonderie.train.plan import Plan
from fonderie.train.schedule import Schedule

if TYPE_CHECKING:
    from torch.optim import AdamW

    from fonderie.model.transformer import Decoder


@dataclass(frozen=True)
class Training:
    """Sizes, data order and plan."""

    params: PretrainParameters
    config: ModelConfig
    batches: Batches
    plan: Plan

    @classmethod
    def of(cls, params: PretrainParameters, stream: TokenStream, shuffle_seed: int) -> Self:
        """The training of parameters on a stream; InputError if it is too short for one sequence."""
        batches = Batches(stream, params.context, params.batch, shuffle_seed)
        plan = plan_of(params, batches.sequences)
        return cls(params, params.config_for(stream.index.vocabulary), batches, plan)

    @classmethod
    def committed(cls, commitment: Commitment, tokens: Path) -> Self:
        """The training that a commitment names, on the token shards in a folder.

        InputError if the parameters are none. That the shards are those of the commitment is not checked here.
        """
        return cls.of(parameters_of(commitment), TokenStream.open(tokens), commitment.shuffle_seed)

    def fresh(self, device: str) -> "tuple[Decoder, AdamW]":
        """The model with its initial weights, and its optimizer before the first step."""
        from fonderie.model.transformer import Decoder
        from fonderie.train.optim import adamw

        model = Decoder(self.config, seed=self.params.seed).to(device)
        params = self.params
        optimizer = adamw(model, betas=params.betas, epsilon=params.epsilon, weight_decay=params.weight_decay)
        return model, optimizer


def read_commitment(path: Path) -> Commitment:
    """Read commitment.json; InputError names a file that is none."""
    try:
        return parse_commitment(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is no commitment: {str(error)[:300]}") from error


def parameters_of(commitment: Commitment) -> PretrainParameters:
    """The parameters that a commitment names; InputError if they are those of no training."""
    try:
        return PretrainParameters.model_validate(commitment.parameters)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise InputError(f"{COMMITMENT}: no training has these parameters: {first['msg']}") from error


def plan_of(params: PretrainParameters, sequences: int) -> Plan:
    """What the loop is asked to do, where an epoch has so many sequences."""
    steps = steps_in(params.duration, batch=params.batch, context=params.context, sequences=sequences)
    schedule = Schedule(
        kind=params.schedule,
        steps=steps,
        peak=params.learning_rate,
        warmup=params.warmup,
        decay=params.decay,
        final=params.final,
    )
    return Plan(
        schedule=schedule,
        accumulation=params.accumulation,
        clip=params.clip,
        seed=params.seed,
        precision=params.precision,
        compile=params.compile,
        checkpoint_every=params.checkpoint_every,
        checkpoints_kept=params.checkpoints_kept,
    )
