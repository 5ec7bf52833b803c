"""How far honest repeats of a segment differ, and wrong ones. Usage: 0003-replay.py RELEASE SEED…

Each seed draws one segment, replayed by other kernels than those that made the release, so that a tolerance is
measured; a row per repeat and control.
"""

import json
import os
import subprocess
import sys

KERNELS = {"MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "default"}


def main() -> None:
    """Replay, and print a Markdown table."""
    release, *seeds = sys.argv[1:]
    print("| steps | compared with the replay by other kernels | weights | largest loss difference | seconds |")
    print("|---|---|---|---|---|")
    for seed in seeds:
        done = subprocess.run(
            [sys.executable, "-m", "fonderie.cli", "replay", release, "--seed", seed, "--json"],
            env={**os.environ, **KERNELS},
            capture_output=True,
            text=True,
            check=False,
        )
        (segment,) = json.loads(done.stdout)["segments"]
        steps, tolerance = f"{segment['first'] + 1} to {segment['last']}", segment["tolerance"]
        rows = [("as published: " + segment["verdict"], segment["weights"], segment["largest_loss"])]
        for repeat in (*tolerance["repeats"], tolerance["control"]):
            rows.append((repeat["name"], repeat["weights"], repeat["largest_loss"]))
        rows.append(("**tolerance**", tolerance["weights"], max(tolerance["losses"])))
        for name, weights, loss in rows:
            seconds = f"{segment['seconds']:.0f} in all" if name.startswith("as ") else ""
            print(f"| {steps} | {name} | {weights:.1e} | {loss:.1e} | {seconds} |")


if __name__ == "__main__":
    main()
