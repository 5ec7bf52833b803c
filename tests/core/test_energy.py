"""Energy is what counters say, summed over the runs of a making; and what none says is not made up."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.core.helpers import Bench

from fonderie.core import energy
from fonderie.core.energy import EnergyMeter, Usage, earlier_runs, gpu_counters, meter_for
from fonderie.core.errors import StoreError, UsageError
from fonderie.core.machine import Machine


def _zone(folder: Path, zone: str, name: str, microjoules: int, reach: int | None = 1_000_000) -> Path:
    path = folder / zone
    path.mkdir()
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    if reach is not None:
        (path / "max_energy_range_uj").write_text(f"{reach}\n")
    return path


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    zones = [
        _zone(tmp_path, "intel-rapl:0", "package-0", 100),
        _zone(tmp_path, "intel-rapl:1", "package-1", 200),
        _zone(tmp_path, "intel-rapl:2", "psys", 300),
        _zone(tmp_path, "intel-rapl:0:0", "core", 400),
    ]
    (tmp_path / "intel-rapl").mkdir()
    meter = EnergyMeter(tmp_path)
    for zone in zones:
        (zone / "energy_uj").write_text("2500200\n")
    assert meter.read()["joules"] == (2_500_100 + 2_500_000) / 1e6


def test_a_counter_that_wraps_is_carried_over(tmp_path: Path) -> None:
    zone = _zone(tmp_path, "intel-rapl:0", "package-0", 900_000)
    meter = EnergyMeter(tmp_path)
    (zone / "energy_uj").write_text("100000")
    assert meter.read()["joules"] == 0.2


def test_a_counter_that_wraps_at_an_unknown_range_is_no_measure(tmp_path: Path) -> None:
    zone = _zone(tmp_path, "intel-rapl:0", "package-0", 900_000, reach=None)
    meter = EnergyMeter(tmp_path)
    (zone / "energy_uj").write_text("100000")
    assert meter.read()["joules"] is None


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    assert EnergyMeter(tmp_path / "absent").read() == {
        "joules": None,
        "method": "not measured: no readable RAPL counter",
    }


def test_a_counter_that_disappears_is_said(tmp_path: Path) -> None:
    zone = _zone(tmp_path, "intel-rapl:0", "package-0", 1)
    meter = EnergyMeter(tmp_path)
    (zone / "energy_uj").unlink()
    assert meter.read()["joules"] is None


class Boards:
    """NVML as an NVIDIA driver answers, for boards whose counters the test sets: there is no such board here."""

    class NVMLError(Exception):
        pass

    def __init__(self, *millijoules: int | None) -> None:
        self.counters = list(millijoules)

    def nvmlDeviceGetCount(self) -> int:
        return len(self.counters)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetHandleByUUID(self, name: str) -> int:
        return int(name.removeprefix("GPU-"))

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        counter = self.counters[handle]
        if counter is None:
            raise self.NVMLError("not supported")
        return counter


def test_boards_are_added_to_the_processor_and_what_is_missing_is_named(tmp_path: Path) -> None:
    boards = Boards(1_000, 5_000)
    alone = EnergyMeter(tmp_path / "absent", boards)
    zone = _zone(tmp_path, "intel-rapl:0", "package-0", 0)
    both = EnergyMeter(tmp_path, boards)
    boards.counters = [3_000, 9_500]
    zone.joinpath("energy_uj").write_text("500000")
    assert alone.read() == {
        "joules": 6.5,
        "method": "NVML, 2 GPU boards whole, everything that ran on them included; "
        "processor: not measured: no readable RAPL counter",
    }
    assert both.read()["joules"] == 7.0
    assert "processor: RAPL" in both.read()["method"]


def test_only_the_boards_that_cuda_may_use_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for visible, expected in (("1", 2.0), ("GPU-0", 1.0), ("0, 1", 3.0), ("", None)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        boards = Boards(0, 0)
        meter = EnergyMeter(tmp_path, boards)
        boards.counters = [1_000, 2_000]
        assert meter.read()["joules"] == expected, visible


def test_boards_without_a_counter_are_said(tmp_path: Path) -> None:
    assert EnergyMeter(tmp_path, Boards(None)).read() == {
        "joules": None,
        "method": "GPUs: not measured: NVML reads no energy counter here; "
        "processor: not measured: no readable RAPL counter",
    }


def test_a_meter_asks_for_boards_only_where_they_compute() -> None:
    assert meter_for("cpu")._nvml is None
    # Without a driver NVML is absent, and that is no error.
    found = gpu_counters()
    assert found is None or found.nvmlDeviceGetCount() >= 0


class Clock(SimpleNamespace):
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _run(folder: Path, record: Path, joules: float | None, seconds: float, **site: Any) -> Usage:
    """One run that used so much in so long, and whose record outlives it."""
    zone, clock = folder / "intel-rapl:0", Clock()
    if joules is None:
        usage = Usage(EnergyMeter(folder / "absent"), record, clock=clock, **site)
    else:
        zone.joinpath("energy_uj").write_text("0")
        usage = Usage(EnergyMeter(folder), record, clock=clock, **site)
        zone.joinpath("energy_uj").write_text(str(round(joules * 1e6)))
    clock.now = seconds
    usage.write()
    return usage


def test_energy_is_summed_over_the_runs_of_a_making(tmp_path: Path) -> None:
    _zone(tmp_path, "intel-rapl:0", "package-0", 0, reach=10**12)
    record = tmp_path / "usage.json"
    first = _run(tmp_path, record, 10.0, 2.0).total()
    assert first == {
        "joules": 10.0,
        "method": "RAPL, whole processor packages, everything that ran on them included",
        "country": "not stated",
    }
    _run(tmp_path, record, 5.0, 1.5)
    third = _run(tmp_path, record, 1.0, 0.5, country="FR", watts=20.0).total()
    assert third == {
        "joules": 16.0,
        "method": "RAPL, whole processor packages, everything that ran on them included; 3 runs, one that was killed "
        "counted to at most 5 s before its end",
        "country": "FR",
        "runs": 3,
        "seconds": 4.0,
        "estimate": {"joules": 80.0, "formula": "20 W, stated by the operator, x 4.0 s"},
    }


def test_a_run_that_was_not_measured_leaves_no_sum(tmp_path: Path) -> None:
    _zone(tmp_path, "intel-rapl:0", "package-0", 0, reach=10**12)
    record = tmp_path / "usage.json"
    _run(tmp_path, record, 10.0, 2.0)
    total = _run(tmp_path, record, None, 1.0).total()
    assert total["joules"] is None
    assert total["method"].startswith("not measured in 1 of 2 runs: RAPL")


@pytest.mark.parametrize("text", ["[{", "5", '[{"seconds": "x", "joules": 1}]', '[{"seconds": 1}]', "[7]"])
def test_a_damaged_record_of_earlier_runs_is_named(text: str, tmp_path: Path) -> None:
    record = tmp_path / "usage.json"
    record.write_text(text)
    with pytest.raises(StoreError, match=r"usage\.json does not say what earlier runs used"):
        earlier_runs(record)


def test_several_nodes_are_not_measured_by_the_first(tmp_path: Path) -> None:
    _zone(tmp_path, "intel-rapl:0", "package-0", 0, reach=10**12)
    total = _run(tmp_path, tmp_path / "usage.json", 10.0, 2.0, nodes=4, watts=5.0).total()
    assert (total["joules"], total["first_node_joules"]) == (None, 10.0)
    assert total["method"].startswith("not measured on 3 of 4 nodes; on the first: RAPL")
    assert total["estimate"] == {"joules": 40.0, "formula": "5 W, stated by the operator, x 2.0 s x 4 nodes"}


def test_a_run_writes_now_and_then_what_it_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "NOTE_SECONDS", 0.01)
    record = tmp_path / "usage.json"
    with Usage(EnergyMeter(tmp_path), record):
        while not record.exists():
            pass
    (run,) = json.loads(record.read_bytes())
    assert run["seconds"] > 0
    assert run["method"].startswith("not measured")


def test_the_manifest_sums_an_interrupted_making(tmp_path: Path) -> None:
    bench = Bench(tmp_path).write('[one]\nstep = "toy.resume"\n')
    with pytest.raises(Exception, match="the power went"):
        bench.run()
    made = bench.run().artifacts["one"].manifest
    assert made.measured["resumed_at"] == 2
    assert made.energy["runs"] == 2
    assert made.energy["seconds"] >= made.duration_seconds
    assert made.energy["country"] == "not stated"
    assert "estimate" not in made.energy


def test_a_country_and_a_power_are_refused_where_they_can_be_none() -> None:
    for wrong in ({"country": "France"}, {"country": "fr"}, {"watts": 0.0}, {"watts": float("nan")}):
        with pytest.raises(UsageError):
            Machine(**wrong)  # type: ignore[arg-type]
