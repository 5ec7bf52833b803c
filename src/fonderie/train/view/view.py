"""One training in view: the note beside its progress bar, event files, times, and what the manifest keeps."""

import time
from collections import deque
from itertools import pairwise
from types import TracebackType
from typing import Any, Protocol, Self

from fonderie.core.energy import USAGE, EnergyMeter, earlier_runs, meter_for
from fonderie.core.files import write_atomically
from fonderie.core.machine import Machine
from fonderie.core.progress import Bar
from fonderie.core.step import Output
from fonderie.model.config import ForeignConfig, ModelConfig
from fonderie.train.data.batch import Batch, BatchOf
from fonderie.train.record.commitment import Done
from fonderie.train.settings.plan import Plan
from fonderie.train.view.peak import Peak, matrix_peak
from fonderie.train.view.record import (
    OUTLOOK,
    TENSORBOARD,
    Events,
    Moment,
    Outlook,
    Times,
    last_run,
    read_times,
)

WINDOW_SECONDS = 15.0
"""Over how long the speed in the note is taken."""
NOTE_SECONDS = 0.5
"""How often the note changes: nobody reads faster."""
POINTS = 100
"""Of the curve of speeds that the manifest keeps."""
JOULES_PER_WH = 3600.0


class Watch(Protocol):
    """Who is told of each step of a training."""

    def begin(self, step: int) -> None:
        """Steps up to this one were done before."""

    def step(self, done: Done) -> None:
        """A step is done."""


class Unwatched:
    """Nobody."""

    def begin(self, step: int) -> None:
        """Say nothing."""

    def step(self, done: Done) -> None:
        """Say nothing."""


UNWATCHED = Unwatched()


def flops_until(config: ModelConfig | ForeignConfig, plan: Plan, step: int) -> int:
    """FLOPs of all steps up to one, forward and backward, by the formula of `ModelConfig.flops_per_token`.

    Each phase counts with its own context, which the formula's attention depends on.
    """
    total, begun = 0, 0
    for phase, end in zip(plan.phases, plan.ends, strict=True):
        tokens = plan.tokens_until(min(step, end)) - plan.tokens_until(min(step, begun))
        total += tokens * config.model_copy(update={"context": phase.context}).flops_per_token
        begun = end
    return total


class View:
    """A `Watch` that shows, writes and remembers; use as a context manager around the training."""

    def __init__(
        self,
        config: ModelConfig | ForeignConfig,
        plan: Plan,
        out: Output,
        machine: Machine,
        bar: Bar,
        *,
        first: bool = True,
    ) -> None:
        """Of the processes of one training, only the first is `first`, and the others' views write nothing."""
        self._config, self._plan, self._machine, self._bar = config, plan, machine, bar
        self._folder = out.view if first else None
        self._earlier = earlier_runs(out.state / USAGE)
        self._run, self._begun, self._last = 1, 0, 0
        self._waited = 0.0
        self._clock = time.monotonic()
        self._seconds = 0.0
        self._noted = float("-inf")
        self._recent: deque[tuple[float, int]] = deque()
        self._times: Times | None = None
        self._events: Events | None = None
        self._peak: Peak | None = None
        self._meter: EnergyMeter | None = None
        self._energy_method = ""
        self._joules: float | None = None

    def __enter__(self) -> Self:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._run = last_run(self._folder) + 1
            self._peak = matrix_peak(self._machine.device, self._plan.precision)
            self._meter = meter_for(self._machine.device)
            energy = self._meter.read()
            self._energy_method = str(energy["method"])
            measured = "energy measured" if energy["joules"] is not None else f"energy {energy['method']}"
            peak = f"{self._peak_speed / 1e9:,.0f} GFLOP/s"
            self._machine.reporter.say(
                f"  training {self._config.parameters:,} parameters; peak {peak} ({self._peak_method}); {measured}"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seconds = time.monotonic() - self._clock
        if self._times is not None:
            if self._last > self._begun:
                self._times.write(self._moment(self._last))
            self._times.close()
        if self._events is not None:
            self._events.close()

    @property
    def _peak_speed(self) -> float:
        """Of all processes together."""
        return self._peak.flops_per_second * self._machine.processes if self._peak is not None else 0.0

    @property
    def _peak_method(self) -> str:
        if self._peak is None:
            return "not measured"
        alone = self._machine.processes == 1
        return self._peak.method if alone else f"{self._machine.processes} processes, of one {self._peak.method}"

    def timed(self, batch_of: BatchOf) -> BatchOf:
        """The same batches; what the training waits for them is added up."""

        def waited_for(step: int) -> Batch:
            clock = time.monotonic()
            batch = batch_of(step)
            self._waited += time.monotonic() - clock
            return batch

        return waited_for

    def begin(self, step: int) -> None:
        """Steps up to this one were done before; the clock starts."""
        self._begun = self._last = step
        self._clock, self._waited = time.monotonic(), 0.0
        self._recent.append((0.0, self._plan.tokens_until(step)))
        if step:
            self._bar.skip(step)
        if self._folder is not None:
            write_atomically(self._folder / OUTLOOK, self._outlook().model_dump_json(indent=1).encode("utf-8"))
            self._times = Times(self._folder)
            self._times.write(self._moment(step))
            self._events = Events(self._folder / TENSORBOARD, step)

    def _outlook(self) -> Outlook:
        plan = self._plan
        return Outlook(
            parameters=self._config.parameters,
            steps=plan.steps,
            tokens=plan.tokens,
            phases=tuple((phase.name, end) for phase, end in zip(plan.phases, plan.ends, strict=True)),
            flops=flops_until(self._config, plan, plan.steps),
            peak_flops_per_second=self._peak_speed,
            peak_method=self._peak_method,
            energy_method=self._energy_method,
        )

    def step(self, done: Done) -> None:
        """Show and write a step."""
        self._last = done.step
        seconds = time.monotonic() - self._clock
        self._recent.append((seconds, done.tokens))
        while len(self._recent) > 2 and self._recent[0][0] < seconds - WINDOW_SECONDS:
            self._recent.popleft()
        if self._times is not None and self._times.due(seconds):
            self._times.write(self._moment(done.step))
        speed, mfu = self._speed(done.step)
        if self._events is not None:
            self._events.write(done.step, self._figures(done, speed, mfu))
        note = ""
        if seconds - self._noted >= NOTE_SECONDS:
            note, self._noted = self._words(done, speed, mfu), seconds
        self._bar.advance(1, note)

    def measured(self) -> dict[str, Any]:
        """What the manifest keeps, once the training ended: this run's speed, and the arithmetic of all runs."""
        seconds = max(self._seconds, 1e-9)  # a training that had ended before it was gone on with took none
        computed = self._flops(self._begun, self._last)
        found: dict[str, Any] = {
            "training_seconds": round(seconds, 3),
            "tokens_per_second": round(self._tokens(self._begun, self._last) / seconds, 1),
            "waited_for_data_share": round(self._waited / seconds, 5),
            "resumed_from_step": self._begun,
            "flops_computed": computed,
        }
        if self._folder is not None:
            moments = read_times(self._folder)
            found["flops_computed"] = self._of_all_runs(moments)
            found["runs"] = self._run
            found["throughput"] = throughput(moments)
        if self._peak is not None:
            found["peak_flops_per_second"], found["peak_method"] = round(self._peak_speed), self._peak_method
            found["mfu"] = round(computed / seconds / self._peak_speed, 4)
        return found

    def _of_all_runs(self, moments: list[Moment]) -> int:
        """What was computed, steps included that a run did again after another was killed."""
        total = 0
        for run in {moment.run for moment in moments}:
            steps = [moment.step for moment in moments if moment.run == run]
            total += self._flops(min(steps), max(steps))
        return total

    def _flops(self, begun: int, step: int) -> int:
        return flops_until(self._config, self._plan, step) - flops_until(self._config, self._plan, begun)

    def _tokens(self, begun: int, step: int) -> int:
        return self._plan.tokens_until(step) - self._plan.tokens_until(begun)

    def _speed(self, step: int) -> tuple[float, float | None]:
        """Tokens per second over the last seconds, and the share of the peak."""
        (begun, first), (now, last) = self._recent[0], self._recent[-1]
        if now <= begun:
            return 0.0, None
        speed = (last - first) / (now - begun)
        context = self._plan.phase(step).context
        each = self._config.model_copy(update={"context": context}).flops_per_token
        return speed, None if self._peak is None else speed * each / self._peak_speed

    def _figures(self, done: Done, speed: float, mfu: float | None) -> dict[str, float]:
        figures = {
            "loss": done.loss,
            "learning_rate": done.learning_rate,
            "gradient_norm": done.gradient_norm,
            "tokens": float(done.tokens),
            "tokens_per_second": speed,
            "mfu": mfu,
            "joules": self._joules,
        }
        return {name: value for name, value in figures.items() if value is not None}

    def _moment(self, step: int) -> Moment:
        self._joules = None if self._meter is None else self._meter.read()["joules"]
        return Moment(
            run=self._run,
            step=step,
            tokens=self._plan.tokens_until(step),
            seconds=round(time.monotonic() - self._clock, 3),
            waited=round(self._waited, 3),
            joules=self._joules,
            time=round(time.time(), 3),
        )

    def _words(self, done: Done, speed: float, mfu: float | None) -> str:
        parts = [f"loss {done.loss:.3f}", f"{speed:,.0f} tokens/s"]
        if mfu is not None:
            parts.append(f"MFU {mfu:.0%}")
        parts += self._energy_words()
        return ", ".join(parts)

    def _energy_words(self) -> list[str]:
        """Energy so far, earlier runs included: measured, else estimated and said to be, else nothing."""
        before = [run["joules"] for run in self._earlier]
        if self._joules is not None and None not in before:
            return [f"{(self._joules + sum(before)) / JOULES_PER_WH:,.2f} Wh"]
        if self._machine.watts is not None:
            seconds = time.monotonic() - self._clock + sum(run["seconds"] for run in self._earlier)
            return [f"about {self._machine.watts * seconds / JOULES_PER_WH:,.2f} Wh (estimate)"]
        return []


def throughput(moments: list[Moment]) -> list[tuple[int, float]]:
    """Tokens per second up to a step, in order, in at most POINTS points; where runs overlap, the later one's."""
    found: dict[int, float] = {}
    for run in sorted({moment.run for moment in moments}):
        mine = [moment for moment in moments if moment.run == run]
        found = {step: speed for step, speed in found.items() if step <= mine[0].step}
        thinned = mine[:: max(1, -(-len(mine) // POINTS))]
        thinned += mine[-1:] if thinned[-1] != mine[-1] else []
        for before, after in pairwise(thinned):
            if after.seconds > before.seconds and after.step > before.step:
                speed = (after.tokens - before.tokens) / (after.seconds - before.seconds)
                found[after.step] = round(speed, 1)
    steps = sorted(found)
    every = max(1, -(-len(steps) // POINTS))
    return [(step, found[step]) for step in steps[every - 1 :: every]]
