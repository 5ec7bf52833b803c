"""What this machine computes at best: the speed of a square matrix product, measured, not taken from a data sheet.

MFU ("model FLOPs utilisation", PaLM, arXiv 2204.02311, section 4.1) is usually stated against the maker's peak, and
processors have none that a program could look up: it depends on clocks, boards and cooling. The peak here is the
best of several products with the training's own type, threads and device, so that 100 % is what a training of
nothing but products would reach on this very machine, now.
"""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from fonderie.train.settings.plan import Precision

if TYPE_CHECKING:
    import torch

SIZES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192)}
"""Rows of the square matrices. Which is fastest depends on caches and threads: bf16 with AMX at 512 on one thread,
at 2048 on two (docs/log/0009-matrix-peak.md)."""
SECONDS = 0.15
"""How long the products of one size are repeated; the best counts, since other work can only slow one down. A size
whose product alone would take longer is left out."""
FEWEST, WARM_UP = 3, 1


@dataclass(frozen=True)
class Peak:
    """The best speed seen."""

    flops_per_second: float
    products: int
    size: int
    precision: Precision
    device: str
    threads: int

    @property
    def method(self) -> str:
        """How it was measured, in words."""
        where = f"on {self.threads} threads" if self.threads > 1 else "on 1 thread"
        where = where if self.device == "cpu" else f"on {self.device}"
        size = f"{self.size} x {self.size}"
        return f"measured: the fastest of {self.products} matrix products in {self.precision} {where}, of {size}"


def matrix_peak(device: str, precision: Precision) -> Peak:
    """Measure it, once for each device, type and number of threads of a process; takes less than two seconds.

    Call `fonderie.model.numerics.settle` first: the threads are those it sets. Draws no random number, so that a
    training's bits do not depend on it.
    """
    import torch

    return _measure(device, precision, torch.get_num_threads())


@lru_cache
def _measure(device: str, precision: Precision, threads: int) -> Peak:
    import torch

    sizes = SIZES["cpu" if device == "cpu" else "cuda"]
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    # Neither constant nor random: GPUs draw less power, hence run faster, on matrices of one value.
    numbers = torch.arange(sizes[-1] ** 2, dtype=torch.float32, device=device).mul_(0.6180339887).frac_().sub_(0.5)
    fastest, at, products = 0.0, sizes[0], 0
    for size in sizes:
        operations = 2.0 * size**3
        if fastest and operations / fastest > SECONDS:
            break
        times = _repeat(numbers[: size * size].view(size, size).to(dtype))
        products += len(times)
        if operations / min(times) > fastest:
            fastest, at = operations / min(times), size
    return Peak(fastest, products, at, precision, device, threads)


def _repeat(a: "torch.Tensor") -> list[float]:
    """The seconds that each of several products takes."""
    import torch

    out = torch.empty_like(a)
    times: list[float] = []
    with torch.no_grad():
        for _ in range(WARM_UP):
            _seconds(a, out)
        until = time.perf_counter() + SECONDS
        while len(times) < FEWEST or time.perf_counter() < until:
            times.append(_seconds(a, out))
    return times


def _seconds(a: "torch.Tensor", out: "torch.Tensor") -> float:
    import torch

    if a.device.type != "cuda":
        clock = time.perf_counter()
        torch.mm(a, a, out=out)
        return time.perf_counter() - clock
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    torch.mm(a, a, out=out)
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3
