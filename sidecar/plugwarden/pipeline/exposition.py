"""What the sidecar knows, in Prometheus' words: a collector for prometheus-client.

Exponential buckets are shown as classic ones at fixed edges; because edges are powers of two they coincide with bucket
bounds, so the counts are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from plugwarden.contract.histogram import CLASSIC_EDGES_SECONDS, upper_bound_seconds

from .aggregate import Cell, CellKey

if TYPE_CHECKING:
    from plugwarden.operation import Operation

__all__ = ["PluginCollector"]

_LABELS = ("plugin_id", "plugin_version", "plugin_operation")
_CALL_LABELS = (*_LABELS, "plugin_outcome", "plugin_error_source", "error_type")


class PluginCollector(Collector):
    """Yields the sidecar's metrics at each scrape."""

    def __init__(self, totals: Callable[[], dict[Any, Any]], operations: Callable[[], Collection[Operation]]) -> None:
        self._totals = totals
        self._operations = operations

    def collect(self) -> Iterator[Metric]:
        """All families; nothing is cached between scrapes."""
        durations = HistogramMetricFamily(
            "plugin_invocation_duration_seconds", "How long invocations took", labels=_CALL_LABELS
        )
        cpu = CounterMetricFamily(
            "plugin_cpu_time_seconds", "CPU time on the calling thread, estimated", labels=_LABELS
        )
        rejections = CounterMetricFamily(
            "plugin_rejections", "Invocations that the gate refused", labels=(*_LABELS, "plugin_rejection_reason")
        )
        calls: dict[tuple[str, ...], Cell] = {}
        cpu_seconds: dict[tuple[str, ...], float] = {}
        refused: dict[tuple[str, ...], int] = {}
        for key, cell in self._totals().items():
            if key.downstream is not None:
                continue
            name = _names(key)
            labels = (*name, key.outcome, key.source or "", key.error_type or "")
            calls.setdefault(labels, Cell()).merge(cell)
            cpu_seconds[name] = cpu_seconds.get(name, 0.0) + cell.cpu_seconds_estimate
            if key.rejection is not None:
                refused[(*name, key.rejection)] = refused.get((*name, key.rejection), 0) + cell.count
        for labels, cell in calls.items():
            durations.add_metric(labels, _classic(cell), cell.seconds_sum)
        for labels, seconds in cpu_seconds.items():
            cpu.add_metric(labels, seconds)
        for labels, count in refused.items():
            rejections.add_metric(labels, count)
        yield from (durations, cpu, rejections, *self._gauges())

    def _gauges(self) -> Iterator[Metric]:
        active = GaugeMetricFamily("plugin_invocation_active", "Invocations running now", labels=_LABELS)
        breaker = GaugeMetricFamily("plugin_breaker_state", "0 closed, 1 open, 2 half_open, …", labels=_LABELS)
        quarantine = GaugeMetricFamily(
            "plugin_quarantine_state", "0 healthy, 1 degraded, 2 quarantined, 3 probation", labels=_LABELS
        )
        for operation in self._operations():
            scope = operation.scope
            labels = (scope.plugin, scope.version or "", scope.operation or "")
            active.add_metric(labels, len(operation.running))
            quarantine.add_metric(labels, operation.quarantine_state.number)
            if operation.breaker is not None:
                breaker.add_metric(labels, operation.breaker.state.number)
        yield from (active, breaker, quarantine)


def _names(key: CellKey) -> tuple[str, ...]:
    scope = key.operation.scope
    return (scope.plugin, scope.version or "", scope.operation or "")


def _classic(cell: Cell) -> list[tuple[str, float]]:
    ordered = sorted(cell.buckets.items())
    classic: list[tuple[str, float]] = []
    position = seen = 0
    for edge in CLASSIC_EDGES_SECONDS:
        while position < len(ordered) and upper_bound_seconds(ordered[position][0]) <= edge * (1 + 1e-9):
            seen += ordered[position][1]
            position += 1
        classic.append((repr(edge), seen))
    classic.append(("+Inf", cell.count))
    return classic
