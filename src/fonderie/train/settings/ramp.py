"""How many sequences a step takes: a constant, or growing as sequences are seen (as in Megatron-LM)."""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple


class Level(NamedTuple):
    """Steps of one size."""

    first_step: int
    """From 1."""
    seen: int
    """Sequences before it."""
    size: int


@dataclass(frozen=True)
class BatchSizes:
    """Sequences of each step: `size`, reached from `start` by equal increments over the first `over` sequences.

    Megatron-LM's `--rampup-batch-size start by over` (Lucie's main phase: 256 64 10000000 up to 1024): with n
    increments in all, a step that has c sequences before it takes `start + by · floor(c n / over)`, at most `size`.
    """

    size: int
    start: int | None = None
    """None: every step takes `size`."""
    by: int = 1
    over: int = 0

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """Every size in turn; the last has no end."""
        if self.start is None or self.start >= self.size:
            return (Level(1, 0, self.size),)
        increments = -(-(self.size - self.start) // self.by)
        found, step, seen = [], 1, 0
        for number in range(increments):
            # The level lasts while floor(seen · increments / over) is its number.
            until = -(-(number + 1) * self.over // increments)
            size = self.start + number * self.by
            steps = max(0, -(-(until - seen) // size))
            if steps:
                found.append(Level(step, seen, size))
            step, seen = step + steps, seen + steps * size
        return (*found, Level(step, seen, self.size))

    def of(self, step: int) -> int:
        """Sequences of a step."""
        return self._level(step).size

    def until(self, step: int) -> int:
        """Sequences of all steps up to one, that one included; 0 before the first."""
        level = self._level(step + 1)
        return level.seen + (step + 1 - level.first_step) * level.size

    def steps_for(self, sequences: int) -> int:
        """The fewest steps that take at least so many sequences."""
        level = self.levels[max(0, bisect_right(self.levels, sequences - 1, key=lambda one: one.seen) - 1)]
        return level.first_step - 1 + -(-(sequences - level.seen) // level.size)

    def step_of(self, sequence: int) -> int:
        """The step that takes the sequence of this number, counted from 0 in the order in which they are taken."""
        return self.steps_for(sequence + 1)

    def _level(self, step: int) -> Level:
        return self.levels[bisect_right(self.levels, step, key=lambda one: one.first_step) - 1]
