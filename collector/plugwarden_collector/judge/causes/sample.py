"""What is known of one finest cell of the fleet since the trouble began: the value that the search for causes reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["ATTRIBUTES", "PLACES", "Sample"]

ATTRIBUTES = ("version", "operation", "instance", "machine", "tenant", "service")
"""What a fault of a plugin can be narrowed by."""
PLACES = ("machine", "instance", "tenant", "service")
"""What several plugins can have in common, the one that is named first where two are equal."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Calls of one plugin version, operation, process and tenant, since the trouble that is to be explained began."""

    plugin: str
    version: str
    operation: str
    total: int
    """Calls that ended by themselves, and those that a breaker of ours refused."""
    bad: int
    """Calls that were bad by the indicator in question: that failed through the plugin's fault, or were too slow, or refused."""
    expected_ratio: float
    """Share of bad calls that nobody minds: what the objective tolerates or what is usual here, whichever is more."""
    instance: str = ""
    """`service.instance.id`: one process, and with it one sender of evidence."""
    machine: str = ""
    """`host.name`; empty where the host named none."""
    tenant: str = ""
    """`tenant.id`; empty where the calls were for nobody in particular."""
    service: str = ""
    """`service.name` of the caller."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Bad calls by `error.type`; may be empty where slowness is what is bad."""
    since: datetime | None = None
    """When its stream began to fail; None for a stream that nothing was found against. One is enough to make a plugin suspicious."""
    shut: int = 0
    """Calls among the bad ones, and among all, that stand for the seconds in which a breaker of ours refused what came: nobody knows how
    these would have ended."""
    known: bool = True
    """Whether the plugin has a past, or was named by more than one sender; one that was not makes no shared cause."""
