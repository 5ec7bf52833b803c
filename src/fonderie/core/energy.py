"""Energy of a step, from the machine's own counters where the system lets us read them.

Intel and AMD processors count the energy of each package (RAPL); Linux shows it as microjoules below
/sys/class/powercap (kernel documentation, "Power Capping Framework"). Since 2020 most distributions let only root
read it (CVE-2020-8694), and virtual machines do not show it. NVIDIA's GPUs since Volta count the energy of the
whole board in millijoules (NVML, nvmlDeviceGetTotalEnergyConsumption). Where nothing can be read nothing is
measured, and the manifest says so; what an operator states of the machine's power gives an estimate, which stands
apart from every measurement with its formula. Why counters and not CodeCarbon: docs/decisions/0029-in-view.md.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fonderie.core.errors import StoreError
from fonderie.core.files import write_atomically

POWERCAP = Path("/sys/class/powercap")
USAGE = "usage.json"
"""In the state of a resumable step: what its runs have used so far."""
NOTE_SECONDS = 5.0
"""How often a run writes down what it has used, and so how much a killed one loses at most."""
NOT_STATED = "not stated"


class EnergyMeter:
    """Reads the counters at construction and again at `read`."""

    def __init__(self, powercap: Path = POWERCAP, nvml: Any = None) -> None:
        """`nvml` is the module pynvml, initialised, where GPUs compute: see `gpu_counters`."""
        self._packages = [path for path in sorted(powercap.glob("intel-rapl:*")) if _is_package(path)]
        self._nvml = nvml
        self._gpus = _visible(nvml) if nvml else []
        self._start = self._counters()
        self._gpu_start = self._gpu_counters()

    def _counters(self) -> list[int] | None:
        try:
            counters = [int((path / "energy_uj").read_text()) for path in self._packages]
        except (OSError, ValueError):
            return None
        return counters or None

    def _gpu_counters(self) -> list[int] | None:
        if self._nvml is None:
            return None
        try:
            counters = [int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) for gpu in self._gpus]
        except self._nvml.NVMLError:  # boards before Volta have no such counter
            return None
        return counters or None

    def read(self) -> dict[str, Any]:
        """Joules since construction, with the method; `joules` is None where nothing can be read."""
        processor, how = self._processor()
        if self._nvml is None:
            return {"joules": processor, "method": how}
        boards, counted = self._boards()
        known = [joules for joules in (processor, boards) if joules is not None]
        # A part that is not measured is named, so that the sum is not taken for the whole machine's.
        return {"joules": sum(known) if known else None, "method": f"{counted}; processor: {how}"}

    def _processor(self) -> tuple[float | None, str]:
        end = self._counters()
        if self._start is None or end is None:
            return None, "not measured: no readable RAPL counter"
        microjoules = 0
        for package, before, after in zip(self._packages, self._start, end, strict=True):
            microjoules += after - before
            if after < before:  # the counter wrapped around; a step longer than one turn is undercounted
                try:
                    microjoules += int((package / "max_energy_range_uj").read_text())
                except (OSError, ValueError):
                    return None, "not measured: a RAPL counter wrapped at an unknown range"
        return microjoules / 1e6, "RAPL, whole processor packages, everything that ran on them included"

    def _boards(self) -> tuple[float | None, str]:
        end = self._gpu_counters()
        if self._gpu_start is None or end is None:
            return None, "GPUs: not measured: NVML reads no energy counter here"
        joules = (sum(end) - sum(self._gpu_start)) / 1e3
        boards = f"{len(end)} GPU boards" if len(end) > 1 else "1 GPU board"
        return joules, f"NVML, {boards} whole, everything that ran on them included"


def gpu_counters() -> Any:
    """NVML, initialised; None where there is no NVIDIA driver to ask."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def meter_for(device: str) -> EnergyMeter:
    """A meter of the processor, and of the GPUs where they compute."""
    return EnergyMeter(nvml=gpu_counters() if device.startswith("cuda") else None)


class Usage:
    """Energy and time of one making, summed over the runs that it took; use as a context manager.

    `record` is a file that outlives a killed run: every few seconds this run writes into it what it has used so
    far, and the next run adds to that. Without one, only this run counts.
    """

    def __init__(
        self,
        meter: EnergyMeter,
        record: Path | None = None,
        *,
        country: str | None = None,
        watts: float | None = None,
        nodes: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._meter, self._record, self._clock = meter, record, clock
        self._country, self._watts, self._nodes = country, watts, nodes
        self._earlier = earlier_runs(record)
        self._begun = clock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write_now_and_then, daemon=True)

    def __enter__(self) -> Self:
        if self._record is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._record is not None:
            self._thread.join()
            # Written once more, so that an interrupted run is counted to its end; a full disk has its own error.
            with suppress(OSError):
                self.write()

    def write(self) -> None:
        """Write down what this and earlier runs used."""
        if self._record is not None:
            write_atomically(self._record, json.dumps([*self._earlier, self._now()]).encode("utf-8"))

    def total(self) -> dict[str, Any]:
        """What the manifest says of energy: see `fonderie.core.manifest.Manifest.energy`."""
        runs = [*self._earlier, self._now()]
        seconds = sum(run["seconds"] for run in runs)
        known = [run["joules"] for run in runs if run["joules"] is not None]
        found: dict[str, Any] = {
            "joules": sum(known) if len(known) == len(runs) else None,
            "method": _methods(runs, len(known)),
            "country": self._country or NOT_STATED,
        }
        if self._nodes > 1:
            # A sum over nodes of which only this one was read is no sum.
            method = f"not measured on {self._nodes - 1} of {self._nodes} nodes; on the first: {found['method']}"
            found |= {"joules": None, "method": method, "first_node_joules": found["joules"]}
        if len(runs) > 1:
            found |= {"runs": len(runs), "seconds": round(seconds, 3)}
        if self._watts is not None:
            nodes = f" x {self._nodes} nodes" if self._nodes > 1 else ""
            formula = f"{self._watts:g} W, stated by the operator, x {seconds:,.1f} s{nodes}"
            found["estimate"] = {"joules": round(self._watts * seconds * self._nodes, 3), "formula": formula}
        return found

    def _now(self) -> dict[str, Any]:
        return {"seconds": round(self._clock() - self._begun, 3), **self._meter.read()}

    def _write_now_and_then(self) -> None:
        while True:
            with suppress(OSError):
                self.write()
            if self._ended.wait(NOTE_SECONDS):
                return


def earlier_runs(record: Path | None) -> list[dict[str, Any]]:
    """What runs that were interrupted wrote down: seconds, joules and method of each."""
    if record is None or not record.exists():
        return []
    try:
        runs = json.loads(record.read_bytes())
        return [{**run, "seconds": float(run["seconds"]), "joules": run["joules"]} for run in runs]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{record} does not say what earlier runs used: {error}",
            hint="Remove it, and their energy and time are not counted.",
        ) from error


def _methods(runs: list[dict[str, Any]], known: int) -> str:
    if len(runs) == 1:
        return str(runs[0]["method"])
    methods = "; ".join(dict.fromkeys(str(run["method"]) for run in runs))
    if 0 < known < len(runs):
        return f"not measured in {len(runs) - known} of {len(runs)} runs: {methods}"
    if not known:
        return methods
    return f"{methods}; {len(runs)} runs, one that was killed counted to at most {NOTE_SECONDS:g} s before its end"


def _visible(nvml: Any, environment: Mapping[str, str] = os.environ) -> list[Any]:
    """Handles of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them: numbers, or UUIDs."""
    count = nvml.nvmlDeviceGetCount()
    names = environment.get("CUDA_VISIBLE_DEVICES")
    wanted = (
        [str(index) for index in range(count)] if names is None else [name.strip() for name in names.split(",")]
    )
    return [
        nvml.nvmlDeviceGetHandleByIndex(int(name)) if name.isdigit() else nvml.nvmlDeviceGetHandleByUUID(name)
        for name in wanted
        if name
    ]


def _is_package(path: Path) -> bool:
    # intel-rapl:0:1 is a part of intel-rapl:0, and the zone "psys" holds the packages: both would count twice.
    try:
        return path.name.count(":") == 1 and (path / "name").read_text().startswith("package")
    except OSError:
        return False
