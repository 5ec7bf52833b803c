"""What a replay found: plain records, frozen, as JSON keeps them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from fonderie.audit.replay.sampling import Detection

FORMAT = 1

Verdict = Literal["identical", "consistent", "inconclusive", "different"]
"""identical     every loss, the hash chain and the end state are bit for bit those published
consistent    not the same bits, but within what honest repeats on other kernels differ by
inconclusive  honest repeats differ so much here that a wrong learning rate would pass too
different     outside the tolerance: this training does not give these weights or losses"""

ORDER: tuple[Verdict, ...] = ("different", "inconclusive", "consistent", "identical")
"""From the worst."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Deviation(_Record):
    """How far one making of a segment is from another."""

    weights: float
    """Relative L2: norm of the difference of the end weights, divided by that of the segment's own update."""
    losses: tuple[float, ...]
    """Absolute difference of the loss, step by step, in nats per token."""


class Repeat(_Record):
    """One honest repeat under a permitted variation, or the control that must be rejected."""

    name: str
    weights: float
    largest_loss: float
    """The largest difference of a step's loss."""


class Tolerance(_Record):
    """What an honest difference may be, measured on this machine for this segment."""

    weights: float
    losses: tuple[float, ...]
    """By step, never falling."""
    repeats: tuple[Repeat, ...]
    control: Repeat
    """The learning rate 1 % too high: the tolerance must reject it."""
    control_rejected: bool


class SegmentReport(_Record):
    """One segment, retrained."""

    first: int
    """The step whose state it began from; 0 is the initial weights."""
    last: int
    verdict: Verdict
    detail: str
    """One sentence: what was compared and what came of it."""
    start_holds: bool
    """Whether the state it began from is the one that the hash chain names.

    Initial weights drawn by other kernels are not, to the bit; they are compared by what grows out of them."""
    losses_equal: bool
    chain_equal: bool
    state_equal: bool
    """Weights, optimizer and random state of the end: equal roots."""
    weights: float | None = None
    """As in Deviation, against the published end state; None where it is not published in full."""
    largest_loss: float | None = None
    first_loss_beyond: int | None = None
    """The first step whose loss is outside the tolerance."""
    tolerance: Tolerance | None = None
    """Calibrated only where the bits differ."""
    seconds: float


class ReplayReport(_Record):
    """The replay of one release."""

    format: int = FORMAT
    name: str
    version: str
    commitment: str
    """Digest of what the training committed to before its first step."""
    head: str
    """The hash chain's last value: with the commitment, it names the training that was replayed."""
    verdict: Verdict
    """The worst of the segments'."""
    detail: str
    problems: tuple[str, ...]
    """Contradictions within the record, found before anything was retrained; then nothing is."""
    seed: int
    """The auditor's, which drew the segments."""
    segments_published: int
    segments: tuple[SegmentReport, ...]
    detection: tuple[Detection, ...]
    tokens_from: str
    """Where the token shards came from; they are checked against the commitment's root."""
    made_on: dict[str, Any]
    replayed_on: dict[str, Any]
    """Processor, instruction set, libraries, threads."""
