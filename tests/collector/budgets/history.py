"""A collector whose clock a test moves, and every call that it was ever told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.store.upkeep import Keep

from tests.collector.conftest import Running, running
from tests.collector.support.rolled_store import ns, span
from tests.collector.support.still_clock import StillClock

from .oracle import Call, Excluded, Left, Promise, Told, left_of

__all__ = ["History"]


class History:
    """Calls are told to a collector, and to nobody else; both it and the oracle are asked what is left."""

    def __init__(self, folder: Path, promises: Sequence[Promise], clock: StillClock) -> None:
        self._folder, self.promises, self.clock = folder, promises, clock
        self.calls: list[Call] = []
        self.told: list[Told] = []
        self.excluded: list[Excluded] = []
        (folder / "rules.toml").write_text("".join(map(_table, promises)))

    @contextmanager
    def collector(self) -> Iterator[Running]:
        """Run a collector on what there is so far."""
        with running(self._folder / "data", self._folder / "rules.toml", clock=self.clock) as found:
            yield found

    def tell(self, collector: Running, calls: Iterable[Call]) -> None:
        """Send calls, whenever they were made."""
        told = list(calls)
        for first in range(0, len(told), 2_000):
            message = trace_service_pb2.ExportTraceServiceRequest()
            for call in told[first : first + 2_000]:
                span(message, call.seconds, call.at, attributes=_attributes(call))
            _send(collector, "traces", message)
        self.calls += told

    def tell_limits(self, collector: Running, told: Iterable[Told]) -> None:
        """Send what host processes told of their limits, whenever that was."""
        found = list(told)
        message = metrics_service_pb2.ExportMetricsServiceRequest()
        for process in sorted({item.process for item in found}):
            resource = message.resource_metrics.add()
            resource.resource.attributes.add(key="service.instance.id").value.string_value = process
            for item in found:
                if item.process == process:
                    _gauges(resource.scope_metrics.add(), item)
        _send(collector, "metrics", message)
        self.told += found

    def keep_little(self, collector: Running) -> None:
        """Let go of what is old, as a minute's round of cleaning up does."""
        for _ in range(2):
            collector.collector.telemetry.upkeep.retain(Keep(), self.clock())

    def exclude(self, collector: Running, item: Excluded) -> str:
        """Leave a stretch of time out. Return the correction's id."""
        about = {"plugins": item.plugins, "objectives": item.objectives, "owners": item.owners}
        span = {"starts_at": f"{item.starts_at.isoformat()}Z", "ends_at": f"{item.ends_at.isoformat()}Z"}
        made = collector.api.post("corrections", {**about, **span, "reason": "planned maintenance", "actor": "ann"})
        self.excluded.append(item)
        return str(made["id"])

    def check(self, collector: Running) -> dict[tuple[str, str], Left]:
        """Hold what the API says against the oracle, to the last call. Return what both say, by objective and plugin."""
        warden = collector.collector.warden
        with warden._lock:  # a turn of its own that began before the calls came would say that budgets are counted
            warden._budgets_at = 0.0
        warden.tick()
        budgets, slos = collector.api.get("budgets"), collector.api.get("slos")
        told = {(row["slo"], row["plugin_id"]): row for row in budgets}
        versions = {(row["slo"], row["plugin_id"], row["plugin_version"]): row for row in slos}
        found: dict[tuple[str, str], Left] = {}
        for promise in self.promises:
            for plugin in sorted({call.plugin for call in self.calls}):
                left = left_of(self.calls, promise, plugin, self.clock(), self.excluded, self.told)
                found[promise.name, plugin] = left
                row = told.get((promise.name, plugin))
                said = (0, 0, None) if row is None else _said(row)
                if row is not None and datetime.fromisoformat(row["time"]).replace(tzinfo=None) < self.clock():
                    said = (0, 0, None)  # of a period that is over, and in which nobody was called since
                assert said[:2] == (left.total, left.bad), (said, left, promise, plugin, self.clock())
                if left.remaining is not None:
                    assert abs(said[2] - left.remaining) < 1e-9, (promise, plugin)
                for version, (total, bad) in left.by_version.items():
                    row = versions.get((promise.name, plugin, version))
                    if row is not None and datetime.fromisoformat(row["time"]).replace(tzinfo=None) == self.clock():
                        assert _said(row)[:2] == (total, bad), (promise, plugin, version)
        return found

    def move(self, length: timedelta) -> None:
        """Let time pass."""
        self.clock.at += length


def _send(collector: Running, signal: str, message: Any) -> None:
    answer = httpx2.post(
        f"{collector.http}/v1/{signal}",
        content=message.SerializeToString(),
        headers={"Content-Type": "application/x-protobuf"},
    )
    assert answer.status_code == 200, answer.text


def _gauges(scope: Any, item: Told) -> None:
    said = (
        ("plugin.invocation.active", "", item.running),
        ("plugin.terms.declared", "concurrency", item.expected),
        ("plugin.terms.enforced", "concurrency", item.places),
        ("plugin.terms.enforced", "rate", item.rate),
        ("plugin.terms.observed", "concurrency", item.most),
        ("plugin.terms.observed", "rate", item.asked),
    )
    for name, term, value in said:
        if value is not None:
            point = scope.metrics.add(name=name).gauge.data_points.add(as_double=value, time_unix_nano=ns(item.at))
            about = {"plugin.id": item.plugin, "plugin.version": item.version, "plugin.operation": item.operation}
            for key, text in (about | ({"plugin.term": term} if term else {})).items():
                point.attributes.add(key=key).value.string_value = text


def _said(row: dict[str, Any]) -> tuple[int, int, Any]:
    return row["total"], row["bad"], row["budget_remaining_ratio"]


def _table(promise: Promise) -> str:
    lines = [
        "[[slo]]",
        f'name = "{promise.name}"',
        f"objective = {promise.target}",
        f'plugins = "{promise.plugins}"',
        f'period = "{promise.unit}"' if promise.days is None else f'period = "{round(promise.days * 24)}h"',
    ]
    if promise.days is None:
        lines.append(f'time_zone = "{promise.zone}"')
    if promise.threshold_seconds is not None:
        lines += ['sli = "latency"', f'threshold = "{promise.threshold_seconds}s"']
    if promise.resource:
        lines += [
            'sli = "saturation"', f'resource = "{promise.resource}"', f"threshold = {promise.full_at}", "min_events = 1",
            "min_failures = 1",
        ]  # fmt: skip
    for key, patterns in (("versions", promise.versions), ("operations", promise.operations)):
        if patterns != ("*",):
            lines.append(f"{key} = {list(patterns)}")
    if promise.slice_minutes:
        lines += [
            f'slice = "{promise.slice_minutes}m"', f"slice_objective = {promise.slice_target}",
            f"slice_min_calls = {promise.slice_min_calls}", f'empty_slices = "{promise.empty}"', "min_events = 1", "min_failures = 1",
        ]  # fmt: skip
    if promise.owner:
        lines.append(f'owner = "{promise.owner}"')
    return "\n".join([*lines, ""])


def _attributes(call: Call) -> dict[str, str]:
    said = {
        "plugin.id": call.plugin,
        "plugin.version": call.version,
        "plugin.operation": call.operation,
        "plugin.outcome": call.outcome,
    }
    if call.outcome != "success":
        said |= {"error.type": "ValueError", "plugin.error.source": call.source or "host"}
    if call.reason:
        said |= {"plugin.rejection.reason": call.reason}
    return said
