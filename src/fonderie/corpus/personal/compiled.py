"""Functions as machine code: plain loops over bytes, at the speed of C, compiled when they are first needed."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Without the code by which Python would call each: compiled in two thirds of the time.
_INTERNAL: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}

F = TypeVar("F", bound=Callable[..., Any])

Bytes = NDArray[np.uint8]
"""UTF-8 text."""
Numbers = NDArray[np.int64]


def compiled(function: F) -> F:
    """Machine code for a function that only compiled functions call; cached with the one that Python calls."""
    return cast("F", njit(nogil=True, error_model="numpy", **_INTERNAL)(function))
