"""Every comparison of the corpus steps with their peers, one after the other, and what is asked of each.

python benchmarks/corpus.py [--corpora DIR] [--only PART …]      needs pip install 'fonderie[peers,test]'

Each part is a file beside this one, whose `main` measures ours and the peer in turn on the same real input and
prints one JSON line for each comparison: {"name", "peer", "ratio", "n", "detail"}; ratio is the peer's time over
ours, per core, in medians. Lines of JSON pass through; what else a part says goes to standard error. Exit status 1
if a part fails, prints none of the comparisons asked of it, or misses its bar.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PARTS = ("filters", "dedup", "pii", "readers", "engines")
BARS = {
    "filters_vs_datatrove": 15.0,
    "filters_vs_datatrove_default": 80.0,
    "read_filter_write_vs_datatrove": 15.0,
    "minhash_vs_datatrove": 12.0,
    "pii_vs_datatrove": 10.0,
    "two_workers": 1.8,
}
"""The least ratio of each comparison that has one."""
ASKED_OF = {
    "filters": ("filters_vs_datatrove", "filters_vs_datatrove_default", "read_filter_write_vs_datatrove"),
    "dedup": ("minhash_vs_datatrove",),
    "pii": ("pii_vs_datatrove",),
    "engines": ("two_workers",),
}


def main() -> int:
    """Run the parts; exit status 1 if one fails or misses a bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--corpora", type=Path, default=Path(os.environ.get("FONDERIE_CORPORA", "../shared/corpora"))
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    asked = parser.parse_args()
    wrong: list[str] = []
    for part in asked.only:
        lines, status = _run(part, asked.corpora.resolve())
        if status:
            wrong.append(f"corpus_{part}.py ended with status {status}")
        ratios = {line["name"]: float(line["ratio"]) for line in lines if "ratio" in line}
        for name in ASKED_OF.get(part, ()):
            if name not in ratios:
                wrong.append(f"corpus_{part}.py said nothing of {name}")
            elif ratios[name] < BARS[name]:
                wrong.append(f"{name} is {ratios[name]}, below {BARS[name]}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def _run(part: str, corpora: Path) -> tuple[list[dict[str, Any]], int]:
    """Its JSON lines, printed as they come, and its exit status; a part is a process of its own."""
    program = Path(__file__).with_name(f"corpus_{part}.py")
    command = [sys.executable, str(program), "--corpora", str(corpora)]
    lines: list[dict[str, Any]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = _json(line)
            print(line, end="", flush=True, file=sys.stderr if found is None else sys.stdout)
            if found is not None:
                lines.append(found)
    return lines, process.returncode


def _json(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "name" in found else None


if __name__ == "__main__":
    sys.exit(main())
