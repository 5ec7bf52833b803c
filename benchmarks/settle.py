"""The same start for whoever is measured: nothing left to collect, and memory that is there.

A virtual machine's host takes back what nobody has used for some seconds, and brings it in again page by page: 0.6
seconds for the first writing of 200 MB where it was measured, 0.02 for the second. A contestant whose turn comes
after a long one of the other's would pay for that.
"""

import gc

import numpy as np

BYTES = 512 << 20


def settle() -> None:
    """Collect what is garbage, and have the host bring in memory for what comes next."""
    gc.collect()
    np.ones(BYTES, np.uint8)
