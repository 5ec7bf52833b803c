"""fonderie doctor: what this machine has, what is missing, and how to get it."""

import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from rich.table import Table

from fonderie.core.energy import EnergyMeter
from fonderie.core.environment import installed_version, memory_bytes, processor_name
from fonderie.core.machine import available_cores

Status = Literal["ok", "note", "missing"]

_GIB = 1 << 30


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    name: str
    status: Status
    """ "missing" stops some command; "note" only limits what can be done."""
    found: str
    remedy: str = ""


def examine(store: Path) -> list[Check]:
    """Look at Python, libraries, processor, accelerator, compiler, energy counters and disk."""
    return [*_libraries(), *_machine(), _accelerator(), _compiler(), _energy(), _disk(store)]


def render(checks: list[Check]) -> Table:
    """The checks as a table for the terminal."""
    marks = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "missing": "[red]missing[/red]"}
    table = Table(box=None, pad_edge=False)
    for heading in ("", "what", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        table.add_row(marks[check.status], check.name, check.found, check.remedy)
    return table


def _libraries() -> list[Check]:
    checks = [Check("python", "ok", platform.python_version())]
    for text in requires("fonderie") or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = installed_version(requirement.name)
        if found is None:
            remedy = f"pip install -c constraints.txt '{requirement}'"
            checks.append(Check(requirement.name, "missing", "not installed", remedy))
        elif not requirement.specifier.contains(found, prereleases=True):
            remedy = f"pip install -c constraints.txt '{requirement}'"
            checks.append(Check(requirement.name, "missing", f"{found}, too old", remedy))
        else:
            checks.append(Check(requirement.name, "ok", found))
    return checks


def _machine() -> list[Check]:
    memory = memory_bytes()
    return [
        Check("processor", "ok", f"{processor_name()}, {available_cores()} cores usable"),
        Check("memory", "ok", "unknown" if memory is None else f"{memory / _GIB:.1f} GiB"),
    ]


def _accelerator() -> Check:
    if installed_version("torch") is None:
        return Check("GPU", "note", "torch is not installed", "see torch above")
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Check("GPU", "ok", ", ".join(names), "fonderie run --device cuda")
    return Check("GPU", "note", "none that torch sees", "not needed; training large models on the CPU is slow")


def _compiler() -> Check:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler:
        return Check("C++ compiler", "ok", compiler)
    return Check(
        "C++ compiler",
        "note",
        "none",
        "only for compile = true in training: apt-get install g++ (or your system's)",
    )


def _energy() -> Check:
    reading = EnergyMeter().read()
    if reading["joules"] is None:
        return Check("energy", "note", reading["method"], "manifests will say that energy was not measured")
    return Check("energy", "ok", reading["method"])


def _disk(store: Path) -> Check:
    place = next(folder for folder in (store.resolve(), *store.resolve().parents) if folder.exists())
    free = shutil.disk_usage(place).free / _GIB
    if free < 1:
        return Check("disk", "missing", f"{free:.1f} GiB free for {store}", "the demo needs 1 GiB; free some space")
    return Check("disk", "ok", f"{free:.1f} GiB free for {store}")
