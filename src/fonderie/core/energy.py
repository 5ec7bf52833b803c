"""Energy of a step, from the processor's own counters where the system lets us read them.

Intel and AMD processors count the energy of each package (RAPL); Linux shows it as microjoules below
/sys/class/powercap (kernel documentation, "Power Capping Framework"). Since 2020 most distributions let only root
read it (CVE-2020-8694), and virtual machines do not show it: then nothing is measured, and the manifest says so.
"""

from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Reads the package counters at construction and again at `read`."""

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._packages = [path for path in sorted(powercap.glob("intel-rapl:*")) if _is_package(path)]
        self._start = self._counters()

    def _counters(self) -> list[int] | None:
        try:
            counters = [int((path / "energy_uj").read_text()) for path in self._packages]
        except (OSError, ValueError):
            return None
        return counters or None

    def read(self) -> dict[str, Any]:
        """Joules since construction, with the method; `joules` is None where nothing can be read."""
        end = self._counters()
        if self._start is None or end is None:
            return {"joules": None, "method": "not measured: no readable RAPL counter"}
        microjoules = 0
        for package, before, after in zip(self._packages, self._start, end, strict=True):
            microjoules += after - before
            if after < before:  # the counter wrapped around; a step longer than one turn is undercounted
                try:
                    microjoules += int((package / "max_energy_range_uj").read_text())
                except (OSError, ValueError):
                    return {"joules": None, "method": "not measured: a RAPL counter wrapped at an unknown range"}
        return {
            "joules": microjoules / 1e6,
            "method": "RAPL, whole processor packages, everything that ran on them included",
        }


def _is_package(path: Path) -> bool:
    # intel-rapl:0:1 is a part of intel-rapl:0, and the zone "psys" holds the packages: both would count twice.
    try:
        return path.name.count(":") == 1 and (path / "name").read_text().startswith("package")
    except OSError:
        return False
