"""What the report of a training is drawn from: gathered in a store, ended or under way, or in a release."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from fonderie.core.manifest import Manifest
from fonderie.core.progress import in_words
from fonderie.core.step import Artifact
from fonderie.core.store import Store
from fonderie.evaluate.score import Score
from fonderie.release.layout import is_training
from fonderie.release.reports.training import Course, Scored, facts_of
from fonderie.train.record.commitment import DERIVED, LOG, LogLine, read_log
from fonderie.train.settings.stopping import VALIDATION, read_measurements
from fonderie.train.steps.taken import NAME as CHECKPOINT_STEP
from fonderie.train.view.mix import MIX, Mix
from fonderie.train.view.record import Moment, Outlook, read_outlook, read_times
from fonderie.train.view.view import throughput

READ = (LOG, DERIVED, MIX, VALIDATION)
"""Files of a training that its report is drawn from, as far as they are there."""
QUIET_SECONDS = 600.0
"""A training that has said nothing for so long is not taken to be running."""

_SCORES = TypeAdapter(list[Score])
Read = Callable[[str], bytes | None]
"""A file of the training, by its name there; None if there is none."""


def ended_course(call: str, manifest: Manifest, read: Read, manifests: Iterable[Manifest]) -> Course:
    """A training that has ended; `manifests` are those of the build, which hold what was evaluated of it."""
    log, mix, validation = read(LOG), read(MIX), read(VALIDATION)
    derived = json.loads(read(DERIVED) or b"{}").get("training", {})
    lines = read_log(log) if log is not None else []
    statistics, measured = manifest.statistics, manifest.measured
    planned = int(derived.get("steps", len(lines)))
    early = f" of {planned:,} planned" if len(lines) < planned else ""
    return Course(
        call=call,
        step=manifest.step,
        state=f"It ended after {len(lines):,} steps{early}.",
        lines=lines,
        planned=planned,
        phases=phases_of(derived),
        facts=facts_of(statistics, measured, manifest.energy, manifest.environment),
        throughput=[(int(step), float(speed)) for step, speed in measured.get("throughput", ())],
        mix=Mix.model_validate_json(mix) if mix is not None else None,
        validation=read_measurements(validation) if validation is not None else (),
        scored=scored(manifest, manifests),
    )


def phases_of(derived: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """Name and last step of each phase, as parameters.json has them; none where it knows of none."""
    return tuple(
        (str(phase["name"]), int(phase["first_step"]) + int(phase["steps"]) - 1)
        for phase in derived.get("phases") or ()
    )


def scored(training: Manifest, manifests: Iterable[Manifest]) -> list[Scored]:
    """What was evaluated of a training: of its end, and of the checkpoints taken out of it."""
    known = list(manifests)
    steps = {training.key: int(training.statistics.get("steps", 0))}
    for manifest in known:
        if manifest.step == CHECKPOINT_STEP and [entry.key for entry in manifest.inputs.get("model", ())] == [
            training.key
        ]:
            steps[manifest.key] = int(manifest.statistics.get("steps", 0))
    found: dict[int, list[Score]] = {}
    for manifest in known:
        models = manifest.inputs.get("model", ())
        if len(models) == 1 and models[0].key in steps and manifest.statistics.get("scores"):
            scores = _SCORES.validate_python(manifest.statistics["scores"])
            found.setdefault(steps[models[0].key], []).extend(scores)
    return [Scored(step, scores) for step, scores in sorted(found.items())]


def courses_of(store: Store, recipe: str) -> list[Course]:
    """The trainings of a recipe's last run in a store, those under way included, in the order of the run.

    Reads the run's events, so that a run need not have ended; StoreError for a store that cannot be read.
    """
    begun = _last_run(store.run_folder(recipe) / "events.jsonl")
    made = {key: artifact for _, key in begun if (artifact := store.get(key)) is not None}
    manifests = [artifact.manifest for artifact in made.values()]
    courses = []
    for call, key in begun:
        artifact = made.get(key)
        if artifact is not None:
            if is_training(artifact.manifest) and (artifact.path / LOG).is_file():
                courses.append(ended_course(call, artifact.manifest, _reader(artifact), manifests))
            continue
        staged = store.root / "staging" / key.removeprefix("sha256:") / "whole"
        outlook = read_outlook(staged / "view")
        if outlook is not None:
            courses.append(running_course(call, staged, outlook, now=time.time()))
    return courses


def _last_run(events: Path) -> list[tuple[str, str]]:
    """Name and key of each call that the last run of a recipe began or found made."""
    calls: dict[str, str] = {}
    for line in events.read_bytes().splitlines() if events.is_file() else ():
        try:
            event = json.loads(line)
        except ValueError:  # the last line, half written
            continue
        if event.get("event") == "run_started":
            calls = {}
        elif event.get("event") in ("call_started", "call_reused"):
            calls[event["call"]] = event["key"]
    return list(calls.items())


def has_ended(store: Store, recipe: str) -> bool:
    """Whether the last run of a recipe has said that it ended, well or not; one that was killed says nothing."""
    ends = ("run_finished", "run_failed", "run_interrupted")
    lines = (store.run_folder(recipe) / "events.jsonl").read_bytes().splitlines()
    return any(f'"event": "{end}"'.encode() in lines[-1] for end in ends) if lines else False


def _reader(artifact: Artifact) -> Read:
    def read(name: str) -> bytes | None:
        path = artifact.path / name
        return path.read_bytes() if path.is_file() else None

    return read


def running_course(call: str, staged: Path, outlook: Outlook, *, now: float) -> Course:
    """A training under way, or interrupted, from what it has written so far; `now` is a time as Moment has it."""
    files, moments = staged / "files", read_times(staged / "view")
    lines = _whole_lines(files / LOG)
    mix, validation = files / MIX, files / VALIDATION
    return Course(
        call=call,
        step="training under way",
        state=_progress(outlook, lines, moments, now),
        lines=lines,
        planned=outlook.steps,
        phases=outlook.phases,
        facts=_facts_so_far(outlook, lines, moments),
        throughput=throughput(moments),
        mix=Mix.model_validate_json(mix.read_bytes()) if mix.is_file() else None,
        validation=read_measurements(validation.read_bytes()) if validation.is_file() else (),
    )


def _whole_lines(path: Path) -> list[LogLine]:
    """The log, but for a last line that is being written."""
    data = path.read_bytes() if path.is_file() else b""
    whole = data[: data.rfind(b"\n") + 1]
    return read_log(whole)


def _progress(outlook: Outlook, lines: Sequence[LogLine], moments: Sequence[Moment], now: float) -> str:
    step = lines[-1].step if lines else 0
    said = f"Step {step:,} of {outlook.steps:,} ({step / outlook.steps:.1%})"
    if not moments:
        return f"{said}; it has not begun to train."
    silence = now - moments[-1].time
    if silence > QUIET_SECONDS:
        return f"{said}; nothing was heard of it for {in_words(silence)}: it is interrupted, or very slow."
    run = [moment for moment in moments if moment.run == moments[-1].run]
    done, seconds = run[-1].tokens - run[0].tokens, run[-1].seconds - run[0].seconds
    if not (done and seconds):
        return f"{said}; the first steps of this run are being taken."
    left = (outlook.tokens - run[-1].tokens) * seconds / done
    return f"{said}; about {in_words(left)} left, at the speed of this run."


def _facts_so_far(outlook: Outlook, lines: Sequence[LogLine], moments: Sequence[Moment]) -> list[tuple[str, str]]:
    rows = [
        ("Parameters", f"{outlook.parameters:,}"),
        ("Tokens", f"{lines[-1].tokens if lines else 0:,} of {outlook.tokens:,}"),
        ("Floating-point operations planned", f"{outlook.flops:.4g}"),
    ]
    if moments:
        last = {moment.run: moment for moment in moments}
        rows.append(("Runs", f"{len(last)}, which trained {in_words(sum(one.seconds for one in last.values()))}"))
        known = [one.joules for one in last.values() if one.joules is not None]
        measured = f"{sum(known) / 3.6e6:.4g} kWh so far ({outlook.energy_method})"
        rows.append(("Energy", measured if len(known) == len(last) else outlook.energy_method))
    speeds = throughput(list(moments))
    if speeds:
        rows.append(("Speed", f"{speeds[-1][1]:,.0f} tokens per second"))
        each = outlook.flops / outlook.tokens
        share = speeds[-1][1] * each / outlook.peak_flops_per_second
        peak = f"{outlook.peak_flops_per_second / 1e9:,.0f} GFLOP/s ({outlook.peak_method})"
        rows.append(("Model FLOPs utilisation", f"{share:.1%} of {peak}"))
    return rows
