"""Trace and span ids: bytes on the wire, big-endian 64-bit integers in the database."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["ids", "optional_ids"]

Words = np.ndarray[Any, np.dtype[np.uint64]]


def ids(column: pa.Array, width: int) -> Words:
    """Binary ids of `width` bytes as uint64, shape (rows, width / 8). All must have that width."""
    fixed = column.cast(pa.binary(width)) if len(column) else pa.array([], pa.binary(width))
    data = np.frombuffer(fixed.buffers()[1] or b"", dtype=np.uint8)
    data = data[fixed.offset * width : (fixed.offset + len(fixed)) * width]
    return data.reshape(-1, width).view(">u8").astype(np.uint64)


def optional_ids(column: pa.Array, width: int) -> tuple[Words, Any]:
    """As `ids`, for columns where an id may be missing: values (zero where missing) and the mask of the missing.

    An id of all zeros is as good as none (trace.proto, logs.proto: "all zeroes ... is considered invalid").
    """
    present = pc.equal(pc.binary_length(column), width).to_numpy(zero_copy_only=False)
    values = np.zeros((len(column), width // 8), dtype=np.uint64)
    if present.any():
        values[present] = ids(column.filter(pa.array(present)), width)
    return values, ~(present & values.any(axis=1))
