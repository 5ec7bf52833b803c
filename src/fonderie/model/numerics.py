"""Same bits from the same request: what must be settled before the first matrix product of a process."""

import os

import torch


def settle(threads: int) -> None:
    """Make results repeat to the bit; in fp32 on a processor, at any number of threads.

    Call it before anything is computed: MKL reads its setting at its first product, once per process. Products in
    bf16 go through oneDNN, which divides long sums by thread and has no such setting: their bits hold for one
    number of threads (docs/log/0001-training-speed.md).
    """
    # Without STRICT, MKL splits long sums by thread: one thread and two then give different gradients. AUTO keeps
    # the processor's best kernels; no speed was lost (docs/log/0001-training-speed.md). A user's own choice stands.
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    # Asked for by cuBLAS for deterministic products; read when CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Deterministic mode also fills every fresh tensor with NaN, to expose reads of unset memory: 2 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
