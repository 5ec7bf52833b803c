"""Train a small model for a few steps, and print what its bits came to: docs/log/0010-portable.md."""

import hashlib
import os
import sys
import time

import numpy as np
import torch

from fonderie.model.config import ModelConfig
from fonderie.model.numerics import settle
from fonderie.model.transformer import Decoder
from fonderie.train.data.batch import Batch
from fonderie.train.loop import run
from fonderie.train.optim import make_optimizer
from fonderie.train.settings.pretrain import PretrainParameters
from fonderie.train.training import plan_of

VOCABULARY = 512


def batch_of(step: int) -> Batch:
    """Random ids, the same everywhere."""
    ids = np.random.default_rng(step).integers(0, VOCABULARY, size=(4, 65), dtype=np.int64)
    return Batch(ids)


def main() -> None:
    """`threads` `steps` [portable] [depth]."""
    threads, steps, portable = int(sys.argv[1]), int(sys.argv[2]), "portable" in sys.argv
    settle(threads, portable=portable)
    params = PretrainParameters(
        depth=int(os.environ.get("DEPTH", "2")), context=64, batch=4, duration=f"{steps} steps", portable=portable
    )
    config: ModelConfig = params.config_for(VOCABULARY)
    model = Decoder(config, seed=1)
    initial = digest(model)
    optimizer = make_optimizer(model, params)
    clock = time.perf_counter()
    losses = [done.loss for done in run(model, optimizer, batch_of, plan_of(params, [1]), after=0, until=steps)]
    seconds = time.perf_counter() - clock
    capability = torch.backends.cpu.get_cpu_capability()
    print(
        f"{threads} threads, {capability}, portable {portable}: initial {initial}, after {steps} steps "
        f"{digest(model)}, loss {losses[-1]!r}, {steps * 256 / seconds:,.0f} tokens/s"
    )


def digest(model: Decoder) -> str:
    """The first digits of the hash of all weights."""
    data = hashlib.sha256()
    for _, tensor in sorted(model.state_dict().items()):
        data.update(tensor.numpy().tobytes())
    return data.hexdigest()[:12]


if __name__ == "__main__":
    main()
