"""What hosts tell of an operation's limits, and of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Held", "Machine", "held_by"]


@dataclass(frozen=True, slots=True)
class Held:
    """What holds one operation, added up over the host processes that run it; None is what none told."""

    plugin_id: str
    plugin_operation: str | None
    """None: all operations, added up."""
    instances: int
    """Host processes."""
    owner: str | None
    declared_concurrency: float | None
    """Calls at once that its manifest expects."""
    concurrency: float | None
    """Places in its bulkheads."""
    calls_per_second: float | None
    """What its rate limits let through."""
    cpu_cores: float | None
    """What its CPU quotas let it use."""
    memory_bytes: int | None
    """Resident memory of its worker processes."""
    memory_limit_bytes: float | None
    """Memory quota of these workers."""
    most_running: int | None
    """Most calls under way in each process, added up."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine that runs host processes."""

    host_name: str
    """Its name; of a process that names none, that of the process."""
    instances: int
    processors: float | None
    """Processors that its host processes may use, of the one that may use most; None where none told."""
    cpu_cores: float | None
    """Processor seconds a second in plugins; None where none were measured."""
    peak_cpu_cores: float | None


def held_by(held: Iterable[Held], plugin: str, operation: str | None = None) -> Held | None:
    """Return what holds a plugin, or one operation of it; None where no host tells of it.

    A limit of a whole plugin is the sum of its operations', and unknown where one of them has none.
    """
    own = [item for item in held if item.plugin_id == plugin and operation in (None, item.plugin_operation)]
    if not own:
        return None
    if len(own) == 1:
        return own[0]

    def all_of(name: str) -> float | None:
        values = [getattr(item, name) for item in own]
        return None if None in values else sum(values)

    def any_of(name: str) -> int | None:
        values = [value for item in own if (value := getattr(item, name)) is not None]
        return sum(values) if values else None

    return Held(
        plugin, operation, max(item.instances for item in own), next((item.owner for item in own if item.owner), None),
        all_of("declared_concurrency"), all_of("concurrency"), all_of("calls_per_second"), all_of("cpu_cores"),
        any_of("memory_bytes"), all_of("memory_limit_bytes"), any_of("most_running"),
    )  # fmt: skip
