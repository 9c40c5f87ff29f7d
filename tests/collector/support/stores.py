"""Stores made to measure: real OTLP bytes through the real writer, and the real tick over what they hold."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.audit import Place
from plugwarden_collector.audit.entries import UNKEYED, Draft
from plugwarden_collector.control.observe import StoredEvidence, observe
from plugwarden_collector.cycle import evaluate
from plugwarden_collector.decide.changes import Changes, Freeze
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.judge.watch import Watch
from plugwarden_collector.matcher import equal
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.rules.file import load_rules
from plugwarden_collector.store import Database, Ledger, Telemetry, Writer, open_ledger, telemetry_of
from plugwarden_collector.store.duckdb.database import FILE_NAME
from plugwarden_collector.store.duckdb.file.inspect import logs_of
from plugwarden_collector.store.duckdb.ledger.sealing import Sealing
from plugwarden_collector.store.duckdb.ledger.state import apply_changes, load_standing
from plugwarden_collector.store.duckdb.write.writer import Work

from tests.collector.conftest import RULES

AT = datetime(2026, 1, 1, 12)
"""All that is stored happened from here on."""


@dataclass
class Open:
    """A store with its writer."""

    database: Database
    writer: Writer
    telemetry: Telemetry

    @cached_property
    def ledger(self) -> Ledger:
        """Its ledger, from when a test asks for it: its heads are kept from then on."""
        return open_ledger(self.database, self.writer, Place.of(), AT)

    def send(self, signal: Signal, body: bytes) -> None:
        """Store one request, as the receiver does."""
        batch = read(signal, body)
        digest = hashlib.blake2b(body, digest_size=8, person=signal.encode()[:16]).digest()
        assert self.writer.submit(int.from_bytes(digest, "big"), batch.tables, batch.nbytes).result(60)


@contextmanager
def opened(folder: Path) -> Iterator[Open]:
    """Open a store for a block."""
    database = Database(folder)
    writer = Writer(database)
    store = Open(database, writer, telemetry_of(database, writer))
    try:
        yield store
    finally:
        if "ledger" in vars(store):
            store.ledger.close()
        writer.close(30)
        database.close()


def repeat_spans(store: Open, times: int) -> None:
    """Store the spans of a store so many times more, each under an id of its own, without the cost of requests that carry them."""
    copies = "insert into span_rows select span_rows.* replace (xor(span_id, n::ubigint) as span_id) from span_rows, range(1, ?) t(n)"
    store.writer.run(lambda connection: connection.execute(copies, [times + 1])).result(60)


def crash(store: Open, to: Path) -> None:
    """What is on disk at this moment, as a killed process would leave it."""
    to.mkdir(parents=True)
    for file in [store.database.path, *logs_of(store.database.path)]:
        shutil.copyfile(file, to / file.name)


def checkpoint(store: Open) -> None:
    """Bring everything from the log into the file."""
    hold = store.database.checkpoints
    store.writer.run_outside_transaction(lambda connection: hold.checkpoint(connection, threshold_bytes=0)).result(60)


def written(changes: Changes) -> Work:
    """Work for the writer that stores changes, with decisions that no key seals."""
    return lambda connection: apply_changes(Sealing(connection, UNKEYED), changes)


def fill(store: Open, rules: Path, *, seconds: int = 40, spans: int = 5, first: int = 0) -> None:
    """Every second: spans, logs and points of two versions of a plugin, one of which fails; and a tick.

    From second 0 on, half of it is in the file afterwards, the other half in its write-ahead log.
    """
    rules.write_text(RULES)
    loaded = load_rules(rules)
    with store.database.reading() as cursor:
        told = load_standing(cursor, store.database.epoch, AT).directives
    standing, watch = Standing(directives=told), Watch()
    evidence = StoredEvidence(store.telemetry, lambda: loaded)
    for second in range(first, first + seconds):
        at = AT + timedelta(seconds=second)
        if first == 0 and second == seconds // 2:
            checkpoint(store)
        store.send(Signal.TRACES, traces(second, spans))
        store.send(Signal.LOGS, logs(second, spans))
        store.send(Signal.METRICS, metrics(second))
        store.writer.roll_up(at).result(60)
        seen = observe(
            store.telemetry.judging, loaded, at, mark=watch.mark, since=AT - timedelta(hours=1), budgets=second % 5 == 0
        )
        standing, watch, changes = evaluate(loaded, standing, watch, seen, evidence, lambda: 0.5)
        store.writer.run(written(changes)).result(60)
    if first:
        return
    note = Draft(AT, "noted", "a test", "store", "“quoted”, tab\t and <b>markup</b>", evidence={"n": 1})
    incident = Incident("i-1", "downstream", "db is slow", ("csv", "geo"), AT)
    silence = Silence("s-1", equal({"plugin": "csv"}), AT, AT + timedelta(hours=1), "a test", "quiet")

    changes = Changes(at=AT, decisions=[note], incidents=[incident], silences=[silence], freeze=Freeze("a test"))

    def people(connection: Any) -> None:
        written(changes)(connection)
        connection.execute(
            "insert into notifications values (?, 'pager', 'f', 'sent', 1, null, ?, 'n-1', ?)",
            [AT, json.dumps({"a": 1}), AT],
        )
        connection.execute(
            "insert into tellings values ('pager', 'f', ?, ?, null, ?, null)", [AT, AT, json.dumps({"key": "f"})]
        )

    store.writer.run(people).result(60)


def traces(second: int, spans: int) -> bytes:
    """Spans of one second; the same bytes for the same second."""
    chance = random.Random(second)
    message = trace_service_pb2.ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    _resource(resource.resource, second)
    scope = resource.scope_spans.add()
    scope.scope.name, scope.scope.version = "csv", "1"
    for number in range(spans):
        span = scope.spans.add(trace_id=chance.randbytes(16), span_id=chance.randbytes(8), name=f"export {number % 7}")
        if number % 3 == 0:
            span.parent_span_id = chance.randbytes(8)
        span.kind = number % 6
        span.start_time_unix_nano = _ns(second) + number
        span.end_time_unix_nano = span.start_time_unix_nano + chance.randrange(1, 10**9)
        outcome = "error" if number % 4 == 0 else "success"
        pairs = {"plugin.id": "csv", "plugin.version": "2" if number % 4 == 0 else "1", "plugin.operation": "export",
                 "plugin.outcome": outcome, "tenant.id": f"tenant {number % 3}", "note": f"n {chance.random()} ✓"}  # fmt: skip
        if outcome == "error":
            pairs |= {"error.type": "ValueError", "plugin.error.source": "plugin"}
            span.status.code, span.status.message = 2, "it failed"
            event = span.events.add(name="exception", time_unix_nano=span.start_time_unix_nano)
            event.attributes.add(key="exception.message").value.string_value = "no such row"
            link = span.links.add(trace_id=chance.randbytes(16), span_id=chance.randbytes(8))
            link.attributes.add(key="why").value.string_value = "cause"
        _attributes(span, pairs)
    return bytes(message.SerializeToString())


def logs(second: int, records: int) -> bytes:
    """Log records of one second."""
    chance = random.Random(second)
    message = logs_service_pb2.ExportLogsServiceRequest()
    resource = message.resource_logs.add()
    _resource(resource.resource, second)
    scope = resource.scope_logs.add()
    scope.scope.name = "csv"
    for number in range(records):
        record = scope.log_records.add(time_unix_nano=_ns(second) + number, severity_number=9 + number % 8)
        record.severity_text = "INFO"
        record.body.string_value = f"row {number} of {chance.random()}"
        record.trace_id, record.span_id = chance.randbytes(16), chance.randbytes(8)
        _attributes(record, {"plugin.id": "csv", "plugin.version": "1", "path": f"/tmp/{number}"})
    return bytes(message.SerializeToString())


def metrics(second: int) -> bytes:
    """Calls of two versions in one second, and a point of each other kind."""
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    _resource(resource.resource, second)
    scope = resource.scope_metrics.add()
    calls = scope.metrics.add(name="plugin.invocation.duration", unit="s").exponential_histogram
    calls.aggregation_temporality = 1
    for version, outcome, count in (("1", "success", 40), ("2", "success", 10), ("2", "error", 10)):
        point = calls.data_points.add(count=count, sum=count * 0.01, scale=4, max=0.02, min=0.005, **_span_of(second))
        point.positive.offset = -100
        point.positive.bucket_counts.extend([count // 2, count - count // 2])
        pairs = {"plugin.id": "csv", "plugin.version": version, "plugin.operation": "export", "plugin.outcome": outcome}
        if outcome == "error":
            pairs |= {"error.type": "ValueError", "plugin.error.source": "plugin"}
        _attributes(point, pairs)
    cpu = scope.metrics.add(name="plugin.cpu.time", unit="s").sum
    cpu.aggregation_temporality, cpu.is_monotonic = 1, True
    _attributes(cpu.data_points.add(as_double=0.25, **_span_of(second)), {"plugin.id": "csv", "plugin.version": "1"})
    _attributes(
        scope.metrics.add(name="depth").gauge.data_points.add(as_int=-second, **_span_of(second)), {"queue": "a"}
    )
    old = scope.metrics.add(name="size", unit="By").histogram
    old.aggregation_temporality = 2
    point = old.data_points.add(count=3, sum=6.5, **_span_of(second))
    point.explicit_bounds.extend([1, 2])
    point.bucket_counts.extend([1, 1, 1])
    exemplar = point.exemplars.add(as_double=1.5, time_unix_nano=_ns(second))
    exemplar.trace_id, exemplar.span_id = bytes(range(16)), bytes(range(8))
    return bytes(message.SerializeToString())


def _resource(resource: Any, second: int) -> None:
    _attributes(resource, {"service.name": "host", "service.instance.id": f"host-{second % 2}", "host.name": "h",
                           "deployment.environment.name": "test", "extra": "x"})  # fmt: skip


def _attributes(item: Any, pairs: dict[str, str]) -> None:
    for key, value in pairs.items():
        item.attributes.add(key=key).value.string_value = value


def _ns(second: int) -> int:
    return int((AT + timedelta(seconds=second)).replace(tzinfo=UTC).timestamp()) * 10**9


def _span_of(second: int) -> dict[str, int]:
    return {"start_time_unix_nano": _ns(second) - 10**9, "time_unix_nano": _ns(second)}


def path_of(folder: Path) -> Path:
    """The database file in a folder."""
    return folder / FILE_NAME


@dataclass(frozen=True, slots=True)
class Crashed:
    """A store as a killed collector left it, and what it held after each commit of its log."""

    folder: Path
    states: dict[str, set[tuple[int, int]]]
    """Table -> (rows, fingerprint) after each commit."""
    last: dict[str, tuple[int, int]]


def crashed_store(folder: Path) -> Crashed:
    """A store with a long log, killed."""
    states: dict[str, set[tuple[int, int]]] = {}
    with opened(folder / "live") as store:
        fill(store, folder / "rules.toml", seconds=8, spans=20)
        store.send(Signal.TRACES, traces(900, 3_000))
        repeat_spans(store, 9)
        checkpoint(store)
        for second in range(10):
            fill(store, folder / "rules.toml", seconds=1, spans=20, first=3600 + second)
            last = fingerprints(store.database.cursor())
            for name, state in last.items():
                states.setdefault(name, set()).add(state)
        crash(store, folder / "data")
    # The states between a request's commit and the tick's: every table by itself still has one of the states above,
    # or that of the commit in between, which differs in the tables of one request only.
    return Crashed(folder / "data", states, last)


def fingerprints(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[int, int]]:
    """Table -> (rows, a hash over all of them)."""
    names = connection.execute("select table_name from duckdb_tables() where not internal and not temporary").fetchall()
    found = {}
    for (name,) in names:
        rows = connection.execute(f"select count(*), bit_xor(hash(t)) from {name} t").fetchall()[0]
        found[name] = (int(rows[0]), int(rows[1] or 0))
    return found
