"""What a row of calls may say: numbers whose sums over any span of time stay numbers, and buckets that fit their calls."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plugwarden_collector.errors import UncountableError

__all__ = ["MAX_CALLS", "check_calls"]

MAX_CALLS = 2**40
"""Calls of one row of a second. A thousand such rows a second for 400 days stay below 2^75; far above what can be meant, and sums of
millions of rows still fit 64 bits."""


def check_calls(table: pa.Table) -> None:
    """Raises `UncountableError` when a row of a table of calls (rollup.CALLS) says what cannot be."""
    calls = table["calls"]
    if (pc.max(calls).as_py() or 0) > MAX_CALLS:
        raise UncountableError(f"calls: more than {MAX_CALLS} in one second cannot be meant")
    for name in ("duration_seconds_sum", "duration_seconds_max", "cpu_seconds"):
        values = table[name].to_numpy()
        if len(values) and not (np.isfinite(values).all() and values.min() >= 0.0):
            raise UncountableError(f"{name}: is negative or no number")
    indexes, counts = table["bucket_index"].combine_chunks(), table["bucket_count"].combine_chunks()
    ends, values = _pieces(counts)
    if not np.array_equal(ends, _pieces(indexes)[0]):
        raise UncountableError("bucket_count: has another length than bucket_index")
    if not len(values):
        return
    if int(values.max()) > MAX_CALLS:
        raise UncountableError(f"bucket_count: more than {MAX_CALLS} in one second cannot be meant")
    # Whatever wraps around in the running sum wraps back in the difference: one row's buckets are far below 2^64.
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])
    if (sums[ends[1:]] - sums[ends[:-1]] > calls.to_numpy().astype(np.uint64)).any():
        raise UncountableError("bucket_count: its sum is more than calls")


def _pieces(lists: pa.ListArray | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Where each list ends, the beginning first, and the values of all."""
    if isinstance(lists, pa.ChunkedArray):
        lists = pa.concat_arrays(lists.chunks)
    ends = lists.offsets.to_numpy()
    return ends - ends[0], lists.flatten().to_numpy(zero_copy_only=False)
