"""train.pretrain: a model from random weights and packed tokens.

    model.safetensors config.json generation_config.json    the final weights, in Hugging Face Llama's names
    log.jsonl loss.svg                                       the loss of every step, and its curve
    parameters.json                                          every size and setting, derived ones included
    checkpoints/step-…/                                      weights, optimizer and random state to go on from

Killed at any moment and run again, it goes on from its last checkpoint and writes the same bytes.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Inputs, Output, Parameters, Port, step
from fonderie.model.config import ModelConfig
from fonderie.tokens.shards import ShardIndex, TokenStream
from fonderie.train.curve import loss_curve
from fonderie.train.duration import Duration, steps_in
from fonderie.train.loader import Batches
from fonderie.train.plan import Plan, Precision
from fonderie.train.schedule import Kind, Schedule
from fonderie.train.seen import DERIVED

Share = Annotated[float, Field(ge=0, le=1)]

SIZES = (
    "width", "heads", "kv_heads", "head_size", "hidden", "rope_theta", "norm_epsilon", "tied_embeddings", "init_std"
)  # fmt: skip
FLOPS_FORMULA = "6 N + 12 L H Q T per token (PaLM, appendix B)"


class PretrainParameters(Parameters):
    """Sizes of the model, how long and how fast it learns. A size left out follows from `depth`."""

    depth: PositiveInt
    """Number of decoder blocks: the one dial. Width is 64 times as large; see model/config.py for the rest."""
    width: PositiveInt | None = None
    """Size of the residual stream."""
    heads: PositiveInt | None = None
    """Query heads per block."""
    kv_heads: PositiveInt | None = None
    """Key-value heads per block."""
    head_size: PositiveInt | None = None
    """Size of one head."""
    hidden: PositiveInt | None = None
    """Inner size of the feed-forward network."""
    rope_theta: PositiveFloat | None = None
    """Base of the rotary position frequencies."""
    norm_epsilon: PositiveFloat | None = None
    """Added to the mean square in RMSNorm."""
    tied_embeddings: bool | None = None
    """Whether the output head is the input embedding table."""
    init_std: PositiveFloat | None = None
    """Standard deviation of the initial weights."""

    context: Annotated[int, Field(ge=2)] = 256
    """Tokens per sequence, in training and after."""
    duration: Duration = "1 epoch"
    """How long to train: "250M tokens", "2 epochs" or "800 steps", rounded up to whole steps."""
    batch: PositiveInt = 16
    """Sequences per optimizer step."""
    accumulation: PositiveInt = 1
    """Micro-batches that a batch is cut into, to save memory. Changes the bits, so it is part of the request."""
    learning_rate: PositiveFloat = 3e-3
    """Peak learning rate, reached at the end of warm-up. The default suits widths of 128 to 256; wider models want
    less (docs/log/0002-demo-hyperparameters.md)."""
    schedule: Kind = "cosine"
    """Shape of the learning rate: "cosine", "wsd", "wsd_linear" or "constant"; see train/schedule.py."""
    warmup: Share = 0.05
    """Share of the steps over which the learning rate rises."""
    decay: Share = 0.2
    """Share of the steps over which it falls, for wsd."""
    final: Share = 0.0
    """Share of the peak learning rate left after the last step."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.95)
    """AdamW's moving averages (Lucie's values)."""
    epsilon: PositiveFloat = 1e-8
    """AdamW's guard against division by zero."""
    weight_decay: NonNegativeFloat = 0.1
    """Of matrices; norms and embeddings are not decayed."""
    clip: PositiveFloat = 1.0
    """Gradients are scaled down to this norm."""
    seed: NonNegativeInt = 0
    """Of the initial weights and of the data order."""
    precision: Precision = "fp32"
    """ "bf16" computes products in half the bits: faster on processors with AMX and on GPUs, slower on others.

    On processors, its bits hold for one number of threads only; those of "fp32" for any."""
    compile: bool = False
    """Compile the decoder block; needs a C++ compiler."""
    checkpoint_every: PositiveInt = 200
    """Steps between checkpoints: what a crash can cost."""
    checkpoints_kept: NonNegativeInt = 1
    """Checkpoints that stay in the artifact, the latest ones."""

    def config_for(self, vocabulary: int) -> ModelConfig:
        """The model's sizes. Raises ValueError if they do not fit together."""
        sizes = {name: getattr(self, name) for name in SIZES}
        return ModelConfig.from_depth(self.depth, vocabulary=vocabulary, context=self.context, **sizes)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.config_for(vocabulary=1)
        if self.accumulation > self.batch:
            raise ValueError(f"accumulation {self.accumulation} is more than the {self.batch} sequences of a batch")
        if self.warmup + (self.decay if self.schedule.startswith("wsd") else 0) > 1:
            raise ValueError(f"warmup {self.warmup} and decay {self.decay} are more than the whole training")
        return self


@step(
    "train.pretrain",
    version=1,
    parameters=PretrainParameters,
    produces="model",
    inputs={"tokens": Port("tokens"), "tokenizer": Port("tokenizer")},
    resumable=True,
)
def pretrain(inputs: Inputs, params: PretrainParameters, out: Output, machine: Machine) -> None:
    """Train, then write the model; statistics hold its size, tokens, steps, FLOPs and final loss."""
    from fonderie.model.convert import save_pretrained
    from fonderie.model.numerics import settle
    from fonderie.model.transformer import Decoder
    from fonderie.train.loop import LOG, train
    from fonderie.train.optim import adamw

    settle(machine.threads)
    stream = TokenStream.open(inputs.one("tokens").path)
    _check_tokenizer(inputs.one("tokenizer"), stream.index)
    batches = Batches(stream, params.context, params.batch, params.seed)
    config, plan = params.config_for(stream.index.vocabulary), _plan(params, batches)
    model = Decoder(config, seed=params.seed).to(machine.device)
    optimizer = adamw(model, betas=params.betas, epsilon=params.epsilon, weight_decay=params.weight_decay)
    clock = time.monotonic()
    with machine.bar("training", plan.schedule.steps, "steps") as bar:
        begun = train(model, optimizer, batches, plan, out.path, aside=out.state, advance=bar.advance)
    seconds = time.monotonic() - clock

    index = stream.index
    save_pretrained(model, out.path, bos=index.bos, eos=(index.eos, index.end), pad=index.eos)
    lines = [json.loads(line) for line in (out.path / LOG).read_text(encoding="utf-8").splitlines()]
    curve = loss_curve([line["tokens"] for line in lines], [line["loss"] for line in lines])
    (out.path / "loss.svg").write_bytes(curve)
    _write_derived(out.path / DERIVED, config, params, plan, batches)
    out.statistics.update(_statistics(config, lines))
    done = (plan.schedule.steps - begun) * params.batch * params.context
    out.measured.update(_measured(seconds, done, begun, machine))


def _plan(params: PretrainParameters, batches: Batches) -> Plan:
    steps = steps_in(params.duration, batch=params.batch, context=params.context, sequences=batches.sequences)
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


def _check_tokenizer(tokenizer: Artifact, index: ShardIndex) -> None:
    """Refuse tokens that another tokenizer made: the model would answer in the wrong alphabet."""
    from fonderie.tokens.tokenizer import Tokenizer

    known = Tokenizer(tokenizer.path)
    if (known.vocabulary, known.bos, known.eos, known.end) != (index.vocabulary, index.bos, index.eos, index.end):
        raise InputError(
            f"the tokens were not made by the tokenizer in {tokenizer.path}",
            hint="Give both calls, the packing and the training, the same `tokenizer` input.",
        )


def _write_derived(
    path: Path, config: ModelConfig, params: PretrainParameters, plan: Plan, batches: Batches
) -> None:
    training = params.model_dump(mode="json", exclude={"depth", *SIZES})
    derived = {
        "model": {**config.model_dump(mode="json"), "parameters": config.parameters},
        "training": {
            **training,
            "steps": plan.schedule.steps,
            "tokens": plan.schedule.steps * params.batch * params.context,
            "sequences_per_epoch": batches.sequences,
        },
    }
    path.write_text(json.dumps(derived, indent=1) + "\n", encoding="utf-8")


def _statistics(config: ModelConfig, lines: list[dict[str, Any]]) -> dict[str, Any]:
    # One step's loss says little: the last twentieth is averaged.
    last = [line["loss"] for line in lines[-max(1, len(lines) // 20) :]]
    tokens = lines[-1]["tokens"]
    return {
        "parameters": config.parameters,
        "steps": len(lines),
        "tokens": tokens,
        "flops": tokens * config.flops_per_token,
        "flops_formula": FLOPS_FORMULA,
        "final_loss": sum(last) / len(last),
        "final_loss_steps": len(last),
    }


def _measured(seconds: float, tokens: int, begun: int, machine: Machine) -> dict[str, Any]:
    import torch

    return {
        "training_seconds": round(seconds, 3),
        "tokens_per_second": round(tokens / seconds, 1),
        "resumed_from_step": begun,
        "threads": machine.threads,
        "device": machine.device,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
