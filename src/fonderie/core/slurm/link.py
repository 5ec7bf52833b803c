"""What one job of a chain does: run, pause before the limit, and leave word for the next.

    <stage>.chain       what to run, as submit.py wrote it
    <stage>.finished    there once everything has been made: later links end at once
    <stage>.failures    how many links in a row failed
    stop                the kill switch: whoever makes this file ends the chain, with a checkpoint

The batch script becomes this process, so it gets the signal that Slurm sends before the limit, passes it to
`fonderie run`, which writes a checkpoint and ends, and asks for its job to be queued again. Of what can go wrong,
each way ends in words in the job's output.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fonderie.core.files import write_atomically

CHAIN, FINISHED, FAILURES, STOP = "chain", "finished", "failures", "stop"
LOOK_SECONDS = 0.2
"""How often the kill switch is looked for."""
WRONG_REQUEST = 2
"""The exit status of `fonderie run` for a request that will not be better the next time."""


@dataclass
class Link:
    """One job of a chain."""

    folder: Path
    stage: str
    slurm: Callable[[Sequence[str]], None]
    """Runs a command of Slurm's."""
    say: Callable[[str], None]
    warned: bool = False
    """Whether the limit is near."""

    def run(self) -> int:
        """Run the chain's commands; returns the job's exit status."""
        chain: dict[str, Any] = json.loads(self._file(CHAIN).read_bytes())
        if self._file(FINISHED).exists():
            self.say("an earlier link finished; nothing is left to do")
            return 0
        before = chain["after"]
        if before is not None and not (self.folder / f"{before}.{FINISHED}").exists():
            self.say(f"the jobs before this one ({before}) did not finish")
            self._end_chain()
            return 1
        for number, command in enumerate(chain["commands"]):
            if self._stopped():
                return self._stop()
            if self.warned and number:  # what the commands before made is kept
                return self._again()
            if self.warned:  # to be queued again would come to the same, for ever
                self.say("the limit was near before anything began: is set-up slow, or warn_seconds too many?")
                return self._failed(1, chain)
            status = self._call(command, Path(chain["folder"]))
            if status:
                return self._unfinished(status, chain)
        write_atomically(self._file(FINISHED), b"")
        self.say("finished")
        self._end_chain()
        return 0

    def warn(self) -> None:
        """Slurm says that the limit is near."""
        self.warned = True
        self.say("the time limit is near: a checkpoint is asked for")

    def _call(self, command: Sequence[str], folder: Path) -> int:
        # A program that has not yet said what it does with the signal would die of it: it is ignored until then.
        with subprocess.Popen(command, cwd=folder, preexec_fn=_ignore) as child:  # noqa: PLW1509 - no threads here
            told = False
            while child.poll() is None:
                if not told and self._stopped():
                    told = True
                    self.say(f"{self.folder / STOP} is there: a checkpoint is asked for")
                if told or self.warned:
                    # Again and again, for the same reason; one wish or several are the same.
                    child.send_signal(signal.SIGUSR1)
                time.sleep(LOOK_SECONDS)
            return child.returncode

    def _unfinished(self, status: int, chain: dict[str, Any]) -> int:
        paused = (self.warned or self._stopped()) and _last_event(Path(chain["events"])) == "run_interrupted"
        if paused:
            self._file(FAILURES).unlink(missing_ok=True)
            return self._stop() if self._stopped() else self._again()
        if status == WRONG_REQUEST:
            self.say("the request is wrong, and would be the next time: the chain ends")
            self._end_chain()
            return status
        return self._failed(status, chain)

    def _failed(self, status: int, chain: dict[str, Any]) -> int:
        failures = 1 + (int(self._file(FAILURES).read_text()) if self._file(FAILURES).exists() else 0)
        write_atomically(self._file(FAILURES), str(failures).encode("ascii"))
        if failures >= chain["attempts"]:
            self.say(f"failed {failures} times in a row: the chain ends")
            self._end_chain()
        else:
            self.say(f"failed; the next link tries again ({failures} of {chain['attempts']} attempts)")
        return max(status, 1)

    def _again(self) -> int:
        self.say("paused, with all that is done kept; this job is queued again")
        self.slurm(["scontrol", "requeue", _own_number()])
        return 0

    def _stop(self) -> int:
        self.say(f"stopped by {self.folder / STOP}; remove it and submit again to go on")
        self._end_chain()
        return 0

    def _end_chain(self) -> None:
        """Cancel the links that wait; this one ends by itself."""
        self.slurm(["scancel", "--state=PENDING", os.environ.get("SLURM_ARRAY_JOB_ID", _own_number())])

    def _stopped(self) -> bool:
        return (self.folder / STOP).exists()

    def _file(self, kind: str) -> Path:
        return self.folder / f"{self.stage}.{kind}"


def _ignore() -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def _own_number() -> str:
    array, task = (os.environ.get(name) for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"))
    return f"{array}_{task}" if array and task else os.environ["SLURM_JOB_ID"]


def _last_event(events: Path) -> str | None:
    """How the last run ended, by its own log."""
    try:
        whole = events.read_bytes().rpartition(b"\n")[0]  # a full disk may have left half a line behind it
    except OSError:
        return None
    return str(json.loads(whole.rpartition(b"\n")[2])["event"]) if whole else None


def main() -> int:
    """Be the job's process."""
    link = Link(Path(sys.argv[1]), sys.argv[2], slurm=_slurm, say=_say)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: link.warn())
    return link.run()


def _slurm(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        _say(f"{' '.join(command)} failed: {done.stderr.strip()}")


def _say(text: str) -> None:
    sys.stdout.write(f"[{time.strftime('%Y-%m-%dT%H:%M:%S%z')}] {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
