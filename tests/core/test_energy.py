from pathlib import Path

from fonderie.core.energy import EnergyMeter


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
