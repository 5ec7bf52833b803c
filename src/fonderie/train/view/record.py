"""What is written while a training runs for people to watch, and never part of the artifact: it holds times.

    outlook.json             what is to be trained, and what of the machine was measured before
    times.jsonl              a line now and then: how far, how long, how much energy
    tensorboard/events.…     every step's figures, as TensorBoard reads them

Both lie in the folder `view` beside the artifact's files (core/store.py), and only grow: a run that goes on after
another adds to them. A report draws speed from `times.jsonl`; everything else of it comes from the artifact's log.
"""

import json
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

OUTLOOK, TIMES = "outlook.json", "times.jsonl"
TENSORBOARD = "tensorboard"
INTERVAL_SECONDS = 1.0
INTERVAL_SHARE = 1 / 500
"""A line a second at first, later each 1/500 of the run's time after the last: a week of training has 3,700."""


class Outlook(BaseModel):
    """What outlook.json holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: int
    """Of the model."""
    steps: int
    """Of the whole plan."""
    tokens: int
    """Inputs of all steps."""
    phases: tuple[tuple[str, int], ...]
    """Name and last step of each, in order."""
    flops: int
    """Of all steps, by the formula of model/config.py."""
    peak_flops_per_second: float
    peak_method: str
    energy_method: str
    """How energy is measured here, or why it is not."""


class Moment(BaseModel):
    """One line of times.jsonl."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: int
    """Which run of the training, from 1: one that was interrupted is gone on with by the next."""
    step: int
    """The last step that was done."""
    tokens: int
    """Inputs of all steps up to it."""
    seconds: float
    """Since this run began to train."""
    waited: float
    """Of these, spent waiting for batches."""
    joules: float | None
    """Measured since this run began to train; None where nothing measures it."""
    time: float
    """Seconds since 1970, UTC."""


def read_outlook(view: Path) -> Outlook | None:
    """What is to be trained; None if no training has begun to write here."""
    path = view / OUTLOOK
    return Outlook.model_validate_json(path.read_bytes()) if path.is_file() else None


def read_times(view: Path) -> list[Moment]:
    """Every whole line, in the order of writing; what a crash left half written is not there."""
    path = view / TIMES
    if not path.is_file():
        return []
    moments = []
    for line in path.read_bytes().splitlines():
        try:
            moments.append(Moment.model_validate_json(line))
        except ValidationError:
            continue
    return moments


def last_run(view: Path) -> int:
    """The number of the last run that wrote here; 0 if none did."""
    return max((moment.run for moment in read_times(view)), default=0)


class Times:
    """Appends to times.jsonl, rarely."""

    def __init__(self, view: Path) -> None:
        self._path = view / TIMES
        # A half line of a crash must not swallow the first one of ours.
        torn = self._path.is_file() and not self._path.read_bytes().endswith(b"\n") and self._path.stat().st_size
        self._file = self._path.open("a", encoding="utf-8")
        if torn:
            self._file.write("\n")
        self._due = 0.0

    def due(self, seconds: float) -> bool:
        """Whether it is time for a line."""
        return seconds >= self._due

    def write(self, moment: Moment) -> None:
        """One line."""
        self._file.write(json.dumps(moment.model_dump()) + "\n")
        self._file.flush()
        self._due = moment.seconds + max(INTERVAL_SECONDS, moment.seconds * INTERVAL_SHARE)

    def close(self) -> None:
        """Write no more."""
        self._file.close()


class Events:
    """TensorBoard's event files: TFRecords of its own messages, one a step.

    tensorboardX's messages and checksum are used, not its SummaryWriter: that one names the file after the machine,
    keeps a thread, and holds back what a killed process then loses.
    """

    def __init__(self, folder: Path, after: int) -> None:
        """Begin a file for the steps after one; TensorBoard then drops later steps of earlier files."""
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads files in the order of their names; the number tells two runs of one second apart.
        number = len(list(folder.glob("events.out.tfevents.*")))
        name = f"events.out.tfevents.{int(time.time()):010d}.{number:04d}"
        # Without a buffer: a step is with the system as soon as it is written, and a kill cannot lose it.
        self._file = (folder / name).open("wb", buffering=0)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=time.time(), step=after + 1, session_log=start))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """The figures of a step, by tag."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        found = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=found)))

    def _write(self, event: Any) -> None:
        """One TFRecord: length, its checksum, data, their checksum (TensorFlow's tutorial "TFRecord")."""
        from tensorboardX.record_writer import masked_crc32c

        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        check = [struct.pack("<I", masked_crc32c(part)) for part in (length, data)]
        self._file.write(length + check[0] + data + check[1])

    def close(self) -> None:
        """Write no more."""
        self._file.close()
