"""What limits plugins and machines, and how near they are to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .ceiling import Ceiling
from .demand import Demand, PluginDemand
from .held import Held, Machine, held_by
from .resource import Resource

__all__ = ["LimitKind", "Utilisation", "machine_utilisation", "plugin_utilisation", "tightest"]


class LimitKind(StrEnum):
    """Where a limit comes from."""

    ENFORCED = "enforced"
    """A gate or a quota holds the operation to it."""
    DECLARED = "declared"
    """Its manifest expects no more."""
    OBSERVED = "observed"
    """Its calls take twice as long from there on (`capacity.ceiling`)."""
    MACHINE = "machine"
    """There are no more processors."""


@dataclass(frozen=True, slots=True)
class Utilisation:
    """How much of one limit is used."""

    plugin_id: str | None
    """Null: of a machine."""
    plugin_operation: str | None
    """Null: of a whole plugin, or of a machine."""
    host_name: str | None
    """Null: of a plugin, over all machines."""
    resource: Resource
    kind: LimitKind
    limit: float
    """In the unit that the resource's name says."""
    used: float
    """In the fullest part of the span (`PluginDemand.peak_over_seconds`); memory as told last."""
    usual: float | None
    """On average over the span; null of memory."""
    ratio: float
    """`used` of `limit`; above 1 it is over it."""


def plugin_utilisation(
    rows: Iterable[Demand],
    held: Sequence[Held],
    ceilings: Mapping[str, Ceiling] | None = None,
    whole: Iterable[PluginDemand] = (),
) -> list[Utilisation]:
    """Return how near operations are to their limits, the fullest first. `rows` are by operation, `whole` by plugin, as are `ceilings`.
    What has no limit, or of which nothing was measured, is left out: no limit is no room."""
    found = []
    for row in rows:
        own = held_by(held, row.plugin_id, row.plugin_operation or "")
        if own is None:
            continue
        for resource, kind, limit, used, usual in (
            (Resource.CONCURRENCY, LimitKind.ENFORCED, own.concurrency, row.peak_concurrency, row.concurrency),
            (Resource.CONCURRENCY, LimitKind.DECLARED, own.declared_concurrency, row.peak_concurrency, row.concurrency),
            (Resource.CALLS, LimitKind.ENFORCED, own.calls_per_second, row.peak_calls_per_second, row.calls_per_second),
            (Resource.CPU, LimitKind.ENFORCED, own.cpu_cores, row.peak_cpu_cores, row.cpu_cores),
            (Resource.MEMORY, LimitKind.ENFORCED, own.memory_limit_bytes, own.memory_bytes, None),
        ):
            if limit and used is not None:
                place = (row.plugin_id, row.plugin_operation, None)
                found.append(Utilisation(*place, resource, kind, limit, used, usual, used / limit))
    for asked in whole:  # operations need not be busiest at one time, so that their peaks do not add up to the plugin's
        ceiling = (ceilings or {}).get(asked.plugin_id)
        if ceiling is not None and ceiling.calls_per_second:
            limit, used = ceiling.calls_per_second, asked.peak_calls_per_second
            place = (asked.plugin_id, None, None)
            found.append(
                Utilisation(
                    *place, Resource.CALLS, LimitKind.OBSERVED, limit, used, asked.calls_per_second, used / limit
                )
            )
    return sorted(found, key=_fullest)


def machine_utilisation(machines: Iterable[Machine]) -> list[Utilisation]:
    """Return how near machines are to using all of their processors, the fullest first; those that tell of none are left out."""
    found = [
        Utilisation(
            None, None, item.host_name, Resource.CPU, LimitKind.MACHINE, item.processors, item.peak_cpu_cores, item.cpu_cores,
            item.peak_cpu_cores / item.processors,
        )
        for item in machines
        if item.processors and item.peak_cpu_cores is not None
    ]  # fmt: skip
    return sorted(found, key=_fullest)


def tightest(found: Iterable[Utilisation]) -> dict[tuple[str | None, Resource], Utilisation]:
    """Return the fullest limit of each plugin (None: the machines) and resource; one that is only declared gives way to others."""
    best: dict[tuple[str | None, Resource], Utilisation] = {}
    for item in sorted(found, key=lambda item: (item.kind is LimitKind.DECLARED, *_fullest(item))):
        best.setdefault((item.plugin_id, item.resource), item)
    return best


def _fullest(item: Utilisation) -> tuple[float, str, str, str]:
    return -item.ratio, item.plugin_id or "", item.plugin_operation or "", item.host_name or ""
