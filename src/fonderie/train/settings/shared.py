"""What every training step can be asked beside its model and its data. Imports no torch.

`Settings` is one stretch of training; `PhasedSettings` may have several, each with its own data, length and rates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from fonderie.core.step import Parameters
from fonderie.train.settings.duration import Duration, Share, Span, parse, sequences_of, steps_in, steps_of
from fonderie.train.settings.kernels import ComputeParameters
from fonderie.train.settings.plan import Phase
from fonderie.train.settings.ramp import BatchSizes
from fonderie.train.settings.schedule import Kind, Schedule

Beta = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
"""What torch's generators take."""
OptimizerKind = Literal["adamw", "muon"]
MOST_SIZES = 1000
"""Of a growing batch (Lucie's has 13): a stranger's parameters must not fill the memory of whoever checks them."""
MAIN = "main"
"""The name of the only phase of a training that names none."""


class RampParameters(Parameters):
    """A batch that grows: see train/settings/ramp.py."""

    start: PositiveInt
    """Sequences of the first step."""
    by: PositiveInt
    """Sequences that each increment adds, up to `batch`."""
    over: Duration
    """How long it grows: "10M sequences" or "41B tokens"."""

    @model_validator(mode="after")
    def _countable(self) -> Self:
        if parse(self.over)[1] not in ("sequence", "token"):
            raise ValueError(f"over = {self.over!r} must be in sequences or tokens")
        return self


class Settings(ComputeParameters):
    """How long and how fast a model learns."""

    context: Annotated[int, Field(ge=2)] = 256
    """Tokens per sequence, in training and after."""
    duration: Duration = "1 epoch"
    """How long to train: "250M tokens", "2 epochs", "10M sequences" or "800 steps", rounded up to whole steps."""
    batch: PositiveInt = 16
    """Sequences per optimizer step."""
    batch_ramp: RampParameters | None = None
    """Smaller batches at first, such as { start = 256, by = 64, over = "10M sequences" } up to `batch`."""
    accumulation: PositiveInt = 1
    """Micro-batches that a batch is cut into, to save memory. Changes the bits, so it is part of the request."""
    learning_rate: PositiveFloat = 3e-3
    """Peak learning rate, reached at the end of warm-up. The default suits widths of 128 to 256; wider models want
    less (docs/log/0002-demo-hyperparameters.md)."""
    schedule: Kind = "cosine"
    """Shape of the learning rate: "cosine", "linear", "wsd", "wsd_linear" or "constant" (settings/schedule.py)."""
    warmup: Span = 0.05
    """Over how long the learning rate rises: a share of the steps (0.05), or a duration ("2k steps")."""
    decay: Span = 0.2
    """Over how long it falls at the end, for wsd: a share of the steps, or a duration."""
    final: Share = 0.0
    """Share of the peak learning rate left after the last step."""
    optimizer: OptimizerKind = "adamw"
    """ "adamw", or "muon" for the matrices of the blocks and AdamW for the rest; see train/optim.py."""
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    """AdamW's moving averages (Lucie's values)."""
    epsilon: PositiveFloat = 1e-8
    """AdamW's guard against division by zero."""
    momentum: Beta = 0.95
    """Muon's moving average."""
    weight_decay: NonNegativeFloat = 0.1
    """Of matrices."""
    weight_decay_embeddings: NonNegativeFloat = 0.0
    """Of the embedding table, which is the head too where they are tied."""
    weight_decay_norms: NonNegativeFloat = 0.0
    """Of norms and biases."""
    clip: PositiveFloat = 1.0
    """Gradients are scaled down to this norm."""
    z_loss: NonNegativeFloat = 0.0
    """Weight of log² Z beside the loss of each target, against drifting logits; PaLM's is 1e-4 (arXiv 2204.02311,
    section 5). The losses of the log then include it."""
    seed: Seed = 0
    """Of the initial weights; the data order follows from it and the tokens (see train/record/commitment.py)."""
    checkpoint_every: PositiveInt = 200
    """Steps between checkpoints: what a crash can cost, and how long a segment is that others can replay."""
    checkpoint_dense_until: NonNegativeInt = 0
    """Checkpoints also after steps 1, 2, 4, 8, … up to this one; Pythia's is 512 (arXiv 2304.01373)."""
    checkpoints_kept: NonNegativeInt | Literal["all"] = 1
    """Checkpoints that stay in the artifact: so many of the latest, the state before the first step being one of
    them, or "all". The end of a phase always stays."""

    @property
    def all_phases(self) -> tuple["Stretch", ...]:
        """Every phase, complete."""
        return (self._whole(),)

    def _whole(self) -> "Stretch":
        """The training as one phase."""
        given: dict[str, Any] = {
            part.name: getattr(self, part.name, None) for part in fields(Stretch) if part.name != "name"
        }
        return Stretch(name=MAIN, **given)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        phases = self.all_phases
        if self.optimizer != "muon" and self._says("momentum"):
            raise ValueError(f'momentum is Muon\'s: optimizer = "{self.optimizer}" has none')
        if self._says("decay") and not any(phase.schedule.startswith("wsd") for phase in phases):
            raise ValueError("decay is for the schedules wsd and wsd_linear: the others fall to the end")
        if self._says("final") and all(phase.schedule == "constant" for phase in phases):
            raise ValueError("final is of no use to a constant learning rate")
        for phase in phases:
            try:
                phase.check()
            except ValueError as error:
                where = f"phase {phase.name}: " if getattr(self, "phases", ()) else ""
                raise ValueError(f"{where}{error}") from error
        return self

    def _says(self, name: str) -> bool:
        """Whether a parameter has another value than its default."""
        return bool(getattr(self, name) != type(self).model_fields[name].default)


@dataclass(frozen=True)
class Stretch:
    """A phase of which everything is settled but how long an epoch is; for the fields see `Settings`."""

    name: str
    duration: str
    context: int
    batch: int
    accumulation: int
    learning_rate: float
    schedule: Kind
    warmup: float | str
    decay: float | str
    final: float
    batch_ramp: RampParameters | None = None
    rope_theta: float | None = None
    """None is the model's own."""

    @property
    def depends_on_data(self) -> bool:
        """Whether its length is in epochs: then it depends on how many tokens there are."""
        lengths = (self.duration, self.warmup, self.decay)
        return any(isinstance(length, str) and parse(length)[1] == "epoch" for length in lengths)

    def check(self) -> None:
        """ValueError for what cannot be, as far as it is known without the tokens."""
        ramp = self.batch_ramp
        if ramp is not None and ramp.start > self.batch:
            raise ValueError(f"batch_ramp starts with {ramp.start} sequences, more than batch = {self.batch}")
        if ramp is not None and self.batch - ramp.start > MOST_SIZES * ramp.by:
            raise ValueError(f"batch_ramp has more than {MOST_SIZES:,} sizes: give a larger `by`")
        smallest = self.batch if ramp is None else ramp.start
        if self.accumulation > smallest:
            raise ValueError(f"accumulation {self.accumulation} is more than the {smallest} sequences of a batch")
        falling = self.decay if self.schedule.startswith("wsd") else 0.0
        if isinstance(self.warmup, float) and isinstance(falling, float) and self.warmup + falling > 1:
            raise ValueError(f"warmup {self.warmup} and decay {falling} are more than the whole training")
        if not self.depends_on_data:
            self.settle(epoch=1)

    def settle(self, epoch: int) -> Phase:
        """Its plan, where an epoch has so many sequences; ValueError if it cannot be."""
        sizes, context = BatchSizes(self.batch), self.context
        if self.batch_ramp is not None:
            over = sequences_of(self.batch_ramp.over, context=context, epoch=epoch)
            sizes = BatchSizes(self.batch, self.batch_ramp.start, self.batch_ramp.by, over)
        steps = steps_in(self.duration, sizes, context=context, sequences=epoch)
        warmup = steps_of(self.warmup, steps, sizes, context=context, sequences=epoch)
        decay = 0
        if self.schedule.startswith("wsd"):
            decay = steps_of(self.decay, steps, sizes, context=context, sequences=epoch)
        if warmup + decay > steps + 1:  # two shares that make up the whole may both be rounded up
            raise ValueError(f"{warmup:,} steps of warm-up and {decay:,} of decay are more than all {steps:,}")
        schedule = Schedule(self.schedule, steps, self.learning_rate, warmup, decay, self.final)
        return Phase(self.name, schedule, sizes, context, self.accumulation, self.rope_theta)


class DataSettings(Settings):
    """How packed tokens are read, for the steps that learn from running text."""

    intra_document: bool = False
    """A position attends only to positions of its own document, not to what happened to be packed before it."""
    goldfish_every: Annotated[int, Field(ge=2)] | None = None
    """Goldfish loss: one target in so many does not count (the paper's k, 4), always after the same tokens, so that
    no text is learnt by heart (arXiv 2406.10209)."""
    goldfish_context: PositiveInt = 13
    """How many tokens before a target decide whether it counts (the paper's h)."""

    @model_validator(mode="after")
    def _goldfish_asked_for(self) -> Self:
        if self.goldfish_every is None and self.goldfish_context != 13:
            raise ValueError("goldfish_context is of no use without goldfish_every")
        return self


class PhaseParameters(Parameters):
    """One phase. What it leaves out is as the call has it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
    """Such as "main" or "annealing": the model after it is "<call>@<name>"."""
    duration: Duration
    """How long it lasts."""
    context: Annotated[int, Field(ge=2)] | None = None
    """Tokens per sequence."""
    rope_theta: PositiveFloat | None = None
    """Base of the rotary position frequencies; raise it with the context."""
    batch: PositiveInt | None = None
    """Sequences per optimizer step."""
    batch_ramp: RampParameters | None = None
    """Smaller batches at first. Only a phase's own: the call's is for a training without phases."""
    accumulation: PositiveInt | None = None
    """Micro-batches that a batch is cut into."""
    learning_rate: PositiveFloat | None = None
    """Peak learning rate of the phase."""
    schedule: Kind | None = None
    """Shape of the learning rate."""
    warmup: Span | None = None
    """Over how long it rises from zero; 0 begins at the peak."""
    decay: Span | None = None
    """Over how long it falls at the end, for wsd."""
    final: Share | None = None
    """Share of the peak left after the last step."""

    @model_validator(mode="after")
    def _no_step(self) -> Self:
        if self.name.startswith("step-"):
            raise ValueError(f"'{self.name}' is how the checkpoint after a step is called, not a phase")
        return self


class PhasedSettings(DataSettings):
    """A training in one stretch, or in phases."""

    phases: tuple[PhaseParameters, ...] = ()
    """Phases, one after the other, each a table [[<call>.phases]]; `duration` is then theirs alone. Input `tokens`
    names one call for all of them, or a list of one for each."""

    @property
    def all_phases(self) -> tuple[Stretch, ...]:
        """Every phase, complete; one if the recipe names none."""
        whole = self._whole()
        said = [{name: value for name, value in phase if value is not None} for phase in self.phases]
        return tuple(replace(whole, **values) for values in said) or (whole,)

    @model_validator(mode="after")
    def _phases_fit(self) -> Self:
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError(f"two phases have the same name: {', '.join(names)}")
        for name in ("duration", "batch_ramp"):
            if self.phases and self._says(name):
                raise ValueError(f"{name} is each phase's own: give it in [[phases]]")
        for said, phase in zip(self.phases, self.all_phases, strict=False):
            if said.decay is not None and not phase.schedule.startswith("wsd"):
                raise ValueError(f"phase {phase.name}: decay is for the schedules wsd and wsd_linear")
            if said.final is not None and phase.schedule == "constant":
                raise ValueError(f"phase {phase.name}: final is of no use to a constant learning rate")
        return self


def tokens_for_every_phase(params: PhasedSettings, inputs: Mapping[str, tuple[str, ...]]) -> None:
    """ValueError unless input `tokens` names one call for all phases, or one for each."""
    given, phases = inputs["tokens"], params.all_phases
    if len(given) not in (1, len(phases)):
        names = ", ".join(phase.name for phase in phases)
        raise ValueError(
            f"has {len(phases)} phases ({names}), and inputs.tokens names {len(given)} calls: give one for all "
            "phases, or one for each"
        )
