"""train.continue: a base goes on learning from packed tokens, in full or by a low-rank adapter.

The base is any model artifact: one of ours, or one that model.import brought. Writes what every training does
(committed.py), and besides

    adapter/             the adapter in peft's format, where there is one; model.safetensors has it merged
    validation.jsonl     what early stopping measured: see stopping.py

Its commitment names the base by its digest, and its initial state is the base's weights (an adapter's own, where
there is one), so that whoever has the base can replay the training from its beginning, and whoever has not, from
every later checkpoint; a training of an adapter needs the base for any of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fonderie.core.digest import digest_file
from fonderie.core.errors import InputError, UsageError
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Port, step
from fonderie.model.config import ForeignConfig, ModelConfig
from fonderie.tokens.shards import TokenStream
from fonderie.train.committed import saving, train_committed
from fonderie.train.data.loader import Batches
from fonderie.train.parallel.launch import shared_out
from fonderie.train.record.commitment import Commitment, phase_data
from fonderie.train.settings.continued import ContinueParameters, fits
from fonderie.train.settings.kernels import settle_for
from fonderie.train.settings.plan import Plan
from fonderie.train.steps.pretrain import streams_of
from fonderie.train.training import OnBase, Phased, parameters_of, read_phases
from fonderie.train.view.mix import mix_of

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from fonderie.model.language_model import LanguageModel
    from fonderie.train.validation import Stopping

NAME = "train.continue"
VERSION = 1
LORA_FLOPS_FORMULA = "4 N + 6 n + 12 L H Q T per token: no gradients of the N frozen weights, n in the adapter"


continue_parameters = partial(parameters_of, kind=ContinueParameters, what="continuation")
"""The parameters that a commitment names; InputError if they are those of no continuation."""


@dataclass(frozen=True)
class Continuation(Phased, OnBase):
    """Sizes, data order and plan of a training that goes on from a base."""

    params: ContinueParameters
    data: tuple[Batches, ...]
    """The batches of each phase, by its own steps."""
    plan: Plan
    base: Path | None
    """Folder of the base; None for those who only want batches and plan."""

    @classmethod
    def of(
        cls,
        params: ContinueParameters,
        streams: Sequence[TokenStream],
        shuffle_seeds: Sequence[int],
        base: Path | None = None,
    ) -> Self:
        """The training of parameters on a stream for each phase."""
        return cls(params, *read_phases(params, streams, shuffle_seeds), base)

    @classmethod
    def committed(cls, commitment: Commitment, tokens: Sequence[Path], base: Path | None = None) -> Self:
        """The training that a commitment names, on the token shards in a folder for each phase."""
        streams = [TokenStream.open(folder) for folder in tokens]
        seeds = [data.shuffle_seed for data in commitment.data]
        return cls.of(continue_parameters(commitment), streams, seeds, base)

    @cached_property
    def config(self) -> ModelConfig | ForeignConfig:
        """The sizes of the base, with the context and the rotary base of the last phase where they differ."""
        from fonderie.model.convert import any_config

        config, last = any_config(self._base), self.params.all_phases[-1]
        assert last.context is not None
        if isinstance(config, ForeignConfig):
            return config
        theta = last.rope_theta or config.rope_theta
        return config.model_copy(update={"context": max(config.context, last.context), "rope_theta": theta})

    def fresh(self, device: str) -> "tuple[LanguageModel, Optimizer]":
        """The base, or an adapter on it, and an optimizer before its first step; on "meta", the shapes alone."""
        import torch

        from fonderie.model.convert import load_model
        from fonderie.model.transformer import Decoder
        from fonderie.train.optim import make_optimizer
        from fonderie.train.steps.lora import Adapted

        config, lora = self.config, self.params.lora
        self._refuse_misfits(config)
        if device == "meta":
            if isinstance(config, ForeignConfig):
                raise UsageError(
                    f"a base that transformers computes ({config.family}) is trained by one process",
                    hint="Leave out --processes.",
                )
            with torch.device("meta"):
                model: LanguageModel = Decoder(config)
            return model, make_optimizer(model, self.params)
        model = load_model(self._base)
        # An adapter leaves a base that is read in bf16 as it is: half the memory, and no weight of it changes.
        if lora is None or self.params.precision == "fp32":
            model = model.float()
        if isinstance(config, ModelConfig):
            model.reposition(config.context, config.rope_theta)
        if lora is not None:
            model = Adapted(model, lora, seed=self.params.seed)
        model = model.to(device)
        return model, make_optimizer(model, self.params)

    def _refuse_misfits(self, config: ModelConfig | ForeignConfig) -> None:
        """InputError for what this base cannot do, before anything is learnt."""
        vocabulary = max(batches.stream.index.vocabulary for batches in self.data)
        if vocabulary > config.vocabulary:
            raise InputError(
                f"the tokenizer has {vocabulary:,} tokens, and the base knows {config.vocabulary:,}",
                hint="Give the tokenizer that the base was trained with, or extend the model: tokens.extend.",
            )
        if isinstance(config, ModelConfig):
            return
        params = self.params
        longest = max(phase.context or 0 for phase in params.all_phases)
        asked = {
            f"context = {longest}": longest > config.context,
            "rope_theta": any(phase.rope_theta for phase in params.all_phases),
            "compile = true": params.compile,
            "intra_document = true": params.intra_document,
            'optimizer = "muon"': params.optimizer == "muon",
        }
        wrong = [name for name, given in asked.items() if given]
        if wrong:
            raise InputError(
                f"the base is a {config.family}, which transformers computes, and it does no {', no '.join(wrong)}",
                hint="Families that our decoder computes can: llama, mistral, olmo2, qwen2, qwen3.",
            )


@step(
    NAME,
    version=VERSION,
    parameters=ContinueParameters,
    produces="model",
    inputs={
        "model": Port("model"),
        "tokens": Port("tokens", many=True),
        "tokenizer": Port("tokenizer"),
        "validation": Port("documents", many=True, optional=True),
    },
    resumable=True,
    wiring=fits,
)
@shared_out
def continue_training(inputs: Inputs, params: ContinueParameters, out: Output, machine: Machine) -> None:
    """Commit to base and data, train, then write the model, an adapter merged into it."""
    settle_for(params, machine)
    tokenizer, base = inputs.one("tokenizer"), inputs.one("model")
    streams = streams_of(inputs, params, tokenizer)
    first, *further = phase_data(streams, params.seed)
    draft = Commitment(
        step=NAME,
        version=VERSION,
        parameters=params.model_dump(mode="json"),
        tokenizer=digest_file(tokenizer.path / "tokenizer.json"),
        **dict(first),
        further=tuple(further) or None,
        initial_state="",
        base=base.digest,
    )
    training = Continuation.of(params, streams, [data.shuffle_seed for data in draft.data], base.path)
    stopping = _stopping(inputs, params, training, out)

    def save(model: "LanguageModel", folder: Path) -> None:
        if params.lora is not None:
            out.statistics["trained_parameters"] = sum(weight.numel() for weight in model.parameters())
        _save(model, folder, training, stopping, base_name=str(base.manifest.statistics.get("name", base.digest)))

    mix = mix_of(training.plan, training.data)
    train_committed(training, draft, out, machine, save=save, mix=mix, stopping=stopping)
    if stopping is not None:
        decided = stopping.decision
        out.statistics.update(
            best_step=decided.best_step,
            stopped_groups=list(decided.stopped),
            validation={one.step: one.losses for one in stopping.measured}[decided.best_step],
        )
    if params.lora is not None:
        counted = _lora_flops(training, out)
        share = counted["flops"] / out.statistics["flops"]
        out.statistics.update(counted)
        # The loop counted as if all weights had gradients; what was computed, and the share of the peak, follow.
        out.measured["flops_computed"] = round(out.measured["flops_computed"] * share)
        if "mfu" in out.measured:
            out.measured["mfu"] = round(out.measured["mfu"] * share, 4)


def _stopping(inputs: Inputs, params: ContinueParameters, training: Continuation, out: Output) -> "Stopping | None":
    if params.early_stopping is None:
        return None
    from fonderie.train.validation import Stopping, encode

    documents = encode(inputs.all("validation"), inputs.one("tokenizer").path)
    context = min(phase.context for phase in training.plan.phases)
    return Stopping(params.early_stopping, documents, training.plan, out.path, out.state, context)


def _save(
    model: "LanguageModel", folder: Path, training: Continuation, stopping: "Stopping | None", *, base_name: str
) -> None:
    """Write the final weights: those of the best measurement, with the adapter merged."""
    from fonderie.train.record import checkpoint
    from fonderie.train.record.journal import CHECKPOINTS
    from fonderie.train.steps.lora import Adapted, merged, save_adapter

    if stopping is not None:
        best = folder / CHECKPOINTS / checkpoint.folder_name(stopping.decision.best_step)
        model.load_state_dict(checkpoint.load(best).tensors["model"])
    config = training.config
    if isinstance(config, ModelConfig):
        model.reposition(config.context, config.rope_theta)
    if isinstance(model, Adapted):
        save_adapter(model, folder, base_name=base_name)
        model = merged(model)
    saving(training.data[0].stream.index)(model, folder)


def _lora_flops(training: Continuation, out: Output) -> dict[str, Any]:
    """FLOPs of a training whose base is frozen: its weights take part in both passes, but have no gradients."""
    config, tokens, size = training.config, out.statistics["tokens"], out.statistics["trained_parameters"]
    looked_up = 0 if config.tied_embeddings else config.vocabulary * config.width
    saved = 2 * (config.parameters - looked_up) - 6 * size
    return {
        "flops": out.statistics["flops"] - saved * tokens,
        "flops_formula": LORA_FLOPS_FORMULA,
    }
