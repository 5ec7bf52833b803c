"""A training as parameters and tokens settle it before anything is learnt: for its maker, and for an auditor."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from pydantic import ValidationError

from fonderie.core.errors import InputError
from fonderie.model.config import ModelConfig
from fonderie.tokens.shards import TokenStream
from fonderie.train.data.batch import Batch
from fonderie.train.data.loader import Batches
from fonderie.train.record.commitment import COMMITMENT, Commitment, parse_commitment
from fonderie.train.settings.plan import Plan
from fonderie.train.settings.pretrain import SIZES, PretrainParameters
from fonderie.train.settings.ramp import BatchSizes
from fonderie.train.settings.shared import PhasedSettings, Settings

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from fonderie.model.language_model import LanguageModel
    from fonderie.train.loop import Part

AnyParameters = TypeVar("AnyParameters", bound=Settings)


class NextToken:
    """What a training learns from: each token after those before it, where it counts."""

    def objective(self, model: "LanguageModel", part: "Part", plan: Plan) -> "Tensor":
        """The loss of a part of a batch, summed over the targets that count."""
        from fonderie.train.loop import next_token

        return next_token(model, part, plan)

    def count(self, batch: Batch) -> int:
        """What the summed loss of a batch is divided by."""
        return batch.counted


class Phased(NextToken):
    """What a training in phases has of its order and its settings, whatever it begins from."""

    params: PhasedSettings
    data: tuple[Batches, ...]
    plan: Plan
    follows: ClassVar[frozenset[str]] = frozenset({"phases"})
    """Parameters that are written elsewhere, as what follows from them."""

    def batches(self, step: int) -> Batch:
        """The batch of a step, counted through the phases."""
        number, own = self.plan.place(step)
        return self.data[number](own)

    def derived(self) -> dict[str, Any]:
        """Every setting of the training, those included that follow from the tokens."""
        return {
            **self.params.model_dump(mode="json", exclude=set(self.follows)),
            "steps": self.plan.steps,
            "tokens": self.plan.tokens,
            "phases": derived_phases(self.plan, self.data),
        }


class OnBase:
    """What a training that goes on from another model asks of it."""

    base: Path | None

    @property
    def _base(self) -> Path:
        if self.base is None:
            raise InputError(
                "the base that this training goes on from is not here", hint="Give its folder: --base."
            )
        return self.base


@dataclass(frozen=True)
class Training(Phased):
    """Sizes, data order and plan."""

    params: PretrainParameters
    config: ModelConfig
    data: tuple[Batches, ...]
    """The batches of each phase, by its own steps."""
    plan: Plan
    drawn: bool = True
    """Whether the weights it begins from are drawn from the seed, and not those of another model."""
    initial: Path | None = None
    """Folder of that model; needed for the first step alone."""
    follows = frozenset({"depth", "phases", *SIZES})

    @classmethod
    def of(cls, params: PretrainParameters, streams: Sequence[TokenStream], shuffle_seeds: Sequence[int]) -> Self:
        """The training of parameters on a stream for each phase; InputError if one is too short for a sequence."""
        data, plan = read_phases(params, streams, shuffle_seeds)
        return cls(params, params.config_for(streams[0].index.vocabulary), data, plan)

    @classmethod
    def committed(cls, commitment: Commitment, tokens: Sequence[Path], initial: Path | None = None) -> Self:
        """The training that a commitment names, on the token shards in a folder for each phase.

        InputError if the parameters are none. That the shards are those of the commitment is not checked here.
        """
        streams = [TokenStream.open(folder) for folder in tokens]
        settled = cls.of(pretrain_parameters(commitment), streams, [data.shuffle_seed for data in commitment.data])
        return replace(settled, drawn=commitment.base is None, initial=initial)

    def fresh(self, device: str) -> "tuple[LanguageModel, Optimizer]":
        """The model with its initial weights, its optimizer before the first step; on "meta", the shapes alone."""
        import torch

        from fonderie.model.transformer import Decoder
        from fonderie.train.optim import make_optimizer

        if device == "meta":
            with torch.device("meta"):
                model: LanguageModel = Decoder(self.config)
        elif self.drawn:
            model = Decoder(self.config, seed=self.params.seed).to(device)
        else:
            model = self._given().to(device)
        return model, make_optimizer(model, self.params)

    def _given(self) -> "LanguageModel":
        """The weights of another model, which must have these sizes; its context and rotary base may be others."""
        from fonderie.model.convert import load_pretrained
        from fonderie.model.transformer import Decoder

        if self.initial is None:
            raise InputError(
                "this training began with the weights of another model, which is not here",
                hint="Give its folder: fonderie replay … --base DIR",
            )
        found = load_pretrained(self.initial)
        positions = {"context": self.config.context, "rope_theta": self.config.rope_theta}
        if found.config.model_copy(update={**positions, "init_std": self.config.init_std}) != self.config:
            raise InputError(
                f"the model in {self.initial} has other sizes than this training asks for",
                hint="Give the same depth, widths and vocabulary, or leave the input `model` out.",
            )
        model = Decoder(self.config)
        model.load_state_dict(found.state_dict())
        return model


def read_phases(
    params: PhasedSettings, streams: Sequence[TokenStream], shuffle_seeds: Sequence[int]
) -> tuple[tuple[Batches, ...], Plan]:
    """The batches of each phase, and the plan; InputError for a stream shorter than a sequence.

    One stream for each phase, in order.
    """
    alone = BatchSizes(1)
    contexts = [phase.context for phase in params.all_phases]
    epochs = [Batches(*read, alone, 0).sequences for read in zip(streams, contexts, strict=True)]
    plan = plan_of(params, epochs)
    goldfish = None if params.goldfish_every is None else (params.goldfish_every, params.goldfish_context)
    data = tuple(
        Batches(
            stream,
            phase.context,
            phase.sizes,
            seed,
            begins=stream.index.bos if params.intra_document else None,
            goldfish=goldfish,
        )
        for stream, phase, seed in zip(streams, plan.phases, shuffle_seeds, strict=True)
    )
    return data, plan


def derived_phases(plan: Plan, data: Sequence[Batches]) -> list[dict[str, Any]]:
    """What settles each phase's order, for parameters.json: by it, anyone can tell which step saw which token."""
    return [
        {
            "name": phase.name,
            "first_step": end - phase.steps + 1,
            "steps": phase.steps,
            "tokens": phase.tokens_until(phase.steps),
            "context": phase.context,
            "rope_theta": phase.rope_theta,
            "batch": asdict(phase.sizes),
            "shuffle_seed": batches.seed,
            "sequences_per_epoch": batches.sequences,
        }
        for phase, end, batches in zip(plan.phases, plan.ends, data, strict=True)
    ]


def read_commitment(path: Path) -> Commitment:
    """Read commitment.json; InputError names a file that is none."""
    try:
        return parse_commitment(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is no commitment: {str(error)[:300]}") from error


def parameters_of(commitment: Commitment, kind: type[AnyParameters], what: str = "training") -> AnyParameters:
    """The parameters that a commitment names; InputError if they are those of no such training."""
    try:
        return kind.model_validate(commitment.parameters)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise InputError(f"{COMMITMENT}: no {what} has these parameters: {first['msg']}") from error


pretrain_parameters = partial(parameters_of, kind=PretrainParameters)
"""The parameters that a commitment names; InputError if they are those of no training from scratch."""


def plan_of(params: Settings, sequences: Sequence[int]) -> Plan:
    """What the loop is asked to do, where an epoch of each phase has so many sequences; InputError if it cannot."""
    try:
        phases = tuple(stretch.settle(epoch) for stretch, epoch in zip(params.all_phases, sequences, strict=True))
    except ValueError as error:
        raise InputError(f"the training cannot be planned: {error}") from error
    return Plan(
        phases=phases,
        clip=params.clip,
        seed=params.seed,
        precision=params.precision,
        compile=params.compile,
        fp8=params.fp8,
        deterministic=params.deterministic,
        portable=params.portable,
        checkpoint_every=params.checkpoint_every,
        checkpoints_kept=None if params.checkpoints_kept == "all" else params.checkpoints_kept,
        checkpoint_dense_until=params.checkpoint_dense_until,
        z_loss=params.z_loss,
    )
