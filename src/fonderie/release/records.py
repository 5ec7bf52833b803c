"""What a report holds: plain records, frozen, as JSON keeps them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from fonderie.evaluate.score import Score
from fonderie.licences.verdict import Status

FORMAT = 1

Branch = Literal["training", "evaluation", "other"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LicenceCount(_Record):
    """Documents read under one licence, and what that licence allows."""

    licence: str
    documents: int
    status: Status
    reason: str


class Stage(_Record):
    """What one step did to one source."""

    call: str
    step: str
    branch: Branch
    """Whether what it wrote was trained on, evaluated on, or neither."""
    read: int
    read_bytes: int
    kept: int
    kept_bytes: int
    dropped: dict[str, int]
    """Documents by reason, those held out included."""
    edited: dict[str, int]


class SourceReport(_Record):
    """One source, from what was read to what the model makes of its held-out part."""

    name: str
    generated: bool
    """Composed by the recipe itself, not read from files."""
    read: int
    read_bytes: int
    licences: tuple[LicenceCount, ...]
    stages: tuple[Stage, ...]
    """In the order of the steps."""
    dropped: dict[str, int]
    """By reason, on the way to training; what was held out is not among them."""
    edited: dict[str, int]
    held_out: int
    """Good documents that were kept from training in order to evaluate on them."""
    kept: int
    """Documents that were packed into tokens, or that are left if nothing was packed yet."""
    tokens: int
    token_share: float
    """Of all packed tokens."""
    scores: tuple[Score, ...]


class LineageEntry(_Record):
    """One making: which step, from what, into what, in how much time."""

    call: str
    """The recipe's name for it, or the step's where no lock says."""
    step: str
    version: int
    key: str
    digest: str
    inputs: dict[str, tuple[str, ...]]
    """Calls by port."""
    seconds: float
    joules: float | None
    """None where nothing measured it."""


class Training(_Record):
    """One training step, as its manifest tells it."""

    call: str
    step: str
    parameters: dict[str, Any]
    statistics: dict[str, Any]
    measured: dict[str, Any]
    environment: dict[str, Any]
    seconds: float
    energy: dict[str, Any]


class Report(_Record):
    """Everything below is a walk over manifests; nothing is measured anew."""

    format: int = FORMAT
    warnings: tuple[str, ...]
    """What restricts use or is unknown; shown before anything else."""
    sources: tuple[SourceReport, ...]
    tokens: int
    """Packed, all sources; 0 if nothing was packed."""
    trainings: tuple[Training, ...]
    scores: tuple[Score, ...]
    """All of them, those over all sources included."""
    lineage: tuple[LineageEntry, ...]
    """Inputs before what they feed."""
