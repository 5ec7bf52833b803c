"""train.pretrain: a model from random weights and packed tokens.

    model.safetensors config.json generation_config.json    the final weights, in Hugging Face Llama's names
    commitment.json                                          tokens, parameters, data order and initial state, named
                                                             before the first step: see commitment.py
    log.jsonl loss.svg                                       the loss of every step, in a chain, and its curve
    parameters.json                                          every size and setting, derived ones included
    checkpoints/step-…/                                      weights, optimizer and random state to go on from

Killed at any moment and run again, it goes on from its last checkpoint and writes the same bytes.
"""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fonderie.core.digest import digest_file
from fonderie.core.errors import InputError, StoreError
from fonderie.core.files import sync_folder, write_atomically
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Inputs, Output, Port, step
from fonderie.model.config import ModelConfig
from fonderie.tokens.shards import ShardIndex, TokenStream
from fonderie.train.commitment import COMMITMENT, LOG, Commitment, LogLine, read_log, shuffle_seed, trees
from fonderie.train.curve import loss_curve
from fonderie.train.parameters import SIZES, PretrainParameters
from fonderie.train.seen import DERIVED
from fonderie.train.training import Training, read_commitment

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from fonderie.model.transformer import Decoder

NAME = "train.pretrain"
VERSION = 2
FLOPS_FORMULA = "6 N + 12 L H Q T per token (PaLM, appendix B)"


@step(
    NAME,
    version=VERSION,
    parameters=PretrainParameters,
    produces="model",
    inputs={"tokens": Port("tokens"), "tokenizer": Port("tokenizer")},
    resumable=True,
)
def pretrain(inputs: Inputs, params: PretrainParameters, out: Output, machine: Machine) -> None:
    """Commit, train, then write the model; statistics hold its size, tokens, steps, FLOPs and final loss."""
    from fonderie.model.convert import save_pretrained
    from fonderie.model.numerics import settle
    from fonderie.train.loop import train

    settle(machine.threads)
    tokenizer, stream = inputs.one("tokenizer"), TokenStream.open(inputs.one("tokens").path)
    _check_tokenizer(tokenizer, stream.index)
    clock = time.monotonic()
    draft = _promise(params, stream, digest_file(tokenizer.path / "tokenizer.json"))
    training = Training.of(params, stream, draft.shuffle_seed)
    model, optimizer = training.fresh(machine.device)
    commitment = _commit(draft, training, model, optimizer, out)
    committed = time.monotonic() - clock
    plan, clock = training.plan, time.monotonic()
    with machine.bar("training", plan.schedule.steps, "steps") as bar:
        begun = train(
            model,
            optimizer,
            training.batches,
            plan,
            out.path,
            aside=out.state,
            head=commitment.digest,
            advance=bar.advance,
        )
    seconds = time.monotonic() - clock

    index = stream.index
    save_pretrained(model, out.path, bos=index.bos, eos=(index.eos, index.end), pad=index.eos)
    lines = read_log((out.path / LOG).read_bytes())
    curve = loss_curve([line.tokens for line in lines], [line.loss for line in lines])
    (out.path / "loss.svg").write_bytes(curve)
    _write_derived(out.path / DERIVED, training)
    out.statistics.update(_statistics(training.config, lines))
    done = (plan.schedule.steps - begun) * params.batch * params.context
    out.measured.update(_measured(seconds, done, begun, machine), commitment_seconds=round(committed, 3))


def _promise(params: PretrainParameters, stream: TokenStream, tokenizer: str) -> Commitment:
    """The commitment, but for the initial state, which needs a model."""
    parameters = params.model_dump(mode="json")
    tokens, offsets = trees(stream.folder, stream.index)
    return Commitment(
        step=NAME,
        version=VERSION,
        parameters=parameters,
        tokenizer=tokenizer,
        tokens=tokens,
        offsets=offsets,
        shuffle_seed=shuffle_seed(tokens.root, params.seed),
        initial_state="",
    )


def _commit(
    draft: Commitment, training: Training, model: "Decoder", optimizer: "Optimizer", out: Output
) -> Commitment:
    """Write checkpoint 0 and the commitment; where a killed training left them, see that they are this one's."""
    from fonderie.train import checkpoint
    from fonderie.train.loop import CHECKPOINTS, begin

    path = out.path / COMMITMENT
    if not path.exists():
        last = checkpoint.latest(out.path / CHECKPOINTS)
        if last is not None and last.name != checkpoint.folder_name(0):
            raise StoreError(
                f"{out.path} holds {last.name}, and no {path.name}", hint=f"Remove {out.path} to start again."
            )
        root = begin(model, optimizer, training.plan, out.path, aside=out.state)
        commitment = draft.model_copy(update={"initial_state": root})
        # By way of `state`: what a crash leaves beside the file would become part of the artifact.
        write_atomically(out.state / COMMITMENT, commitment.to_json().encode("utf-8"))
        (out.state / COMMITMENT).replace(path)
        sync_folder(out.path)
        return commitment
    commitment = read_commitment(path)
    if commitment != draft.model_copy(update={"initial_state": commitment.initial_state}):
        raise StoreError(
            f"{path} commits to another training than this one", hint=f"Remove {out.path} to start again."
        )
    return commitment


def _check_tokenizer(tokenizer: Artifact, index: ShardIndex) -> None:
    """Refuse tokens that another tokenizer made: the model would answer in the wrong alphabet."""
    from fonderie.tokens.tokenizer import Tokenizer

    known = Tokenizer(tokenizer.path)
    if (known.vocabulary, known.bos, known.eos, known.end) != (index.vocabulary, index.bos, index.eos, index.end):
        raise InputError(
            f"the tokens were not made by the tokenizer in {tokenizer.path}",
            hint="Give both calls, the packing and the training, the same `tokenizer` input.",
        )


def _write_derived(path: Path, training: Training) -> None:
    params, config, steps = training.params, training.config, training.plan.schedule.steps
    derived = {
        "model": {**config.model_dump(mode="json"), "parameters": config.parameters},
        "training": {
            **params.model_dump(mode="json", exclude={"depth", *SIZES}),
            "shuffle_seed": training.batches.seed,
            "steps": steps,
            "tokens": steps * params.batch * params.context,
            "sequences_per_epoch": training.batches.sequences,
        },
    }
    path.write_text(json.dumps(derived, indent=1) + "\n", encoding="utf-8")


def _statistics(config: ModelConfig, lines: list[LogLine]) -> dict[str, Any]:
    # One step's loss says little: the last twentieth is averaged.
    last = [line.loss for line in lines[-max(1, len(lines) // 20) :]]
    tokens = lines[-1].tokens
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
