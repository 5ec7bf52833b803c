"""How much of a GPU's published peak a model of about a billion parameters trains at, in bf16.

python benchmarks/mfu.py [--windows N] [--steps N] [--batch N] [--context N] [--accumulation N]

The loop of `train.pretrain` as a recipe asks for it, compiled, on one GPU; ids are drawn. Prints a JSON line:
MFU (PaLM, arXiv 2204.02311, appendix B: attention counted as if not causal), and as the ratio MFU over 39 %,
the best that torchtitan publishes. Needs a GPU whose peak is in the table below.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from fonderie.model.numerics import settle
from fonderie.tokens.shards import TokenStream
from fonderie.train.loop import run
from fonderie.train.settings.pretrain import PretrainParameters
from fonderie.train.training import Training
from training import write_tokens  # beside this file

DEPTH, VOCABULARY = 28, 32_768
"""1.09 G parameters by our own rule: width 1,792, 28 heads."""
TORCHTITAN_MFU = 0.39

PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
}
"""Dense bf16 FLOP/s from NVIDIA's data sheets, by what the name of a device contains; the first that fits."""


def published_peak(device: str) -> float:
    """Of a card by its name; SystemExit if it is not in the table."""
    for name, peak in PEAKS.items():
        if name in device:
            return peak
    raise SystemExit(
        f"the peak of a {device} is not in this script: add its data sheet's dense bf16 figure to PEAKS"
    )


def main() -> int:
    """Measure windows of steps; exit status 1 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="per window")
    parser.add_argument("--batch", type=int, default=16, help="sequences per step")
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--accumulation", type=int, default=2, help="micro-batches per step")
    asked = parser.parse_args()
    settle(1)
    import torch

    if not torch.cuda.is_available():
        print("there is no GPU here", file=sys.stderr)
        return 1
    peak = published_peak(torch.cuda.get_device_name())
    wanted = PretrainParameters(
        depth=DEPTH,
        context=asked.context,
        batch=asked.batch,
        accumulation=asked.accumulation,
        duration=f"{5 + asked.windows * asked.steps} steps",
        learning_rate=3e-4,
        precision="bf16",
        compile=True,
    )
    speeds = []
    with tempfile.TemporaryDirectory() as made:
        write_tokens(Path(made) / "tokens", VOCABULARY)
        training = Training.of(wanted, [TokenStream.open(Path(made) / "tokens")], [0])
        model, optimizer = training.fresh("cuda")
        steps = run(model, optimizer, training.batches, training.plan, after=0, until=training.plan.steps)
        for _ in range(5):
            next(steps)
        for _ in range(asked.windows):
            begun = time.perf_counter()
            for _ in range(asked.steps):
                next(steps)  # its loss is read, so that the step is over
            speeds.append(asked.steps * asked.batch * asked.context / (time.perf_counter() - begun))
    speed = statistics.median(speeds)
    mfu = speed * training.config.flops_per_token / peak
    detail = {
        "mfu": round(mfu, 4),
        "tokens_per_second": round(speed),
        "each_window": [round(value) for value in speeds],
        "parameters": training.config.parameters,
        "context": asked.context,
        "batch": asked.batch,
        "accumulation": asked.accumulation,
        "device": torch.cuda.get_device_name(),
        "published_peak_tflops": peak / 1e12,
        "peak_gigabytes": round(torch.cuda.max_memory_allocated() / 1e9, 1),
        "torch": torch.__version__,
    }
    peer = "torchtitan, the best it publishes"
    print(
        json.dumps(
            {
                "name": "mfu_1b_bf16",
                "peer": peer,
                "ratio": round(mfu / TORCHTITAN_MFU, 3),
                "n": asked.windows,
                "detail": detail,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
