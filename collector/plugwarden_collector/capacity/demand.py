"""What plugins ask of their hosts. Missing is None, never 0."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from .held import Held, Machine, held_by

__all__ = ["Demand", "PluginDemand", "demands"]


@dataclass(frozen=True, slots=True)
class PluginDemand:
    """What one plugin, or one operation or tenant of it, asks of its hosts over a span of time."""

    plugin_id: str
    plugin_operation: str | None
    """Null: all of them."""
    tenant_id: str | None
    """Null: all of them; empty: calls for no tenant in particular."""
    calls: int
    over_seconds: float
    """Time within the span that has data: what rates are means over."""
    calls_per_second: float
    peak_calls_per_second: float
    """Calls a second in the fullest part of the span."""
    peak_over_seconds: float
    """Length of the parts that peaks are means over: a burst within one stands higher."""
    concurrency: float | None
    """Calls under way at a time, on average (Little's law); null when none ran."""
    peak_concurrency: float | None
    cpu_cores: float | None
    """Processor seconds a second; null where none were measured."""
    peak_cpu_cores: float | None


@dataclass(frozen=True, slots=True)
class Demand(PluginDemand):
    """The same, with what follows from what hosts tell."""

    cpu_seconds_per_call: float | None
    """Processor seconds of a call that ran, or was refused; null where none were measured."""
    host_share_ratio: float | None
    """Share of all processors of the hosts, 0 to 1; null where no host tells of processors."""
    most_running: int | None
    """Most calls under way at once, as each host process told, added up: an upper bound; null where none told."""
    memory_bytes: int | None
    """Resident memory of its worker processes; null where it has none."""
    output_bytes: None
    """Null: what calls answer is not measured."""
    owner: str | None
    """Who its manifest names; null where none is named."""


def demands(rows: Iterable[PluginDemand], held: Sequence[Held], machines: Sequence[Machine]) -> list[Demand]:
    """Return rows with what their hosts tell of them. Memory and concurrency of one tenant are not told apart."""
    processors = sum(item.processors for item in machines if item.processors is not None) or None
    found = []
    for row in rows:
        own = None if row.tenant_id is not None else held_by(held, row.plugin_id, row.plugin_operation)
        whole = held_by(held, row.plugin_id)
        cpu = row.cpu_cores
        found.append(
            Demand(
                **{field.name: getattr(row, field.name) for field in fields(PluginDemand)},
                cpu_seconds_per_call=None if cpu is None or not row.calls else cpu * row.over_seconds / row.calls,
                host_share_ratio=None if cpu is None or processors is None else cpu / processors,
                most_running=None if own is None else own.most_running,
                memory_bytes=None if own is None else own.memory_bytes,
                output_bytes=None,
                owner=None if whole is None else whole.owner,
            )
        )
    return found
