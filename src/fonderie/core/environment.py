"""What a making ran on: versions of the libraries that write bytes, processor, memory, accelerator."""

import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("fonderie", "numpy", "pyarrow", "tokenizers", "safetensors", "torch")

PORTABLE_KERNELS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "AVX2,STRICT",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
"""Variables with which ATen, MKL and oneDNN use kernels that every processor with AVX2 has, and sum in one order.

Each library reads its own when it is loaded or first computes, so a process must begin with them: core/apart.py."""

KERNEL_VARIABLES = (
    *PORTABLE_KERNELS,
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_DEBUG_CPU_TYPE",
    "CUBLAS_WORKSPACE_CONFIG",
    "NVIDIA_TF32_OVERRIDE",
    "KMP_DETERMINISTIC_REDUCTION",
    "GOMP_SPINCOUNT",
)
"""Variables that choose kernels, their sums' order, or how threads meet; recorded where they are set."""

INSTRUCTION_SETS = (
    "avx2",
    "fma",
    "avx512f",
    "avx512_bf16",
    "avx512_vnni",
    "amx_tile",
    "amx_bf16",
    "asimd",
    "sve",
    "bf16",
)
"""Flags of /proc/cpuinfo by which kernels are chosen, Intel's, AMD's and ARM's."""


_VERSIONS = re.compile(r"Library Version|\(Git Hash|GCC \d|clang \d|OpenMP \d|CUDA Runtime|CuDNN")


def installed_version(package: str) -> str | None:
    """The version of an installed distribution, or None; imports nothing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor_name() -> str:
    """The processor's model as the kernel names it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def instruction_sets() -> list[str]:
    """Those of INSTRUCTION_SETS that the kernel says the processor has; none where it does not say."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, flags = line.partition(":")
            if name.strip() in ("flags", "Features"):
                present = set(flags.split())
                return [flag for flag in INSTRUCTION_SETS if flag in present]
    return []


def memory_bytes() -> int | None:
    """Physical memory, in bytes, or None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def describe() -> dict[str, Any]:
    """Software and hardware of this process; GPUs are named only if torch is already loaded."""
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "libraries": {name: installed_version(name) for name in LIBRARIES},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": processor_name(),
        "instruction_sets": instruction_sets(),
        "cores": os.cpu_count(),
        "memory_bytes": memory_bytes(),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        found["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        found["kernels"] = _kernels(torch)
        if torch.cuda.is_available():
            found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found


def _kernels(torch: Any) -> dict[str, Any]:
    """What decides which kernels compute, and with what threads: torch's state and the variables that are set."""
    found: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "mkl": torch.backends.mkl.is_available(),
        "onednn": torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled,
        "fp32_products": torch.get_float32_matmul_precision(),
        # The build names its compiler and the versions of MKL, oneDNN and OpenMP in it.
        "build": [line.strip(" -") for line in torch.__config__.show().splitlines() if _VERSIONS.search(line)],
        "variables": {name: os.environ[name] for name in KERNEL_VARIABLES if name in os.environ},
    }
    if torch.cuda.is_available():
        found["cuda"], found["cudnn"] = torch.version.cuda, torch.backends.cudnn.version()
        found["attention"] = {
            name: getattr(torch.backends.cuda, f"{name}_sdp_enabled")()
            for name in ("flash", "mem_efficient", "math", "cudnn")
        }
    return found
