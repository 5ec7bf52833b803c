"""A training as parameters and tokens settle it before anything is learnt: for its maker, and for an auditor."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from fonderie.core.errors import InputError
from fonderie.model.config import ModelConfig
from fonderie.tokens.shards import TokenStream
from fonderie.train.batch import Batch
from fonderie.train.commitment import COMMITMENT, Commitment, parse_commitment
from fonderie.train.duration import steps_in
from fonderie.train.loader import Batches
from fonderie.train.parameters import SIZES, PretrainParameters
from fonderie.train.plan import Phase, Plan
from fonderie.train.ramp import BatchSizes
from fonderie.train.schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from fonderie.model.transformer import Decoder
    from fonderie.train.loop import Part


@dataclass(frozen=True)
class Training:
    """Sizes, data order and plan."""

    params: PretrainParameters
    config: ModelConfig
    data: tuple[Batches, ...]
    """The batches of each phase, by its own steps."""
    plan: Plan

    @classmethod
    def of(cls, params: PretrainParameters, streams: Sequence[TokenStream], shuffle_seeds: Sequence[int]) -> Self:
        """The training of parameters on a stream for each phase; InputError if one is too short for a sequence."""
        plan = plan_of(params, [sequences_in_epoch(stream, params) for stream in streams])
        data = tuple(
            Batches(stream, phase.context, phase.sizes, seed)
            for stream, phase, seed in zip(streams, plan.phases, shuffle_seeds, strict=True)
        )
        return cls(params, params.config_for(streams[0].index.vocabulary), data, plan)

    @classmethod
    def committed(cls, commitment: Commitment, tokens: Sequence[Path]) -> Self:
        """The training that a commitment names, on the token shards in a folder for each phase.

        InputError if the parameters are none. That the shards are those of the commitment is not checked here.
        """
        streams = [TokenStream.open(folder) for folder in tokens]
        return cls.of(parameters_of(commitment), streams, [commitment.shuffle_seed])

    def batches(self, step: int) -> Batch:
        """The batch of a step, counted through the phases."""
        number, own = self.plan.place(step)
        return self.data[number](own)

    def fresh(self, device: str) -> "tuple[Decoder, Optimizer]":
        """The model with its initial weights, and its optimizer before the first step."""
        from fonderie.model.transformer import Decoder
        from fonderie.train.optim import make_optimizer

        model = Decoder(self.config, seed=self.params.seed).to(device)
        return model, make_optimizer(model, self.params)

    def objective(self, model: "Decoder", part: "Part", plan: Plan) -> "Tensor":
        """The loss of a part of a batch, summed over the targets that count."""
        from fonderie.train.loop import next_token

        return next_token(model, part, plan)

    def count(self, batch: Batch) -> int:
        """What the summed loss of a batch is divided by."""
        return batch.counted

    def derived(self) -> dict[str, Any]:
        """Every setting of the training, those included that follow from the tokens."""
        (batches,) = self.data
        return {
            **self.params.model_dump(mode="json", exclude={"depth", *SIZES}),
            "shuffle_seed": batches.seed,
            "steps": self.plan.steps,
            "tokens": self.plan.tokens,
            "sequences_per_epoch": batches.sequences,
        }


def sequences_in_epoch(stream: TokenStream, params: PretrainParameters) -> int:
    """Sequences in one epoch of a stream."""
    return Batches(stream, params.context, BatchSizes(1), 0).sequences


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


def plan_of(params: PretrainParameters, sequences: Sequence[int]) -> Plan:
    """What the loop is asked to do, where an epoch of each phase has so many sequences."""
    steps = steps_in(params.duration, batch=params.batch, context=params.context, sequences=sequences[0])
    schedule = Schedule(
        kind=params.schedule,
        steps=steps,
        peak=params.learning_rate,
        warmup=round(params.warmup * steps),
        decay=round(params.decay * steps),
        final=params.final,
    )
    phase = Phase("main", schedule, BatchSizes(params.batch), params.context, params.accumulation)
    return Plan(
        phases=(phase,),
        clip=params.clip,
        seed=params.seed,
        precision=params.precision,
        compile=params.compile,
        checkpoint_every=params.checkpoint_every,
        checkpoints_kept=params.checkpoints_kept,
    )
