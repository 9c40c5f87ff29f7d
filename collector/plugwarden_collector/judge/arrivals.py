"""What came in since the last look: the counts that judging reads, each of them once and in the order in which they arrived.

Evidence is counted as it arrives and not by the clocks of hosts: one that is ahead or behind is judged like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .sli import CallCounts

__all__ = ["STALE", "Arrivals", "Cell", "Past", "StreamCounts", "Wanted"]

STALE = timedelta(minutes=2)
"""Calls that are dated further back say nothing of now: a host that was cut off sends them when it is back, and a sender may invent
them. Clocks of hosts that are off by less are none the worse for it."""


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """What one operation of one plugin version did since the last look, in all processes together."""

    plugin: str
    version: str
    operation: str
    counts: CallCounts
    """Calls that ended by themselves, and of those the ones that failed through the plugin's fault."""
    refused: int = 0
    """Calls that a breaker of ours refused: the plugin was failing, and nobody asked it again. Not among the others."""
    slow: tuple[int, ...] = ()
    """Calls above each of the thresholds asked for, in their order."""
    after: int | None = field(default=None, compare=False)
    """A mark that came just before these calls, where those of an operation are told in parts, one after the other."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The same for the finest part that is told apart: one process, one tenant, one way to end."""

    plugin: str
    version: str
    operation: str
    service: str
    """`service.name` of the host."""
    instance: str
    """`service.instance.id`: one process."""
    machine: str
    """`host.name`; empty where the host named none."""
    tenant: str
    """`tenant.id`; empty where the call was for nobody in particular."""
    error_type: str
    """What the calls failed with; empty for those that went well."""
    counts: CallCounts
    refused: int = 0
    slow: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrivals:
    """All that was counted between two marks."""

    mark: int = 0
    """Where the next look goes on. What was never looked at is never lost: a mark outlives the process that asked."""
    streams: Sequence[StreamCounts] = ()
    """Every operation with calls; one value each, or several in the order in which they arrived where some were bad."""
    cells: Sequence[Cell] = ()
    """All cells of plugins that were asked about; of all others, those with calls that failed through the plugin's fault or that a
    breaker refused."""
    stale: int = 0
    """Calls that came too late, or are dated too far ahead, to say anything of now: counted everywhere else, judged by nobody."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is usual for one operation of one plugin version."""

    plugin: str
    version: str
    operation: str
    calls: int
    """Calls that ended by themselves, in the hours that were looked at."""
    failed_ratio: float
    """Share that failed through the plugin's fault in the third quartile of its hours: one bad hour in four makes nothing usual."""
    slow_ratio: tuple[float, ...] = ()
    """Share above each of the thresholds asked for, likewise."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of which plugin all cells are wanted, and since when."""

    plugin: str
    since: datetime
    """Calls dated before this are not wanted, whenever they arrived."""
    after: int = 0
    """A mark: what arrived up to it is not wanted."""
    streams: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Marks of single operations: (version, operation) -> mark."""
    upto: int | None = None
    """A mark: what arrived after it is not wanted; None: all is."""
    began: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    """When the trouble of single operations began. What a process told of one first is left out if nothing of it was bad and it ended
    before that: where calls fail, sidecars tell at once, and first what went well until then."""
