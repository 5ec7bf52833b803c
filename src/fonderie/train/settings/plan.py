"""What the training loop is asked to do. Imports no torch, so that recipes can be checked without it."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Literal, Self

from fonderie.train.settings.ramp import BatchSizes
from fonderie.train.settings.schedule import Schedule

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Phase:
    """A stretch of a training with one schedule, one context and one mix of documents."""

    name: str
    schedule: Schedule
    """Learning rates and number of steps; it counts the phase's own, from 1."""
    sizes: BatchSizes
    """Sequences of each of the phase's own steps."""
    context: int
    """Inputs of each sequence."""
    accumulation: int = 1
    """Micro-batches that a batch is cut into; a part of the request, as another order of sums gives other bits."""
    rope_theta: float | None = None
    """Base of the rotary frequencies; None leaves the model's."""

    @property
    def steps(self) -> int:
        """How many it has."""
        return self.schedule.steps

    def tokens_until(self, step: int) -> int:
        """Inputs of its own steps up to one."""
        return self.sizes.until(step) * self.context


@dataclass(frozen=True)
class Plan:
    """What the loop needs to know beyond model, optimizer and batches. Steps count on through the phases."""

    phases: tuple[Phase, ...]
    clip: float
    """Gradients are scaled down to this norm."""
    seed: int
    """Of the random state that the loop begins with."""
    precision: Precision
    """bf16 is autocast: weights and optimizer stay in fp32."""
    compile: bool
    """Whether each block is compiled."""
    checkpoint_every: int
    """Steps between checkpoints; the last step of a phase always has one."""
    checkpoints_kept: int | None
    """How many of the latest remain at the end, beside the ends of phases; None is all."""
    checkpoint_dense_until: int = 0
    """Checkpoints also after steps 1, 2, 4, 8, … up to this one."""
    z_loss: float = 0.0
    """Weight of log² Z in the loss of each target."""
    deterministic: bool = True
    """Whether only kernels whose bits repeat are used."""
    fp8: bool = False
    """Whether the blocks' products are in 8-bit floating point: see model/float8.py."""
    portable: bool = False
    """Whether only kernels that others have are used: see kernels.py."""
    rate_factor: float = 1.0
    """On every learning rate; 1 but for an auditor's control."""

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The last step of each phase."""
        return tuple(accumulate(phase.steps for phase in self.phases))

    @property
    def steps(self) -> int:
        """Of all phases."""
        return self.ends[-1]

    @property
    def tokens(self) -> int:
        """Inputs of all steps."""
        return self.tokens_until(self.steps)

    def place(self, step: int) -> tuple[int, int]:
        """The number of a step's phase, from 0, and the number of the step within it, from 1."""
        number = bisect_left(self.ends, step)
        return number, step - (self.ends[number - 1] if number else 0)

    def phase(self, step: int) -> Phase:
        """The phase that a step belongs to."""
        return self.phases[self.place(step)[0]]

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        number, own = self.place(step)
        rate = self.phases[number].schedule.rate(own)
        return rate if self.rate_factor == 1.0 else rate * self.rate_factor

    def tokens_until(self, step: int) -> int:
        """Inputs of all steps up to one, that one included."""
        if step == 0:
            return 0
        number, own = self.place(step)
        return sum(phase.tokens_until(phase.steps) for phase in self.phases[:number]) + self.phases[
            number
        ].tokens_until(own)

    def checkpoint_due(self, step: int) -> bool:
        """Whether a step ends with a checkpoint."""
        dense = step <= self.checkpoint_dense_until and step & (step - 1) == 0
        return dense or step % self.checkpoint_every == 0 or step in self.ends

    def kept(self, steps: Sequence[int]) -> set[int]:
        """Of checkpoints after these steps, those that stay: the latest, and the ends of phases."""
        if self.checkpoints_kept is None:
            return set(steps)
        latest = sorted(steps)[-self.checkpoints_kept :] if self.checkpoints_kept else []
        return {*latest, *(step for step in steps if step in self.ends[:-1])}

    def named(self, name: str) -> int | None:
        """The step of the checkpoint of that name, which is a phase's or "step-400"; None if there is none."""
        ends = {phase.name: end for phase, end in zip(self.phases, self.ends, strict=True)}
        if name in ends:
            return ends[name]
        number = name.removeprefix("step-")
        step = int(number) if name != number and number.isdecimal() else -1
        return step if step == 0 or (0 < step <= self.steps and self.checkpoint_due(step)) else None

    @property
    def smallest_batch(self) -> int:
        """Sequences of the smallest step: as many micro-batches are possible in every step."""
        return min(phase.sizes.of(1) for phase in self.phases)

    def with_accumulation(self, parts: int) -> Self:
        """The same, with other micro-batches throughout."""
        return replace(self, phases=tuple(replace(phase, accumulation=parts) for phase in self.phases))
