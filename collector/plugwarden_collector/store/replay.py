"""Past calls slice by slice, for a replay: columns of numbers and the names that they stand for, in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np

__all__ = ["Counts", "PartSlices", "Recorded", "Replaying", "StreamSlices"]

Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Recorded:
    """How far back calls are kept, and how finely."""

    oldest_at: datetime
    """The first hour with calls."""
    minutes_from: datetime
    """Calls from here on are kept by the minute at least; older ones by the hour, which is too coarse to replay."""
    seconds_from: datetime
    """Calls from here on are kept by the second."""
    hours_before: datetime
    """Hours hold all calls before this."""
    newest_at: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """One value a row."""

    total: Ints
    """Calls that ended by themselves."""
    bad: Ints
    """Failures among them that the plugin is to blame for."""
    refused: Ints
    """Calls that a breaker refused, because the plugin fails."""
    slow: Sequence[Ints]
    """Calls above each of the thresholds asked for, in their order."""


@dataclass(frozen=True, slots=True)
class StreamSlices:
    """Calls of operations by slice of time."""

    names: Sequence[tuple[str, str, str]]
    """Plugin, version and operation, by number."""
    second: Ints
    """In which the slice of a row begins, since 1970; ascending."""
    stream: Ints
    """Number of its name."""
    counts: Counts


@dataclass(frozen=True, slots=True)
class PartSlices:
    """Calls of the finest parts that are kept, by slice of time."""

    names: Sequence[tuple[str, ...]]
    """Plugin, version, operation, service, instance, machine, tenant and error type, by number; machine and tenant are empty in
    minutes, which do not tell them apart."""
    second: Ints
    part: Ints
    """Number of its name."""
    counts: Counts


class Replaying(Protocol):
    """For a replay. A slice is a second or a minute; `seconds` says which is asked for."""

    def recorded(self) -> Recorded | None:
        """Return what is kept; None while nothing is."""

    def hours(self, since: datetime, before: datetime, thresholds: Sequence[int]) -> StreamSlices:
        """Return the calls of every operation by hour."""

    def streams(self, since: datetime, before: datetime, thresholds: Sequence[int], *, seconds: bool) -> StreamSlices:
        """Return the calls of every operation by slice."""

    def parts(
        self, since: datetime, before: datetime, thresholds: Sequence[int], plugins: Sequence[str], *, seconds: bool
    ) -> PartSlices:
        """Return all parts of some plugins by slice."""

    def failing(self, since: datetime, before: datetime, thresholds: Sequence[int], *, seconds: bool) -> PartSlices:
        """Return the parts with calls that count against them, by slice; nothing is told of slow ones."""
