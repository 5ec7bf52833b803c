import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

FAULTS = """
import resource
from fonderie.model.numerics import settle
settle(1)
import torch
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def fill():
    torch.empty(16 << 20).fill_(1.0)  # 64 MiB: 16,384 pages
for _ in range(8):  # the heap grows at first, now and then: alignment leaves gaps
    fill()
before = faults()
for _ in range(16):
    fill()
print((faults() - before) // 16)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
@pytest.mark.parametrize(("setting", "kept"), [({}, True), ({"MALLOC_MMAP_THRESHOLD_": "131072"}, False)])
def test_freed_memory_is_kept_unless_the_user_chose_otherwise(setting, kept):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    # Without huge pages, of which one fault brings 512.
    environment = {**clean, **setting, "THP_MEM_ALLOC_ENABLE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], env=environment, check=True, capture_output=True, text=True
    )
    assert (int(done.stdout) < 4096) == kept
