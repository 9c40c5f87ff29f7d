"""A store that is told of a fleet second by second, and the live judge beside it, with time as a number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from plugwarden.contract import Scope
from plugwarden.contract.histogram import bucket_index
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.control.observe import LongWindows, StoredEvidence, UsualPast, observe
from plugwarden_collector.cycle import evaluate, within
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.judge.arrivals import Cell
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.watch import Watch
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.store import Database, Telemetry, Writer, telemetry_of

from tests.collector.support.rolled_store import ns

__all__ = ["BEGIN", "Calls", "Judge", "telling"]

BEGIN = datetime(2026, 11, 20, 6)


@dataclass(frozen=True, slots=True)
class Calls:
    """What one part does in one second."""

    plugin: str
    version: str
    operation: str
    instance: str
    tenant: str = ""
    good: int = 0
    failed: int = 0
    slow: int = 0
    error: str = "ValueError"

    def cell(self) -> Cell:
        """Return where it is."""
        return Cell(
            self.plugin, self.version, self.operation, "host", self.instance, f"m-{self.instance}", self.tenant, "", CallCounts()
        )  # fmt: skip


@dataclass(slots=True)
class Told:
    """An open store."""

    database: Database
    writer: Writer
    telemetry: Telemetry
    sent: int = 0

    def tell(self, at: datetime, calls: Sequence[Calls]) -> None:
        """Store and count one second."""
        for instance in sorted({item.instance for item in calls}):
            body = _request(at, instance, [item for item in calls if item.instance == instance])
            batch = read(Signal.METRICS, body, now_ns=ns(at + timedelta(seconds=1)))
            self.sent += 1
            assert self.telemetry.ingest.append(self.sent, batch.tables, batch.nbytes).result(30)
        self.telemetry.ingest.catch_up(at + timedelta(seconds=1)).result(30)


@dataclass(slots=True)
class Judge:
    """The live loop's turn, as `control.live.Warden` takes it."""

    telemetry: Telemetry
    rules: Rules
    standing: Standing = field(default_factory=Standing)
    watch: Watch = field(default_factory=Watch)
    decisions: list[Draft] = field(default_factory=list)
    long: LongWindows = field(default_factory=LongWindows)
    usual: UsualPast = field(default_factory=UsualPast)

    def turn(self, at: datetime) -> None:
        """Look once."""
        seen = observe(
            self.telemetry.judging, self.rules, at, mark=self.watch.mark, since=at - timedelta(minutes=10), budgets=False,
            long=self.long, usual=self.usual,
        )  # fmt: skip
        evidence = StoredEvidence(self.telemetry, lambda: self.rules)
        self.standing, self.watch, changes = evaluate(
            self.rules, self.standing, self.watch, seen, evidence, lambda: 0.0
        )
        self.decisions += changes.decisions

    def refused(self, calls: Calls) -> bool:
        """Whether hosts refuse a call."""
        return any(within(scope, calls.cell()) for scope in self.held())

    def held(self) -> Sequence[Scope]:
        """Return what is isolated."""
        return [item.scope for item in self.standing.quarantines.values() if item.in_force]


@contextmanager
def telling(folder: Path) -> Iterator[Told]:
    """An empty store, for a block."""
    database = Database(folder)
    writer = Writer(database)
    try:
        yield Told(database, writer, telemetry_of(database, writer))
    finally:
        writer.close(30)
        database.close()


def live(folder: Path, rules: Rules, seconds: int, world: Callable[[int], Sequence[Calls]], *, obey: bool) -> Judge:
    """Live through a world, and leave its store."""
    with telling(folder) as told:
        judge = Judge(told.telemetry, rules)
        for second in range(seconds):
            calls = world(second)
            if obey:
                calls = [item for item in calls if not judge.refused(item)]
            at = BEGIN + timedelta(seconds=second)
            told.tell(at, calls)
            judge.turn(at + timedelta(seconds=1))
    return judge


def _request(at: datetime, instance: str, calls: Sequence[Calls]) -> bytes:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    group = message.resource_metrics.add()
    for key, text in (("service.name", "host"), ("service.instance.id", instance), ("host.name", f"m-{instance}")):
        group.resource.attributes.add(key=key).value.string_value = text
    metric = group.scope_metrics.add().metrics.add(name="plugin.invocation.duration", unit="s")
    metric.exponential_histogram.aggregation_temporality = 1
    for item in calls:
        for count, duration, outcome in (
            (item.good, 0.001, "success"), (item.slow, 2.0, "success"), (item.failed, 0.001, "error")
        ):  # fmt: skip
            if count:
                _point(metric, at, item, count, duration, outcome)
    return message.SerializeToString()


def _point(metric: Any, at: datetime, item: Calls, count: int, duration: float, outcome: str) -> None:
    point = metric.exponential_histogram.data_points.add(
        count=count, sum=count * duration, max=duration, scale=4, time_unix_nano=ns(at), start_time_unix_nano=ns(at) - 10**9
    )  # fmt: skip
    point.positive.offset = bucket_index(duration)
    point.positive.bucket_counts.extend([count])
    said = {
        "plugin.id": item.plugin, "plugin.version": item.version, "plugin.operation": item.operation, "plugin.outcome": outcome
    }  # fmt: skip
    if item.tenant:
        said["tenant.id"] = item.tenant
    if outcome == "error":
        said |= {"error.type": item.error, "plugin.error.source": "plugin"}
    for key, text in said.items():
        point.attributes.add(key=key).value.string_value = text
