"""Timestamps from clocks that may be wrong: bounded, and flagged where they had to be put right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["MAX_AGE_NS", "MAX_AHEAD_NS", "Instants", "settle", "to_timestamps"]

MAX_AHEAD_NS = 600 * 10**9
"""A sender's clock may run ahead by ten minutes; beyond, its time cannot be meant, and the time of arrival stands in."""
MAX_AGE_NS = 400 * 86_400 * 10**9
"""Older than the longest that anything is kept (hour rollups): refused, with a count and this reason."""

Nanoseconds = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True, slots=True)
class Instants:
    """A column of times, put right."""

    ns: np.ndarray[Any, np.dtype[np.int64]]
    """Nanoseconds since 1970."""
    adjusted: np.ndarray[Any, np.dtype[np.bool_]]
    """Where the time of arrival stands in for a time that was missing or too far ahead."""
    too_old: np.ndarray[Any, np.dtype[np.bool_]]
    """Where nothing is kept that long."""


def settle(column: pa.Array, now_ns: int) -> Instants:
    """Bound a uint64 column of nanoseconds since 1970 by the time of arrival; 0 is OTLP's word for missing."""
    given: Nanoseconds = column.to_numpy(zero_copy_only=False)
    adjusted = (given == 0) | (given > np.uint64(now_ns + MAX_AHEAD_NS))
    ns = np.where(adjusted, np.uint64(now_ns), given).astype(np.int64)
    return Instants(ns, adjusted, ns < now_ns - MAX_AGE_NS)


def to_timestamps(ns: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Array:
    """Nanoseconds as timestamp[us], the resolution that the database keeps."""
    return pa.array(ns // 1000).cast(pa.timestamp("us"))
