"""What instruction and preference training share: a base, whole examples, and the plan; nothing learnt yet.

Both begin from the weights of another model artifact, whose digest is in the commitment, and see only whole
conversations, packed without cross-talk (packing.py). Imports no torch, so that an auditor can recompute batches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from fonderie.core.digest import digest_file
from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Parameters
from fonderie.tokens.conversation import SPECIAL_TOKENS
from fonderie.tokens.examples import Examples, Long
from fonderie.tokens.shards import TokenStream
from fonderie.tokens.tokenizer import Tokenizer
from fonderie.train.data.batch import Batch
from fonderie.train.data.packing import PackedBatches
from fonderie.train.record.commitment import Commitment, phase_data
from fonderie.train.settings.kernels import settle_for
from fonderie.train.settings.plan import Plan
from fonderie.train.settings.pretrain import PretrainParameters
from fonderie.train.settings.ramp import BatchSizes
from fonderie.train.settings.shared import Seed, Settings
from fonderie.train.steps.pretrain import check_tokenizer
from fonderie.train.training import OnBase, plan_of

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from fonderie.model.config import ForeignConfig, ModelConfig
    from fonderie.model.language_model import LanguageModel


class TuningSettings(Settings):
    """Settings of a training that goes on from a base."""

    context: Annotated[int, Field(ge=2)] = 256
    """Tokens per sequence in training, at most the base's context. Several short examples share a sequence."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Of matrices; by default nothing pulls the base's weights to zero."""
    seed: Seed = 0
    """The data order follows from it and from the tokens (see train/record/commitment.py)."""
    long: Long = "stop"
    """A document of more tokens than a sequence holds stops the build, or is dropped or cut, and counted."""


def fits_base(params: TuningSettings, feeding: Mapping[str, tuple[Parameters, ...]]) -> None:
    """ValueError for sequences longer than a base reads that the same recipe trains: said before it is trained."""
    for base in feeding["model"]:
        reads = base.all_phases[-1].context if isinstance(base, PretrainParameters) else params.context
        if params.context > reads:
            raise ValueError(f"context = {params.context:,} is more than the {reads:,} tokens that its base reads")


@dataclass(frozen=True)
class Tuning(OnBase):
    """A training of whole examples on a base; each of its two kinds adds its own objective."""

    params: TuningSettings
    packed: PackedBatches
    plan: Plan
    base: Path | None
    """Folder of the base; None for those who only want batches and plan."""

    def batches(self, step: int) -> Batch:
        """The batch of a step, counted from 1."""
        return self.packed(step)

    @cached_property
    def config(self) -> "ModelConfig | ForeignConfig":
        """The sizes of the base, hence of the model."""
        from fonderie.model.convert import any_config

        return any_config(self._base)

    def fresh(self, device: str) -> "tuple[LanguageModel, Optimizer]":
        """The base in fp32, and an optimizer before its first step; on "meta", the shapes alone."""
        import torch

        from fonderie.model.config import ModelConfig
        from fonderie.model.convert import load_model
        from fonderie.model.transformer import Decoder
        from fonderie.train.optim import make_optimizer

        self._refuse_misfits()
        if device == "meta" and isinstance(self.config, ModelConfig):
            with torch.device("meta"):
                model: LanguageModel = Decoder(self.config)
        else:
            model = load_model(self._base, device="cpu").float().to(device)
        return model, make_optimizer(model, self.params)

    def _refuse_misfits(self) -> None:
        config, vocabulary = self.config, self.packed.examples.stream.index.vocabulary
        if self.params.context > config.context:
            raise InputError(
                f"context = {self.params.context:,} is more than the {config.context:,} tokens that the base reads",
                hint="Give a shorter context, or extend the base's in a phase of its own.",
            )
        if vocabulary > config.vocabulary:
            raise InputError(
                f"the tokenizer has {vocabulary:,} tokens, and the base knows {config.vocabulary:,}",
                hint="Give the tokenizer that the base was trained with, or extend it: tokens.extend.",
            )

    def derived(self) -> dict[str, Any]:
        """Every setting, those included that follow from the tokens."""
        return {
            **self.params.model_dump(mode="json"),
            "steps": self.plan.steps,
            "tokens": self.plan.tokens,
            "packing": {
                "sequences_per_epoch": self.packed.sequences,
                "shuffle_seed": self.packed.seed,
                "special": dict(self.packed.examples.special),
            },
        }

    def statistics(self) -> dict[str, Any]:
        """What became of the documents, and how full the sequences are."""
        examples = self.packed.examples
        held = sum(example.length for example in examples.found)
        return {
            "examples": {**examples.counts, "packed": len(examples.found) // (2 if examples.pairs else 1)},
            "sequences": self.packed.sequences,
            "padding": round(1 - held / (self.packed.sequences * (self.params.context + 1)), 4),
        }


def opened(
    name: str, version: int, inputs: Inputs, params: TuningSettings, machine: Machine
) -> tuple[TokenStream, Commitment]:
    """How both kinds begin: the processor settled, the tokens, and the commitment but for its initial state.

    InputError for a tokenizer without turns, or not that of the tokens.
    """
    settle_for(params, machine)
    stream, tokenizer = TokenStream.open(inputs.one("tokens").path), inputs.one("tokenizer")
    check_tokenizer(tokenizer, stream.index)
    known = Tokenizer(tokenizer.path)
    if not known.has_turns:
        raise InputError(
            f"the tokenizer in {tokenizer.path} has no tokens for the turns of a conversation",
            hint="Add them with tokens.extend (conversation = true), and give the model that it makes.",
        )
    (data,) = phase_data([stream], params.seed)
    draft = Commitment(
        step=name,
        version=version,
        parameters=params.model_dump(mode="json"),
        tokenizer=digest_file(tokenizer.path / "tokenizer.json"),
        **dict(data),
        initial_state="",
        base=inputs.one("model").digest,
        special={token: known.special[token] for token in SPECIAL_TOKENS},
    )
    return stream, draft


def packed_batches(
    examples: Examples, params: TuningSettings, shuffle_seed: int, *, together: bool = True
) -> tuple[PackedBatches, Plan]:
    """The batches of examples, and the plan that follows from their number."""
    packed = PackedBatches(examples, params.context, BatchSizes(1), shuffle_seed, together)
    plan = plan_of(params, [packed.sequences])
    return packed.with_(sizes=plan.phases[0].sizes), plan
