"""Makers of releases, honest and not: a whole tiny build whose training step may lie.

A dishonest maker controls everything it publishes, so each forgery is made inside the step: every hash, manifest and
chain of the release is then right, and only what really happened differs from what is claimed.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluate.small import RECIPE, find_step, write_letters

from fonderie.core.digest import digest_json
from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.run import run_recipe
from fonderie.core.step import Inputs, Output, Step
from fonderie.core.store import Store
from fonderie.tokens.shards import TokenStream
from fonderie.train.data.batch import Batch, batch_hash
from fonderie.train.data.loader import Batches
from fonderie.train.record.commitment import COMMITMENT, LOG, LogLine, extend, parse_commitment, read_log
from fonderie.train.settings.pretrain import PretrainParameters
from fonderie.train.steps import pretrain as honest
from fonderie.train.training import Training

STEPS, EVERY = 40, 10
LONGER = (
    f'base.duration="{STEPS} steps"',
    f"base.checkpoint_every={EVERY}",
    f"base.checkpoints_kept={STEPS // EVERY}",
    "base.learning_rate=1e-3",
)

Maker = Callable[[Inputs, PretrainParameters, Output, Machine], None]


def make(folder: Path, maker: Maker | None = None, *overrides: str, recipe: tuple[str, str] = ("", "")) -> Path:
    """Build a release, some of the recipe's text replaced by other; the folder that was published."""
    step = find_step("train.pretrain")
    trained = step if maker is None else replace(step, function=maker)

    def find(name: str) -> Step:
        return trained if name == step.name else find_step(name)

    write_letters(folder / "letters")
    path = folder / "toy.toml"
    path.write_text(RECIPE.replace(*recipe), encoding="utf-8")
    result = run_recipe(load_recipe(path, (*LONGER, *overrides), find), Store(folder / "store"), Machine())
    return result.artifacts["release"].path


@contextmanager
def training_altered(alter: Callable[[Training], Training]) -> Iterable[None]:
    """Within it, train.pretrain does another training than the one it commits to."""

    @dataclass(frozen=True)
    class Altered(Training):
        @classmethod
        def of(
            cls, params: PretrainParameters, streams: Sequence[TokenStream], shuffle_seeds: Sequence[int]
        ) -> Training:
            return alter(Training.of(params, streams, shuffle_seeds))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(honest, "Training", Altered)
        yield


def rewrite_log(folder: Path, change: Callable[[LogLine], LogLine]) -> None:
    """Forge the log, and recompute its chain, in the checkpoints too, so that it holds."""
    head = parse_commitment((folder / COMMITMENT).read_bytes()).digest
    forged = []
    for line in map(change, read_log((folder / LOG).read_bytes())):
        head = extend(head, line.step, line.batch, line.loss, line.checkpoint)
        forged.append(line.model_copy(update={"chain": head}))
    (folder / LOG).write_text("".join(line.to_json() + "\n" for line in forged), encoding="utf-8")
    for path in (folder / "checkpoints").glob("step-*/state.json"):
        state = json.loads(path.read_bytes())
        del state["digest"]
        until = forged[: state["step"]]
        log_bytes = sum(len(line.to_json()) + 1 for line in until)
        state["facts"] |= {"chain": until[-1].chain, "log_bytes": log_bytes}
        path.write_text(json.dumps({**state, "digest": digest_json(state)}, indent=1, sort_keys=True) + "\n")


def claim_honest_batches(folder: Path, params: PretrainParameters, stream: TokenStream) -> None:
    """Have the log name the batches that an honest training would have taken."""

    commitment = parse_commitment((folder / COMMITMENT).read_bytes())
    claimed = Training.of(params, [stream], [commitment.shuffle_seed])
    rewrite_log(folder, lambda line: line.model_copy(update={"batch": batch_hash(claimed.batches(line.step))}))


def lie_about_batches(alter: Callable[[Batches], Batches]) -> Maker:
    """A maker that trains on other batches, and logs those it should have taken."""

    def maker(inputs: Inputs, params: PretrainParameters, out: Output, machine: Machine) -> None:
        with training_altered(lambda training: replace(training, data=tuple(map(alter, training.data)))):
            honest.pretrain(inputs, params, out, machine)
        claim_honest_batches(out.path, params, TokenStream.open(inputs.one("tokens").path))

    return maker


def faster(inputs: Inputs, params: PretrainParameters, out: Output, machine: Machine) -> None:
    """The learning rate is 1 % higher than claimed."""

    def alter(training: Training) -> Training:
        return replace(training, plan=replace(training.plan, rate_factor=1.01))

    with training_altered(alter):
        honest.pretrain(inputs, params, out, machine)


@dataclass(frozen=True)
class Skipping(Batches):
    """One batch is left out, and the rest move up."""

    def __call__(self, step: int) -> Batch:
        return super().__call__(step if step < 2 * EVERY + 3 else step + 1)


def skip(batches: Batches) -> Batches:
    """The same batches, but for one."""
    return Skipping(batches.stream, batches.context, batches.sizes, batches.seed)


@dataclass(frozen=True)
class Swapped(Batches):
    """The ids of another shard: every word is another one."""

    def __call__(self, step: int) -> Batch:
        ids = super().__call__(step).ids
        return Batch(np.where(ids > 10, 301 - ids % 290, 1))


def swap_shard(batches: Batches) -> Batches:
    """Batches of the same shape from another text."""
    return Swapped(batches.stream, batches.context, batches.sizes, batches.seed)


def flatter(inputs: Inputs, params: PretrainParameters, out: Output, machine: Machine) -> None:
    """The log shows losses a thousandth lower than they were."""
    honest.pretrain(inputs, params, out, machine)
    rewrite_log(out.path, lambda line: line.model_copy(update={"loss": line.loss * 0.999}))


def another_seed(inputs: Inputs, params: PretrainParameters, out: Output, machine: Machine) -> None:
    """The checkpoint of step 20 is one of a run with another seed, and the chain says so too."""
    other = Output(out.state / "other", out.state / "other-state")
    for folder in (other.path, other.state):
        folder.mkdir(parents=True)
    honest.pretrain(inputs, params.model_copy(update={"seed": params.seed + 1}), other, machine)
    honest.pretrain(inputs, params, out, machine)
    name = f"checkpoints/step-{2 * EVERY:08d}"
    for path in (other.path / name).iterdir():
        (out.path / name / path.name).write_bytes(path.read_bytes())
    root = json.loads((other.path / name / "state.json").read_bytes())["root"]
    rewrite_log(
        out.path,
        lambda line: line.model_copy(update={"checkpoint": root}) if line.step == 2 * EVERY else line,
    )
