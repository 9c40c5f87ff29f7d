"""What the search for causes found: faults of plugins, causes that plugins share, and what else was considered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import inf

from .sample import ATTRIBUTES

__all__ = ["CLEAR_NATS", "ONE_FAULT_NATS", "Alternative", "Excused", "Explanation", "Fault", "Scope", "SharedCause"]

CLEAR_NATS = 2.0
"""Nats by which a scope explains more than the next: with fewer, one in ten is too narrow or too wide."""
ONE_FAULT_NATS = 5.0
"""Nats by which one fault explains more than several: with fewer, one in a hundred and fifty is several."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The calls of one plugin that are meant: all that have the values that are set."""

    plugin: str
    version: str | None = None
    operation: str | None = None
    instance: str | None = None
    machine: str | None = None
    tenant: str | None = None
    service: str | None = None

    @property
    def conditions(self) -> tuple[tuple[str, str], ...]:
        """Return the values that are set, with their attributes."""
        named = ((name, getattr(self, name)) for name in ATTRIBUTES)
        return tuple((name, value) for name, value in named if value is not None)

    def __str__(self) -> str:
        return " ".join((self.plugin, *(f"{name}={value}" for name, value in self.conditions)))


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another scope that was considered, and what it would have explained."""

    scope: Scope
    total: int
    bad: int
    weight: float
    """Nats above the cost of naming it; below 0 where it explains nothing."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A plugin to blame, and exactly how much of it."""

    scope: Scope
    total: int
    """Calls within the scope."""
    bad: int
    """Bad ones among them."""
    expected: float
    """Bad calls that would have been nothing to mind."""
    weight: float
    """Nats that the scope gains over a plugin without a fault, above the cost of naming it."""
    since: datetime
    """When the first of its streams began to fail."""
    errors: tuple[tuple[str, int], ...]
    """Types of errors with their calls, most first."""
    instances: tuple[str, ...]
    """Processes that saw it fail; of a fault of all but one, those that call it."""
    known: bool
    """Whether the plugin has a past or several senders."""
    sender: str = ""
    """The one process whose word it is, and to which the scope was narrowed for that; empty where others bear it out."""
    without: str = ""
    """The one process that is well among many that are not; empty where there is none. Counts are of the others."""
    beside: str = ""
    """The shared cause that it fails beside, or that does not explain it; empty where there is none."""
    alternatives: tuple[Alternative, ...] = ()
    """The best first, at most eight."""
    margin: float = inf
    """Nats by which it explains more than the next best: e^-margin is how likely that one is instead.

    For one that was narrowed to where its evidence comes from, the next best that is as narrow: that a wider one explains as much is known.
    """
    apart: float = -inf
    """Nats by which several faults describe the plugin better; below 0 where this one does."""


@dataclass(frozen=True, slots=True)
class Excused:
    """A plugin that a shared cause explains, and the scope it would have been blamed for."""

    scope: Scope
    since: datetime
    total: int
    bad: int


@dataclass(frozen=True, slots=True)
class SharedCause:
    """What makes several plugins fail; a matter for people."""

    kind: str
    """`machine`, `instance`, `tenant`, `service`, `simultaneous`, or `everything`."""
    name: str
    """The machine, process, tenant or service; empty for the others."""
    since: datetime
    excused: tuple[Excused, ...]
    errors: tuple[tuple[str, int], ...]
    """Types of errors with their calls, most first."""
    chance: float
    """Probability that the plugins began to fail like this by accident, each for a reason of its own."""
    why: str
    """In a sentence, with numbers."""
    weight: float
    """Nats that say that these plugins fail at all, over all of them."""

    @property
    def plugins(self) -> tuple[str, ...]:
        """Return the names of the plugins that are excused."""
        return tuple(sorted({item.scope.plugin for item in self.excused}))


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why calls fail: the fewest faults and shared causes that account for it."""

    faults: tuple[Fault, ...] = ()
    """By weight, the heaviest first."""
    shared: tuple[SharedCause, ...] = ()
