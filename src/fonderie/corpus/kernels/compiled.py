"""Functions as machine code: `inner` for those that only kernels call, `entry` for those that Python calls.

numba keeps what it compiled beside the source, and looks at the file of the function alone to see whether it still
holds: not at what the function calls, nor at who else writes. So only entries are kept, under a name that has the
digest of all sources of their folder; and each is called with arguments of the same types always, so that two
processes which compile it at once write the same.
"""

import hashlib
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])
Kind = TypeVar("Kind", bound=np.generic)


def inner(function: F) -> F:
    """Machine code for a function that compiled functions call."""
    return cast("F", njit(nogil=True, error_model="numpy")(function))


def entry(function: F) -> F:
    """Machine code for a function that Python calls, kept on disk until any source beside it changes."""
    function.__qualname__ = f"{function.__qualname__}_{_digest(Path(inspect.getfile(function)).parent)}"
    return cast("F", njit(nogil=True, error_model="numpy", cache=True)(function))


@cache
def _digest(folder: Path) -> str:
    together = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        together.update(path.read_bytes())
    return together.hexdigest()[:16]


def read_only(array: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
    """The same array as one that cannot be written: Arrow's buffers are such, and to numba that is another type."""
    view = array.view()
    view.flags.writeable = False
    return view
