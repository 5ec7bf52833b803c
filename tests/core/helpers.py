"""What the tests of runs share: a recipe written to a folder, run on a store; and a run as a real process."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.core.toy_steps import HOLD_FILE, find_step

from fonderie.core.machine import Machine
from fonderie.core.recipe import Recipe, load_recipe
from fonderie.core.run import RunResult, run_recipe
from fonderie.core.store import Store

ROOT = Path(__file__).resolve().parents[2]

RUN_SCRIPT = """
import sys
from pathlib import Path
from fonderie.core.errors import FonderieError
from tests.core.helpers import Bench

if __name__ == "__main__":
    bench = Bench(Path(sys.argv[1]))
    try:
        result = bench.run(wait="no-wait" not in sys.argv, workers=2 if "pool" in sys.argv else 1, say=True)
    except KeyboardInterrupt:
        sys.exit(130)
    except FonderieError as error:
        print(type(error).__name__, error)
        sys.exit(error.exit_status)
    print("made", *result.made)
"""


@dataclass
class Said:
    """A reporter that keeps what it is told."""

    lines: list[str] = field(default_factory=list)
    aloud: bool = False

    def say(self, text: str) -> None:
        self.lines.append(text)
        if self.aloud:
            print(text, flush=True)  # noqa: T201

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator["Said"]:
        yield self

    def advance(self, count: int = 1, note: str = "") -> None:
        self.lines.append(f"+{count}")

    def skip(self, count: int) -> None:
        self.lines.append(f"at {count}")


@dataclass
class Bench:
    """A folder with a recipe and a store."""

    folder: Path

    @property
    def store_path(self) -> Path:
        return self.folder / "store"

    @property
    def hold_file(self) -> Path:
        return self.folder / "hold"

    def write(self, text: str) -> "Bench":
        (self.folder / "toy.toml").write_text(text, encoding="utf-8")
        return self

    def load(self, *overrides: str) -> Recipe:
        return load_recipe(self.folder / "toy.toml", overrides, find_step)

    def run(
        self,
        *overrides: str,
        workers: int = 1,
        until: str | None = None,
        wait: bool = True,
        say: bool = False,
    ) -> RunResult:
        machine = Machine(workers=workers, reporter=Said(aloud=say))
        return run_recipe(self.load(*overrides), Store(self.store_path), machine, until=until, wait=wait)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The same run as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", RUN_SCRIPT, str(self.folder), *words],
            env={**os.environ, "PYTHONPATH": str(ROOT), HOLD_FILE: str(self.hold_file)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str], words: Sequence[str] = ()) -> str:
        """Its output once it has ended well."""
        output, errors = process.communicate(timeout=30)
        assert process.returncode == 0, output + errors
        return output


def wait_for(path: Path, limit_seconds: float = 20.0) -> None:
    until = time.monotonic() + limit_seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not appear"
        time.sleep(0.02)
