"""Same bits from the same request: what must be settled before the first matrix product of a process."""

import ctypes
import os
import platform

import torch

from fonderie.core.environment import PORTABLE_KERNELS
from fonderie.core.errors import StepError

# Of mallopt(3): how many blocks may be mappings of their own, which go back when freed; how much may lie free at
# the end of the heap before that goes back, -1 for no limit.
M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1


def settle(threads: int, *, deterministic: bool = True, portable: bool = False) -> None:
    """Make results repeat to the bit; in fp32 on a processor, at any number of threads.

    Call it before anything is computed: MKL reads its setting at its first product, once per process. Products in
    bf16 go through oneDNN, which divides long sums by thread and has no such setting: their bits hold for one
    number of threads (docs/log/0001-training-speed.md).

    `portable` is for a process that began with PORTABLE_KERNELS (core/apart.py), and makes sure of it: StepError
    where it did not, or where this processor or this build of torch has no such kernels.
    """
    # Without STRICT, MKL splits long sums by thread: one thread and two then give different gradients. AUTO keeps
    # the processor's best kernels; no speed was lost (docs/log/0001-training-speed.md). A user's own choice stands.
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    # Asked for by cuBLAS for deterministic products; read when CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    _keep_freed_memory()
    if portable:
        _refuse_other_kernels()
    torch.set_num_threads(threads)
    # use_deterministic_algorithms imports the compiler: 2 s of every process, and most of them compile nothing.
    torch.set_deterministic_debug_mode("error" if deterministic else "default")
    # Deterministic mode also fills every fresh tensor with NaN, to expose reads of unset memory: 2 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def settle_compiler() -> None:
    """Make the compiler choose its kernels as `settle` wished: before anything is compiled."""
    torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled())


def _keep_freed_memory() -> None:
    """Let glibc keep large blocks that are freed, instead of giving them back and faulting them in again.

    A step of training frees all its activations and asks for as many in the next: at 25 M parameters the faults
    take a sixth of its time (docs/log/0007-training-speed.md). A user's own choice of these settings stands.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    libc = ctypes.CDLL(None)
    for option in (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1):
        libc.mallopt(*option)


def _refuse_other_kernels() -> None:
    other = [name for name, value in PORTABLE_KERNELS.items() if os.environ.get(name) != value]
    if other:
        settings = " ".join(f"{name}={value}" for name, value in PORTABLE_KERNELS.items())
        raise StepError(
            f"portable = true needs a process that began with {', '.join(other)}",
            hint=f"`fonderie run` starts one. Elsewhere, begin the process with {settings}.",
        )
    if not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        raise StepError(
            "portable = true needs a torch that multiplies with MKL, and this one does not",
            hint="Set portable = false, or train on an x86-64 processor.",
        )
    capability = torch.backends.cpu.get_cpu_capability()
    if capability != "AVX2":
        raise StepError(
            f"portable = true needs kernels for AVX2, and torch uses {capability} here",
            hint="Set portable = false, or train on a processor that has AVX2.",
        )
