"""What planners of capacity ask of one DuckDB file; see `store.planning.Planning`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np

from plugwarden_collector.capacity.ceiling import LoadStep
from plugwarden_collector.capacity.demand import PluginDemand
from plugwarden_collector.capacity.growth import StoredRows, TableSize
from plugwarden_collector.capacity.held import Held, Machine
from plugwarden_collector.capacity.load import Load, load_of
from plugwarden_collector.capacity.resource import Resource
from plugwarden_collector.store.duckdb.statements import statement

from .source import CallSource

__all__ = ["PlannedCalls"]

EPOCH = datetime(1970, 1, 1)
FINE = timedelta(hours=1)
"""Spans up to this have peaks over ten seconds."""
NARROW = timedelta(days=1)
"""Spans up to this have peaks over a minute: a day of a plugin has 1,440 of them."""
TOLD = timedelta(hours=1)
"""How far back what hosts tell of limits is looked for: they tell it each minute."""
SLOT_SECONDS, MINUTE_SECONDS, HOUR_SECONDS = 10.0, 60.0, 3600.0
MOST_STEPS = 10_000
"""Minutes that a ceiling is found from: a week of them."""

_SUMS = {Resource.CALLS: "calls", Resource.CONCURRENCY: "busy", Resource.CPU: "cpu"}
"""Resource -> column of `hourly_load.sql`."""


class PlannedCalls:
    """Asked from any thread."""

    def __init__(self, source: CallSource) -> None:
        self._source = source

    def demand(
        self, since: datetime, until: datetime, *, plugin: str | None = None, by_operation: bool = False
    ) -> list[PluginDemand]:
        """Return what plugins ask of their hosts."""
        asked = {**self._slots(since, until), "plugin": plugin, "by_operation": by_operation}
        return self._source.values(PluginDemand, "demand", asked)

    def tenants(self, since: datetime, until: datetime, *, plugin: str | None = None) -> list[PluginDemand]:
        """Return the same by tenant."""
        kept = max(since, self._source.tiers.seconds)
        if kept >= until:
            return []
        begin, end = self._with_data(kept, until)
        asked = {"since": kept, "until": until, "plugin": plugin, "slot": SLOT_SECONDS, "begin": begin, "end": end}
        return self._source.values(PluginDemand, "demand_of_tenants", asked)

    def held(self, since: datetime, until: datetime) -> list[Held]:
        """Return what hosts told last of each operation's limits."""
        return self._source.values(Held, "held_operations", {"since": max(since, until - TOLD), "until": until})

    def machines(self, since: datetime, until: datetime) -> list[Machine]:
        """Return the machines that ran plugins."""
        told = {"told_since": max(since, until - TOLD)}
        return self._source.values(Machine, "machines", {**self._slots(since, until), **told})

    def load(self, first: datetime, before: datetime, *, plugin: str | None = None) -> Load:
        """Return load by the hour."""
        span = self._source.tiers.between(first, before)
        found = self._source.fetch_arrow(statement("hourly_load"), {**span, "plugin": plugin, "first": first})
        if not found.num_rows:
            return Load((), before, {resource: np.empty((0, 0)) for resource in _SUMS})
        plugins = found.column("plugin_id").combine_chunks().dictionary_encode()
        sums = {resource: found.column(name).to_numpy() for resource, name in _SUMS.items()}
        place = plugins.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return load_of(plugins.dictionary.to_pylist(), place, found.column("hour").to_numpy(), sums, first, before)

    def steps(self, plugin: str, since: datetime, until: datetime) -> list[LoadStep]:
        """Return calls a second and their mean time by the minute."""
        asked = {"plugin": plugin, "since": since, "until": until, "most": MOST_STEPS}
        return self._source.values(LoadStep, "load_steps", asked)

    def tables(self, at: datetime) -> list[TableSize]:
        """Return what each table of telemetry takes."""
        block = int(self._source.fetch(statement("database_size"))[0]["block_size"])
        return [
            TableSize(bytes=int(row.pop("blocks")) * block, **row)
            for row in self._source.fetch(statement("table_sizes"), {"at": at})
        ]

    def stored(self) -> list[StoredRows]:
        """Return whose raw rows the store holds."""
        return self._source.values(StoredRows, "stored_rows")

    def _slots(self, since: datetime, until: datetime) -> dict[str, Any]:
        """Return parameters of a span, of the slots that its cells can fill, and of the time that has data."""
        wide, tiers = until - since, self._source.tiers
        if wide <= FINE:
            # Where seconds are gone already, minutes are the finest there is.
            slot = SLOT_SECONDS if since >= tiers.seconds else MINUTE_SECONDS
            span = tiers.span(since, until, finest=True)
        elif wide <= NARROW:
            slot, none = MINUTE_SECONDS, until + timedelta(days=1)
            span = {**tiers.span(since, until), "first_hour": none, "hours_end": none}
        else:
            slot, span = HOUR_SECONDS, tiers.span(since, until)
        begin, end = self._with_data(since, until)
        return {**span, "slot": slot, "begin": begin, "end": end}

    def _with_data(self, since: datetime, until: datetime) -> tuple[float, float]:
        """Return the part of a span that the store has data of, in seconds since 1970; at least a second long."""
        begin = max(since, self._source.fetch(statement("oldest_data"))[0]["oldest"] or since)
        end = (until - EPOCH).total_seconds()
        return min((begin - EPOCH).total_seconds(), end - 1.0), end
