"""Train sampled segments of a release again, and compare with what it published.

Each drawn segment begins at a published checkpoint (the first at the initial weights), runs the loop that made the
release, and must come to the losses, the hash chain and the state that were published: bit for bit on the same
stack, else within a tolerance measured here (tolerance.py). What a replay shows is that the segments it drew are
consistent with the data and parameters committed to; it says nothing of those it did not draw.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from fonderie.audit.replay.basis import Basis, read_basis
from fonderie.audit.replay.report import ORDER, ReplayReport, SegmentReport, Tolerance, Verdict
from fonderie.audit.replay.rerun import CONTROL_RATE, Job, Rerun, asked_of, flat, perform, variations
from fonderie.audit.replay.sampling import SHARES, Segment, detection, draw, segments_between
from fonderie.audit.replay.tolerance import calibrate, deviation, first_beyond
from fonderie.core import environment
from fonderie.core.errors import ReleaseError, StoreError
from fonderie.core.machine import Machine


def replay_release(
    folder: Path,
    *,
    segments: int,
    seed: int,
    tokens: Sequence[Path] = (),
    base: Path | None = None,
    machine: Machine | None = None,
) -> ReplayReport:
    """Replay `segments` of a release, drawn by the auditor's `seed`, on its own token shards or those in `tokens`.

    `base` is the folder of the model that it went on from, where the release does not hold it.

    Raises ReleaseError for a folder that holds nothing to replay, UsageError for more segments than it publishes.
    """
    machine = machine or Machine()
    folder = folder.resolve()
    basis, problems = read_basis(folder, tokens, base)
    published = segments_between(list(basis.checkpoints))
    drawn = draw(published, segments, seed)
    reports: list[SegmentReport] = []
    if not problems:
        with machine.bar("replaying", sum(segment.steps for segment in drawn), "steps") as bar:
            reports = [_replay(basis, segment, machine, bar.advance) for segment in drawn]
    verdict: Verdict = min((report.verdict for report in reports), key=ORDER.index, default="different")
    return ReplayReport(
        name=basis.index.name,
        version=basis.index.version,
        commitment=basis.commitment.digest,
        head=basis.head_after(len(basis.lines)),
        verdict=verdict,
        detail=_detail(reports, problems),
        problems=tuple(problems),
        seed=seed,
        segments_published=len(published),
        segments=tuple(reports),
        detection=tuple(detection(len(published), segments, share) for share in SHARES),
        tokens_from=", ".join(map(str, tokens)) or "the release",
        made_on=dict(basis.made_on),
        replayed_on=_ran_on(basis, machine),
    )


def _ran_on(basis: Basis, machine: Machine) -> dict[str, Any]:
    """What the segments ran on; a portable training's in processes of their own, which began with its kernels."""
    asked = asked_of(basis.training, machine)
    capped = {"cpu_capability": asked["ATEN_CPU_CAPABILITY"].upper(), "variables": asked} if asked else {}
    return {**environment.describe(), "threads": machine.threads, "device": machine.device, **capped}


def _detail(reports: Sequence[SegmentReport], problems: Sequence[str]) -> str:
    if problems:
        return f"Nothing was retrained, since the record contradicts itself: {problems[0]}."
    worst = min(reports, key=lambda report: ORDER.index(report.verdict))
    span = f"steps {worst.first + 1:,} to {worst.last:,}"
    if worst.verdict == "identical":
        return "Every segment drawn came to the same bits: losses, chain, weights, optimizer."
    return f"{span}: {worst.detail}"


def _replay(basis: Basis, segment: Segment, machine: Machine, advance: Any) -> SegmentReport:
    clock = monotonic()
    with tempfile.TemporaryDirectory(prefix="fonderie-replay-") as scratch:
        asked = asked_of(basis.training, machine)
        job = Job(
            commitment=basis.commitment_path,
            tokens=basis.tokens,
            start=basis.start_of(segment.first),
            # A checkpoint has the weights: any model of the same sizes will do for the rest, such as the release.
            # Not of an adapter, whose checkpoints hold no weight of its base.
            base=basis.beside.base
            or (basis.folder if basis.start_of(segment.first) and not basis.adapts else None),
            reference=basis.beside.reference,
            until=segment.last,
            head=basis.head_after(segment.first),
            scratch=Path(scratch) / "first",
            threads=machine.threads,
            device=machine.device,
            other_kernels=basis.training.plan.portable and not asked,
        )
        try:
            done = perform(job, asked, advance)
        except StoreError as error:  # a published checkpoint that is damaged, or no checkpoint of this model
            found = _Found(segment, basis, None)
            return found.report("different", error.message, seconds=monotonic() - clock)
        found = _Found(segment, basis, done)
        if found.identical:
            said = "the same losses, hash chain and end state, bit for bit"
            return found.report("identical", said, seconds=monotonic() - clock)
        # Initial weights drawn by other kernels differ in the last place, and what grows out of that is judged like
        # every other difference. A checkpoint is read, and has no such excuse.
        if segment.first and not found.start_holds:
            said = "the checkpoint it begins from is not the one that the hash chain names"
            return found.report("different", said, seconds=monotonic() - clock)
        return _compare(found, job, machine, Path(scratch), clock)


class _Found:
    """A segment's own bits beside the published ones."""

    def __init__(self, segment: Segment, basis: Basis, done: Rerun | None) -> None:
        theirs = basis.lines[segment.first : segment.last]
        self.segment, self.basis, self.done = segment, basis, done
        self.their_losses = [line.loss for line in theirs]
        self.our_losses = [line.loss for line in done.lines] if done else []
        self.start_holds = done is not None and done.start_root == basis.root_after(segment.first)
        self.losses_equal = self.our_losses == self.their_losses
        self.chain_equal = done is not None and [line.chain for line in done.lines] == [
            line.chain for line in theirs
        ]
        self.state_equal = done is not None and done.end_root == basis.root_after(segment.last)

    @property
    def identical(self) -> bool:
        """Whether every bit is as published."""
        return self.start_holds and self.losses_equal and self.chain_equal and self.state_equal

    @property
    def batches_equal(self) -> bool:
        """Whether each step took the batch that the log names."""
        theirs = self.basis.lines[self.segment.first : self.segment.last]
        return self.done is not None and [line.batch for line in self.done.lines] == [line.batch for line in theirs]

    def report(self, verdict: Verdict, detail: str, *, seconds: float, **measured: Any) -> SegmentReport:
        """The segment's report."""
        return SegmentReport(
            first=self.segment.first,
            last=self.segment.last,
            verdict=verdict,
            detail=detail,
            start_holds=self.start_holds,
            losses_equal=self.losses_equal,
            chain_equal=self.chain_equal,
            state_equal=self.state_equal,
            seconds=round(seconds, 3),
            **measured,
        )


def _compare(found: _Found, job: Job, machine: Machine, scratch: Path, clock: float) -> SegmentReport:
    """Measure the difference, and what difference is honest here."""
    from fonderie.train.record import checkpoint

    if not found.batches_equal:
        return found.report("different", "the log names other batches", seconds=monotonic() - clock)
    segment, basis, done = found.segment, found.basis, found.done
    assert done is not None
    end = basis.checkpoints[segment.last]
    if checkpoint.load(end).root != basis.root_after(segment.last):
        said = "the checkpoint it ends in is not the one that the hash chain names"
        return found.report("different", said, seconds=monotonic() - clock)
    start = job.start or next(job.scratch.rglob(f"{checkpoint.folder_name(0)}"))
    begun, ours = flat(start / "model.safetensors"), flat(done.weights)
    against = deviation(
        start=begun,
        ours=ours,
        theirs=flat(end / "model.safetensors"),
        our_losses=found.our_losses,
        their_losses=found.their_losses,
    )
    tolerance = _tolerance(
        basis, job, machine=machine, scratch=scratch, begun=begun, ours=ours, losses=found.our_losses
    )
    beyond = first_beyond(against.losses, tolerance.losses)
    within = beyond is None and against.weights <= tolerance.weights
    measured = {
        "weights": against.weights,
        "largest_loss": max(against.losses),
        "first_loss_beyond": None if beyond is None else segment.first + 1 + beyond,
        "tolerance": tolerance,
    }
    verdict: Verdict = "different" if not within else "consistent" if tolerance.control_rejected else "inconclusive"
    return found.report(verdict, _words(verdict, measured, tolerance), seconds=monotonic() - clock, **measured)


def _words(verdict: Verdict, measured: dict[str, Any], tolerance: Tolerance) -> str:
    weights = f"end weights {measured['weights']:.1e} of the update apart, tolerance {tolerance.weights:.1e}"
    if verdict == "consistent":
        return f"not the same bits, but consistent within the tolerance: {weights}"
    if verdict == "inconclusive":
        return f"honest repeats differ here as much as a learning rate 1 % too high does: {weights}"
    beyond = measured["first_loss_beyond"]
    if beyond is not None:
        return f"the loss of step {beyond:,} is outside the tolerance; {weights}"
    return f"outside the tolerance: {weights}"


def _tolerance(
    basis: Basis,
    job: Job,
    *,
    machine: Machine,
    scratch: Path,
    begun: Any,
    ours: Any,
    losses: Sequence[float],
) -> Tolerance:
    """Repeat the segment honestly in every variation there is, and once with a wrong learning rate."""
    changes = variations(basis.training, machine)
    changes["control"] = ({"rate": CONTROL_RATE}, asked_of(basis.training, machine))
    if len(changes) == 1:
        raise ReleaseError("this training leaves no order of sums to vary here, so no tolerance can be measured")
    found = {}
    with machine.bar("calibrating", len(changes), "repeats") as bar:
        for number, (name, (changed, variables)) in enumerate(changes.items()):
            place = scratch / f"repeat-{number}"
            varied = job.model_copy(update={**changed, "scratch": place})
            again = perform(varied, variables)
            found[name] = deviation(
                start=begun,
                ours=flat(again.weights),
                theirs=ours,
                our_losses=[line.loss for line in again.lines],
                their_losses=losses,
            )
            bar.advance()
    control = found.pop("control")
    return calibrate(found, control, losses)
