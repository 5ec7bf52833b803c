"""Small real steps: they read, write, map, fail and resume as those of a pipeline do, in milliseconds."""

import os
import signal
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, PositiveInt

from fonderie.core import steps
from fonderie.core.errors import LicenceError, RecipeError
from fonderie.core.machine import Machine
from fonderie.core.step import (
    CallName,
    Inputs,
    Output,
    Parameters,
    Policy,
    Port,
    RecipePolicy,
    Source,
    SourceFiles,
    Step,
    step,
)

HOLD_FILE = "FONDERIE_TOY_HOLD"
"""Environment variable: a file that `toy.hold` makes when it begins; it ends when the file is gone."""


KERNEL = "FONDERIE_TOY_KERNEL"
"""Environment variable: what `toy.apart` asks its process to begin with."""


class WriteParameters(Parameters):
    text: str = "bonjour"
    """What to write."""
    times: PositiveInt = 1
    """How often."""


@step("toy.write", version=1, parameters=WriteParameters, produces="texts")
def write(inputs: Inputs, params: WriteParameters, out: Output, machine: Machine) -> None:
    for index in range(params.times):
        (out.path / f"{index:03d}.txt").write_text(f"{params.text} {index}\n", encoding="utf-8")
    out.statistics["files"] = params.times


class ReadParameters(Parameters):
    path: SourceFiles
    """Text files."""
    licence: str = "CC0-1.0"
    source: CallName
    extra: SourceFiles | None = None
    policy: RecipePolicy


def refuse_unfree(params: ReadParameters, sources: Mapping[str, tuple[Source, ...]]) -> None:
    if "NC" in params.licence and params.licence not in params.policy.also_allow:
        raise LicenceError(f"{sources['path'][0].name} is under {params.licence}")


@step("toy.read", version=1, parameters=ReadParameters, produces="texts", preflight=refuse_unfree)
def read(inputs: Inputs, params: ReadParameters, out: Output, machine: Machine) -> None:
    for source in inputs.sources["path"]:
        target = out.path / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.path.read_bytes())


class UpperParameters(Parameters):
    mark: str = ""


@step(
    "toy.upper",
    version=1,
    parameters=UpperParameters,
    produces="texts",
    inputs={"texts": Port("texts", many=True), "aside": Port("texts", many=True, optional=True)},
)
def upper(inputs: Inputs, params: UpperParameters, out: Output, machine: Machine) -> None:
    """One file each, through the pool; comment lines are left out."""
    paths = [path for artifact in inputs.all("texts") for path in sorted(artifact.path.rglob("*.txt"))]
    jobs = [(path, out.path / f"{index:03d}.txt") for index, path in enumerate(paths)]
    out.statistics["lines"] = sum(machine.map(partial(_upper, mark=params.mark), jobs, label="upper"))


def _upper(job: tuple[Path, Path], mark: str) -> int:
    source, target = job
    lines = [line for line in source.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    target.write_text("".join(f"{mark}{line.upper()}\n" for line in lines), encoding="utf-8")
    return len(lines)


class CountParameters(Parameters):
    pass


@step("toy.count", version=1, parameters=CountParameters, produces="count", inputs={"texts": Port("texts")})
def count(inputs: Inputs, params: CountParameters, out: Output, machine: Machine) -> None:
    total = sum(path.stat().st_size for path in inputs.one("texts").path.rglob("*.txt"))
    (out.path / "count.txt").write_text(f"{total}\n", encoding="utf-8")


class HoldParameters(Parameters):
    limit_seconds: float = 30.0
    workers_hold: bool = False
    """Wait in the workers, not in the run itself."""


@step(
    "toy.hold",
    version=1,
    parameters=HoldParameters,
    produces="texts",
    inputs={"texts": Port("texts", optional=True)},
)
def hold(inputs: Inputs, params: HoldParameters, out: Output, machine: Machine) -> None:
    """Writes half, waits as long as the hold file is there, writes the rest."""
    (out.path / "first.txt").write_text("half\n", encoding="utf-8")
    if params.workers_hold:
        for _ in machine.map(_wait, [params.limit_seconds] * 2, label="holding"):
            pass
    else:
        _wait(params.limit_seconds)
    (out.path / "second.txt").write_text("whole\n", encoding="utf-8")


def _wait(limit_seconds: float) -> None:
    path = Path(os.environ[HOLD_FILE])
    if path.with_suffix(".skip").exists():
        return
    path.with_suffix(f".{os.getpid()}").touch()
    path.touch()
    until = time.monotonic() + limit_seconds
    while path.exists() and time.monotonic() < until:
        time.sleep(0.02)


class ResumeParameters(Parameters):
    steps: int = 3


@step("toy.resume", version=1, parameters=ResumeParameters, produces="texts", resumable=True)
def resume(inputs: Inputs, params: ResumeParameters, out: Output, machine: Machine) -> None:
    """Counts to `steps` and stops dead at the second of the first making, as a killed training would."""
    done = out.state / "done"
    start = int(done.read_text()) if done.exists() else 0
    for number in range(start, params.steps):
        done.write_text(str(number + 1))
        if number == 1 and start == 0:
            raise RuntimeError("the power went")
    (out.path / "steps.txt").write_text(f"{params.steps}\n")
    out.measured["resumed_at"] = start


class NestedModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    depth: int = 1
    width: int = 8


class AwkwardParameters(Parameters):
    """Every kind of field whose errors pydantic tells in its own way."""

    model: NestedModel = NestedModel()
    layers: tuple[NestedModel, ...] = ()
    maybe: NestedModel | None = None
    size: int | tuple[int, ...] = 1
    """Bytes, or bytes of each."""
    rate: float = 0.5
    betas: tuple[float, float] = (0.9, 0.99)
    """Of both averages."""
    names: tuple[str, ...] = ()
    """Languages."""
    needed: str


@step("toy.awkward", version=1, parameters=AwkwardParameters, produces="texts")
def awkward(inputs: Inputs, params: AwkwardParameters, out: Output, machine: Machine) -> None:
    (out.path / "empty.txt").touch()


class NastyParameters(Parameters):
    what: str


@step("toy.nasty", version=1, parameters=NastyParameters, produces="texts")
def nasty(inputs: Inputs, params: NastyParameters, out: Output, machine: Machine) -> None:
    """Writes what an artifact cannot hold, or fails in some way."""
    (out.path / "good.txt").write_text("good\n")
    if params.what == "link":
        (out.path / "link.txt").symlink_to("/etc/hostname")
    elif params.what == "pipe":
        os.mkfifo(out.path / "pipe")
    elif params.what == "latin-1 name":
        (out.path / os.fsdecode(b"\xe9t\xe9.txt")).touch()
    elif params.what == "odd names":
        for name in ("a b", "é", "\\", "line\nbreak", "[x]*?", ".hidden"):
            (out.path / name).write_text(name)
    elif params.what == "empty folder":
        (out.path / "a" / "b").mkdir(parents=True)
    elif params.what == "exit":
        raise SystemExit(0)
    elif params.what == "numpy":
        out.statistics["mean"] = object()
    elif params.what == "large":
        (out.path / "large.txt").write_bytes(b"x" * 5_000_000)
    else:
        raise ValueError(params.what)


class ApartParameters(Parameters):
    kernel: str | None = None
    """What the process must have begun with."""
    ending: str = "well"

    def variables(self) -> Mapping[str, str]:
        return {KERNEL: self.kernel} if self.kernel else {}


class StubbornError(Exception):
    """Cannot be unpickled: its arguments are not those it is made of."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one + other)


@step("toy.apart", version=1, parameters=ApartParameters, produces="texts", resumable=True)
def apart(inputs: Inputs, params: ApartParameters, out: Output, machine: Machine) -> None:
    """Says what its process began with, then ends as it is told."""
    machine.reporter.say(f"process {os.getpid()}")
    machine.note("toy", kernel=os.environ.get(KERNEL))
    with machine.bar("computing", 3, "steps") as bar:
        bar.skip(1)
        bar.advance(2, "loss 1.5")
        _end(params.ending, out)
    (out.path / "kernel.txt").write_text(f"{os.environ.get(KERNEL)}\n")
    out.statistics["files"] = 1
    out.measured["process"] = os.getpid()


def _end(ending: str, out: Output) -> None:
    if ending == "refused":
        raise LicenceError("not free", hint="Ask.")
    if ending == "stubborn":
        raise StubbornError("a", "b")
    if ending == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if ending == "never":
        (out.state / "pid").write_text(str(os.getpid()))
        time.sleep(60)


class BundleParameters(Parameters):
    pass


@step(
    "toy.bundle",
    version=1,
    parameters=BundleParameters,
    produces="release",
    inputs={"texts": Port("texts")},
    needs_lock=True,
)
def bundle(inputs: Inputs, params: BundleParameters, out: Output, machine: Machine) -> None:
    for name in ("recipe.toml", "lock.json"):
        (out.path / name).write_bytes((inputs.one("lock").path / name).read_bytes())
    lineage = [artifact.key for artifact in inputs.one("texts").lineage()]
    (out.path / "lineage.txt").write_text("\n".join(lineage))


STEPS = {found.name: found for found in (write, read, upper, count, hold, resume, awkward, nasty, apart, bundle)}


def find_step(name: str) -> Step:
    """The toys; for other names the real registry, with its error."""
    try:
        return STEPS.get(name) or steps.find_step(name)
    except RecipeError as error:
        raise RecipeError(error.message, hint=f"Known: {', '.join(STEPS)}.") from None


__all__ = ["HOLD_FILE", "STEPS", "Policy", "find_step"]
