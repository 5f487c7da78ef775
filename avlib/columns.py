"""The seam between Arrow columns and numpy arrays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from avlib.arrays import Float32Array
from avlib.tables import DESCRIPTOR


def descriptor_column(rows: Float32Array) -> pa.ListArray:
    """Shape (n, d) → a list column of n rows, without copying the values."""
    count, dimension = rows.shape
    offsets = np.arange(count + 1, dtype=np.int32) * dimension
    values = pa.array(np.ascontiguousarray(rows, dtype=np.float32).reshape(-1))
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=DESCRIPTOR)


def descriptor_rows(column: pa.Array | pa.ChunkedArray) -> Float32Array:
    """A list column of n descriptors → shape (n, d); (0, 0) where there are none."""
    rows: Float32Array = matrix(column)
    return rows


def matrix(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A list column of n equally long rows, of any type → shape (n, m); (0, 0) where there are none."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    values: np.ndarray = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), -1 if len(column) else 0)
