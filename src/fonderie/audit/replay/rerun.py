"""One stretch of a training done again: here, or in a process of its own whose kernels sum in another order.

A process reads its job as JSON on standard input and answers on standard output; the end weights lie in its scratch
folder. Which kernels a process uses is settled at its first product, so every variation needs a fresh one.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict
from safetensors.numpy import load_file

from fonderie.audit.replay.tolerance import Weights
from fonderie.core.apart import must_run_apart
from fonderie.core.environment import PORTABLE_KERNELS, instruction_sets
from fonderie.core.errors import StepError, StoreError
from fonderie.core.machine import Machine
from fonderie.train.again import Beside, training_named
from fonderie.train.record.commitment import LogLine
from fonderie.train.training import read_commitment

if TYPE_CHECKING:
    from fonderie.train.committed import Trainable

CONTROL_RATE = 1.01
"""Factor on the learning rate of the control that a tolerance must reject."""


class Job(BaseModel):
    """A stretch, and how to go about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    commitment: Path
    tokens: tuple[Path, ...]
    """The token shards of each phase."""
    start: Path | None
    """Folder of the checkpoint to begin from; None: the initial weights, drawn anew or read from the base."""
    base: Path | None = None
    """Folder of the model that the training went on from; with a checkpoint, of any model of its sizes."""
    reference: Path | None = None
    """reference.safetensors of a training on preferences."""
    until: int
    head: str
    """The chain's value after the step of `start`."""
    scratch: Path
    threads: int
    device: str
    accumulation: int | None = None
    """Micro-batches, where other than the recipe's: another order of sums."""
    rate: float = 1.0
    """Factor on the learning rate; 1 is honest."""
    other_kernels: bool = False
    """On other kernels than a portable training asks for: then the bits are not to be expected."""


@dataclass(frozen=True)
class Rerun:
    """What a stretch came to."""

    start_root: str
    end_root: str
    lines: tuple[LogLine, ...]
    weights: Path
    """File of the end weights, by our names."""


def rerun(job: Job, advance: Callable[[int, str], None] = lambda _count, _note: None) -> Rerun:
    """Do a job in this process; raises what `retrain` raises."""
    from fonderie.train.segment import retrain

    beside = Beside(job.base, job.reference)
    # Every training is a dataclass with a plan, whatever its kind.
    training: Any = training_named(read_commitment(job.commitment), job.tokens, beside)
    plan = training.plan
    if job.accumulation is not None:
        plan = plan.with_accumulation(job.accumulation)
    plan = replace(plan, rate_factor=job.rate, portable=plan.portable and not job.other_kernels)
    done = retrain(
        replace(training, plan=plan),
        job.start,
        job.until,
        head=job.head,
        scratch=job.scratch,
        machine=Machine(threads=job.threads, device=job.device),
        advance=advance,
    )
    return Rerun(done.start.root, done.end.root, done.lines, done.end.path / "model.safetensors")


def perform(
    job: Job, variables: Mapping[str, str], advance: Callable[[int, str], None] = lambda _count, _note: None
) -> Rerun:
    """Do a job in a process that began with these variables: in this one, if it did."""
    if not must_run_apart(variables):
        return rerun(job, advance)
    done = rerun_apart(job, variables)
    advance(len(done.lines), "")
    return done


def rerun_apart(job: Job, environment: Mapping[str, str]) -> Rerun:
    """Do a job in a process of its own, with these variables added.

    StoreError for a damaged checkpoint, as `rerun` raises it; StepError with what the process said for the rest.
    """
    done = subprocess.run(
        [sys.executable, "-m", "fonderie.audit.replay.rerun"],
        input=job.model_dump_json(),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise StepError(f"a repeat of the segment until step {job.until} failed: {last}")
    answer = json.loads(done.stdout.splitlines()[-1])
    if "damaged" in answer:
        raise StoreError(answer["damaged"], hint=answer["hint"])
    return Rerun(
        start_root=answer["start_root"],
        end_root=answer["end_root"],
        lines=tuple(LogLine.model_validate(line) for line in answer["lines"]),
        weights=Path(answer["weights"]),
    )


def flat(path: Path) -> Weights:
    """All weights of a file as one array, in the order of their names."""
    tensors = load_file(path)
    return np.concatenate([tensors[name].ravel() for name in sorted(tensors)]).astype(np.float32)


def variations(training: "Trainable", machine: Machine) -> dict[str, tuple[dict[str, Any], dict[str, str]]]:
    """Honest ways to make the same sums in another order: changes to the job, and variables for its process.

    In fp32 another number of threads changes nothing (numerics.settle); in bf16 it does. GPUs have no second set of
    kernels to ask for, so only the micro-batches vary there.
    """
    found: dict[str, tuple[dict[str, Any], dict[str, str]]] = {}
    same = asked_of(training, machine)
    other = {"other_kernels": True} if same else {}
    used, most = {phase.accumulation for phase in training.plan.phases}, training.plan.smallest_batch
    for parts in sorted({1, 2, 4, most} - used):
        if parts <= most:
            found[f"{parts} micro-batches"] = ({"accumulation": parts}, same)
    if machine.device == "cpu":
        matrix, vector = {"MKL_CBWR": _other_matrix_kernels()}, {"ATEN_CPU_CAPABILITY": _other_vector_kernels()}
        found["other matrix products (MKL)"] = (other, {**same, **matrix})
        found["other element-wise operations (ATen)"] = (other, {**same, **(ELEMENTWISE if same else vector)})
        if training.plan.precision == "bf16":
            threads = 1 if machine.threads > 1 else 2
            found[f"{threads} threads"] = ({"threads": threads}, {})
    return found


ELEMENTWISE = {"ATEN_CPU_CAPABILITY": "default"}
"""The other element-wise operations where those for AVX2 are the training's own."""


def asked_of(training: "Trainable", machine: Machine) -> dict[str, str]:
    """What a process must begin with to repeat a training to the bit: nothing, unless it is portable.

    Where a portable training's kernels cannot be had, on a GPU or without AVX2, nothing is asked for either, and a
    replay compares within a tolerance.
    """
    possible = machine.device == "cpu" and "avx2" in instruction_sets()
    return dict(PORTABLE_KERNELS) if training.plan.portable and possible else {}


def _other_matrix_kernels() -> str:
    used = os.environ.get("MKL_CBWR", "")
    return "AUTO,STRICT" if used.startswith("COMPATIBLE") else "COMPATIBLE"


def _other_vector_kernels() -> str:
    import torch

    return "avx2" if torch.backends.cpu.get_cpu_capability() == "DEFAULT" else "default"


def main() -> None:
    """Read a job, do it, answer."""
    try:
        done = rerun(Job.model_validate_json(sys.stdin.read()))
    except StoreError as error:
        sys.stdout.write(json.dumps({"damaged": error.message, "hint": error.hint}) + "\n")
        return
    answer = {
        "start_root": done.start_root,
        "end_root": done.end_root,
        "lines": [line.model_dump() for line in done.lines],
        "weights": str(done.weights),
    }
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
