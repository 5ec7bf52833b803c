"""What the training loop is asked to do. Imports no torch, so that recipes can be checked without it."""

from dataclasses import dataclass
from typing import Literal

from fonderie.train.schedule import Schedule

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Plan:
    """What the loop needs to know beyond model, optimizer and batches."""

    schedule: Schedule
    """Learning rates, and how many steps there are."""
    accumulation: int
    """Micro-batches that a batch is cut into; a part of the request, as another order of sums gives other bits."""
    clip: float
    """Gradients are scaled down to this norm."""
    seed: int
    """Of the random state that the loop begins with."""
    precision: Precision
    """bf16 is autocast: weights and optimizer stay in fp32."""
    compile: bool
    """Whether each block is compiled."""
    checkpoint_every: int
    """Steps between checkpoints; the last step always has one."""
    checkpoints_kept: int
    """How many remain at the end."""

    def checkpoint_due(self, step: int) -> bool:
        """Whether a step ends with a checkpoint."""
        return step % self.checkpoint_every == 0 or step == self.schedule.steps
