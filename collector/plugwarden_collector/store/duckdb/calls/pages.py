"""What pages ask of the calls; see `store.telemetry.Pages`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from plugwarden_collector.decide.drain import Running
from plugwarden_collector.judge.burn_down import Section
from plugwarden_collector.store.calls import (
    CallStep,
    ErrorCalls,
    FleetSeries,
    GateState,
    HeatStep,
    Measure,
    OperationCalls,
    PluginCalls,
    SectionCounts,
    UpstreamCalls,
)
from plugwarden_collector.store.duckdb.statements import statement

from .fleet import FleetPages
from .sections import section_counts
from .source import CallSource

__all__ = ["CallPages"]

FINE_SECONDS = 60.0
"""A chart whose points are closer than this wants seconds; everything else wants few rows."""


class CallPages:
    """Asked from any thread."""

    def __init__(self, source: CallSource, fleet: FleetPages) -> None:
        self._source, self._fleet = source, fleet

    def plugins(self, since: datetime, until: datetime) -> list[PluginCalls]:
        """Return one value a plugin."""
        return self._fleet.plugins(since, until)

    def fleet_series(self, since: datetime, until: datetime, step_seconds: float) -> FleetSeries:
        """Return calls of every plugin by step."""
        return FleetSeries(self._fleet.series(since, until, step_seconds))

    def upstreams(self, upstream: str | None, since: datetime, until: datetime) -> list[UpstreamCalls]:
        """Return one value an upstream, plugin and service, and one for each upstream as a whole."""
        return self._source.values(UpstreamCalls, "upstreams", {"upstream": upstream, "since": since, "until": until})

    def unnamed_upstreams(self, since: datetime, until: datetime) -> dict[str, int]:
        """Return calls that failed by what plugins depend on, of those that named nothing."""
        with self._source.reading() as cursor:
            return dict(cursor.execute(statement("unnamed_upstreams").sql, self._span(since, until)).fetchall())

    def plugin(self, plugin: str, since: datetime, until: datetime) -> PluginCalls | None:
        """Return one plugin."""
        asked = {**self._of(plugin, since, until), "seconds": (until - since).total_seconds()}
        found = self._source.values(PluginCalls, "fleet", asked)
        return found[0] if found else None

    def operations(self, plugin: str, since: datetime, until: datetime) -> list[OperationCalls]:
        """Return its operations by version."""
        return self._source.values(OperationCalls, "plugin_operations", self._of(plugin, since, until))

    def errors(self, plugin: str, since: datetime, until: datetime) -> list[ErrorCalls]:
        """Return its failed calls by version and error."""
        return self._source.values(
            ErrorCalls, "error_types", {**self._of(plugin, since, until), "version": None, "operations": None}
        )

    def gate(self, plugin: str, since: datetime, until: datetime) -> list[GateState]:
        """Return what the gates of its operations are like."""
        return self._source.values(GateState, "plugin_gate", {"plugin": plugin, "since": since, "until": until})

    def running(self, plugins: Sequence[str], at: datetime) -> list[Running]:
        """Return the calls under way in plugins, by operation and host process."""
        return self._source.values(Running, "running_calls", {"plugins": list(plugins), "at": at})

    def series(self, plugin: str, since: datetime, until: datetime, step_seconds: float) -> list[CallStep]:
        """Return its calls by step, version and outcome."""
        asked = {**self._of(plugin, since, until, step_seconds), "step": step_seconds}
        return self._source.values(CallStep, "plugin_series", asked)

    def sections(
        self, plugin: str, measure: Measure, sections: Sequence[Section], version: str | None = None
    ) -> SectionCounts:
        """Return what a measure counts of it, by section of time."""
        return section_counts(self._source, plugin, measure, sections, version)

    def heatmap(self, plugin: str, since: datetime, until: datetime, step_seconds: float) -> list[HeatStep]:
        """Return its latency distribution by step."""
        asked = {**self._of(plugin, since, until, step_seconds), "step": step_seconds}
        return self._source.values(HeatStep, "plugin_heatmap", asked)

    def _span(self, since: datetime, until: datetime, step_seconds: float = FINE_SECONDS) -> dict[str, Any]:
        return self._source.tiers.span(since, until, finest=step_seconds < FINE_SECONDS)

    def _of(self, plugin: str, since: datetime, until: datetime, step_seconds: float = FINE_SECONDS) -> dict[str, Any]:
        return {"plugin": plugin, **self._span(since, until, step_seconds)}
