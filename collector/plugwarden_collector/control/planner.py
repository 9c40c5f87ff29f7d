"""Questions of planners: what is read for each, and which pure function of `capacity` answers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from plugwarden_collector.capacity.ceiling import Ceiling, ceiling_of
from plugwarden_collector.capacity.demand import Demand, demands
from plugwarden_collector.capacity.forecast import MOST_DAYS
from plugwarden_collector.capacity.growth import StoreGrowth, row_bytes, store_growth
from plugwarden_collector.capacity.held import Held, Machine
from plugwarden_collector.capacity.limit import Utilisation, machine_utilisation, plugin_utilisation
from plugwarden_collector.capacity.load import HOUR, Load
from plugwarden_collector.capacity.outlook import Curve, Outlook, curve_of, outlooks
from plugwarden_collector.capacity.resource import Resource
from plugwarden_collector.capacity.showback import Share, Usage, showback
from plugwarden_collector.capacity.whatif import Change, WhatIf, what_if
from plugwarden_collector.errors import NotFoundError
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.store.planning import Planning
from plugwarden_collector.store.telemetry import Condition
from plugwarden_collector.store.upkeep import SECONDS_KEPT, Keep

__all__ = ["Planner", "Standing"]

WEEK = timedelta(days=7)
"""How far back ceilings and the fullest hours are looked for: a week has every day once."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How full everything is over a span of time."""

    plugins: list[Utilisation]
    """Limits of plugins, the fullest first."""
    machines: list[Utilisation]
    """Processors of machines, the fullest first."""
    ceilings: dict[str, Ceiling]
    """Plugin -> where its latency bends; of the one that was asked about alone."""
    unlimited: list[str]
    """Plugins of which nothing says how much they can do."""


@dataclass(frozen=True, slots=True)
class _Seen:
    rows: list[Demand]
    operations: list[Demand]
    held: Sequence[Held]
    machines: Sequence[Machine]


class Planner:
    """Asked from threads of readers: everything waits for the store."""

    def __init__(self, planning: Planning, condition: Condition, rules: Rules, keep: Keep) -> None:
        self._planning, self._condition, self._rules, self._keep = planning, condition, rules, keep

    def demand(self, since: datetime, until: datetime, plugin: str | None, by: str) -> list[Demand]:
        """Return what plugins ask of their hosts, by `plugin`, `operation` or `tenant`."""
        ask = self._planning
        rows = (
            ask.tenants(since, until, plugin=plugin)
            if by == "tenant"
            else ask.demand(since, until, plugin=plugin, by_operation=by == "operation")
        )
        return demands(rows, ask.held(since, until), ask.machines(since, until))

    def standing(self, since: datetime, until: datetime, plugin: str | None) -> Standing:
        """Return how full everything is; of one plugin also where its latency bends."""
        seen = self._seen(since, until, plugin)
        ceilings = self._ceilings([plugin] if plugin else [], until)
        plugins = plugin_utilisation(seen.operations, seen.held, ceilings, seen.rows)
        limited = {item.plugin_id for item in plugins}
        return Standing(
            plugins, machine_utilisation(seen.machines), ceilings,
            [row.plugin_id for row in seen.rows if row.plugin_id not in limited],
        )  # fmt: skip

    def until_full(self, until: datetime, plugin: str | None) -> list[Outlook]:
        """Return when limits are reached, the soonest first."""
        seen = self._seen(until - WEEK, until, plugin)
        limits = plugin_utilisation(seen.operations, seen.held)
        if plugin is None:
            limits += machine_utilisation(seen.machines)
        before = _full_hour(until)
        return outlooks(self._planning.load(before - MOST_DAYS * 24 * HOUR, before, plugin=plugin), limits, seen.rows)

    def forecast(self, until: datetime, plugin: str, resource: Resource, ahead_days: int) -> Curve:
        """Return one plugin's load and its forecast. Raises `NotFoundError`."""
        before = _full_hour(until)
        load = self._planning.load(before - MOST_DAYS * 24 * HOUR, before, plugin=plugin)
        seen = self._seen(until - WEEK, until, plugin)
        if plugin not in load.plugins:
            if not seen.rows:
                raise NotFoundError(f"no plugin {plugin!r} has made a call within {MOST_DAYS} days")
            load = Load.nothing(plugin, before)  # its first hour is not over
        limits = plugin_utilisation(seen.operations, seen.held, self._ceilings([plugin], until), seen.rows)
        return curve_of(load, plugin, resource, limits, ahead_days)

    def what_if(self, changes: Sequence[Change], since: datetime, until: datetime) -> WhatIf:
        """Return what would be. Raises `CapacityError`."""
        seen = self._seen(since, until, None)
        called = {row.plugin_id for row in seen.rows}
        named = [change.plugin for change in changes if change.plugin in called]
        ceilings = self._ceilings([name for name in dict.fromkeys(named) if name is not None], until)
        limits = plugin_utilisation(seen.operations, seen.held, ceilings, seen.rows)
        limits += machine_utilisation(seen.machines)
        return what_if(changes, limits, seen.rows, seen.machines, ceilings)

    def showback(self, since: datetime, until: datetime, by: str) -> list[Share]:
        """Return what belongs to whom, by `owner` or `tenant`."""
        ask = self._planning
        held = ask.held(since, until)
        rows = ask.tenants(since, until) if by == "tenant" else ask.demand(since, until)
        owners = {item.plugin_id: item.owner for item in held if item.owner}
        memory: dict[str, float] = {}
        for item in held:
            if item.memory_bytes is not None:
                memory[item.plugin_id] = memory.get(item.plugin_id, 0.0) + item.memory_bytes

        def who(plugin: str | None, tenant: str | None) -> str | None:
            if by == "tenant":
                return tenant
            return None if plugin is None else owners.get(plugin) or self._owner(plugin)

        used = [
            Usage(
                who(row.plugin_id, row.tenant_id), row.plugin_id, row.calls, _sum(row.concurrency, row.over_seconds),
                _sum(row.cpu_cores, row.over_seconds), None if by == "tenant" else memory.get(row.plugin_id),
            )
            for row in rows
        ]  # fmt: skip
        sizes = {item.table: row_bytes(item) for item in ask.tables(until)}
        stored = [
            Usage(who(item.plugin_id, item.tenant_id), item.plugin_id, stored_bytes=_sum(sizes[item.table], item.rows))
            for item in ask.stored()
        ]
        return showback([*used, *stored])

    def growth(self, at: datetime) -> StoreGrowth:
        """Return how our own store grows."""
        keep, size = self._keep, self._condition.size()
        kept = {
            "raw": keep.raw.total_seconds() / 86_400,
            "seconds": SECONDS_KEPT.total_seconds() / 86_400,
            "minutes": keep.minutes.total_seconds() / 86_400,
            "hours": keep.hours.total_seconds() / 86_400,
        }
        return store_growth(self._planning.tables(at), kept, size.disk_free_bytes, keep.max_bytes)

    def _owner(self, plugin: str) -> str | None:
        """Return who the rules' objectives of a plugin name first."""
        return next((item.owner for item in self._rules.objectives if item.owner and item.covers(plugin)), None)

    def _seen(self, since: datetime, until: datetime, plugin: str | None) -> _Seen:
        ask = self._planning
        held, machines = ask.held(since, until), ask.machines(since, until)
        rows = ask.demand(since, until, plugin=plugin)
        operations = ask.demand(since, until, plugin=plugin, by_operation=True)
        return _Seen(demands(rows, held, machines), demands(operations, held, machines), held, machines)

    def _ceilings(self, plugins: Sequence[str], until: datetime) -> dict[str, Ceiling]:
        return {plugin: ceiling_of(self._planning.steps(plugin, until - WEEK, until)) for plugin in plugins}


def _full_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _sum(mean: float | None, seconds: float) -> float | None:
    return None if mean is None else mean * seconds
