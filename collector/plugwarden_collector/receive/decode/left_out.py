"""Leaves that cannot be stored: left out one by one, counted, with the reasons for the sender's log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["Refusal", "refuse"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is left out of a request."""

    kept: pa.Array
    """Row numbers of what is stored."""
    count: int
    reason: str


def refuse(reasons: Mapping[str, np.ndarray[Any, np.dtype[np.bool_]]]) -> Refusal:
    """Return what is refused, from a mask per reason; a row counts once, under the first reason that it meets."""
    left_out = np.logical_or.reduce(list(reasons.values()))
    count = int(left_out.sum())
    if not count:
        return Refusal(pa.array([], pa.int64()), 0, "")
    seen = np.zeros(len(left_out), dtype=bool)
    parts = []
    for reason, mask in reasons.items():
        fresh = int((mask & ~seen).sum())
        seen |= mask
        if fresh:
            parts.append(f"{fresh}: {reason}")
    return Refusal(pa.array(np.flatnonzero(~left_out)), count, "; ".join(parts))
