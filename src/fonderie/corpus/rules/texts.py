"""Texts as Arrow holds them: bytes and offsets, never a Python string where none is asked for."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass
class Texts:
    """Texts one after the other: text i is data[offsets[i] : offsets[i + 1]]."""

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int32]

    @classmethod
    def of_column(cls, column: Any) -> "Texts":
        """The texts of an Arrow string column, without a copy."""
        _, offsets, data = column.buffers()
        places = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
        return cls(np.frombuffer(data or b"", np.uint8), places)

    def bytes_of(self, row: int, limit: int | None = None) -> bytes:
        """A text's bytes, or its first ones."""
        first, last = self.offsets[row], self.offsets[row + 1]
        return bytes(self.data[first : last if limit is None else min(first + limit, last)])

    def beginning(self, row: int, characters: int) -> str:
        """A text's first characters."""
        return self.bytes_of(row, 4 * characters).decode("utf-8", "ignore")[:characters]
