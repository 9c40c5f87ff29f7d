"""What every engine of telemetry promises (`store.telemetry`): each test asks through the port alone."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden.contract import OVERFLOW
from plugwarden.contract.histogram import threshold_index
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.errors import NotFoundError, QueryCancelledError, QueryError
from plugwarden_collector.judge.arrivals import Wanted
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.ways_back import WayBack
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.store import Telemetry
from plugwarden_collector.store.calls import Measure
from plugwarden_collector.store.telemetry import Query
from plugwarden_collector.store.traces import Trace, TraceFilter
from plugwarden_collector.store.upkeep import Keep

from tests.collector.support.hostile_names import HOSTILE_NAMES
from tests.collector.support.rolled_store import AT, ns, span

from .conftest import Engine

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FAILS = Measure("fails", lambda plugin: True)
SLOW = Measure("slow", lambda plugin: plugin == "geo", threshold_index(0.1))
NOTE = Draft(AT, "noted", "a test", "store", "because")
ID = int.from_bytes(bytes(range(1, 17)), "big")


@pytest.fixture
def telemetry(engine: Engine) -> Telemetry:
    """The telemetry of an empty store."""
    return engine.telemetry


def append(telemetry: Telemetry, signal: Signal, body: bytes, at: datetime = AT) -> bool:
    """Store a request as the receiver does, with the hash of its bytes for its token."""
    batch = read(signal, body, now_ns=ns(at))
    token = int.from_bytes(hashlib.blake2b(body, digest_size=8).digest(), "big")
    return telemetry.ingest.append(token, batch.tables, batch.nbytes).result(30)


def catch_up(telemetry: Telemetry, at: datetime = AT) -> None:
    telemetry.ingest.catch_up(at).result(30)
    assert telemetry.ingest.caught_up


def call(
    telemetry: Telemetry,
    plugin: str = "csv",
    at: datetime = AT,
    *,
    seconds: float = 0.01,
    came: datetime = AT,
    **told: Any,
) -> bytes:
    """Store one call, and return the request."""
    said = {"plugin.id": plugin, "plugin.version": "1", "plugin.operation": "run", "plugin.outcome": "success"}
    said |= {f"plugin.{name.replace('_', '.')}": value for name, value in told.items()}
    if said["plugin.outcome"] != "success":
        said = {"error.type": "ValueError", "plugin.error.source": "plugin"} | said
    message = trace_service_pb2.ExportTraceServiceRequest()
    span(message, seconds, at, attributes=said)
    body: bytes = message.SerializeToString()
    assert append(telemetry, Signal.TRACES, body, came)
    return body


def points(*plugins: str, outcome: str = "success", begins: datetime = AT - timedelta(seconds=1)) -> bytes:
    """Ten calls of each plugin as a sidecar counts them."""
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "host"
    metric = resource.scope_metrics.add().metrics.add(name="plugin.invocation.duration", unit="s")
    metric.exponential_histogram.aggregation_temporality = 1
    for plugin in plugins:
        point = metric.exponential_histogram.data_points.add(
            count=10, sum=0.1, max=0.02, scale=4, time_unix_nano=ns(AT), start_time_unix_nano=ns(begins)
        )
        point.positive.offset = -100
        point.positive.bucket_counts.extend([10])
        said = {"plugin.id": plugin, "plugin.version": "1", "plugin.operation": "run", "plugin.outcome": outcome}
        if outcome != "success":
            said |= {"error.type": "ValueError", "plugin.error.source": "plugin"}
        for key, text in said.items():
            point.attributes.add(key=key).value.string_value = text
    return message.SerializeToString()


def bad(total: int, failed: int = 0) -> CallCounts:
    return CallCounts(total, failed=failed)


def counted(telemetry: Telemetry, *sizes: float, measure: Measure = FAILS, at: datetime = AT) -> dict[str, list[Any]]:
    """Return plugin -> counts of its version 1 in each window."""
    found = telemetry.judging.windows([measure], sizes, at, at).get(measure.name, {})
    return {plugin: [windows.get(size) for size in sizes] for (plugin, _), windows in found.items()}


def answer(telemetry: Telemetry, sql: str, **options: Any) -> pa.Table:
    stream = telemetry.queries.start(Query(sql, **options))
    try:
        stream.open()
        whole = b"".join([stream.begin, *(piece.data for piece in stream)])
        return pa.ipc.open_stream(pa.py_buffer(whole)).read_all()
    finally:
        stream.close()


# -- ingest ---------------------------------------------------------------------------------------------------------------


def test_a_token_counts_once_also_after_a_restart(engine: Engine) -> None:
    body = call(engine.telemetry)
    assert append(engine.telemetry, Signal.TRACES, body) is False
    engine.reopen()
    assert append(engine.telemetry, Signal.TRACES, body) is False
    catch_up(engine.telemetry)
    assert counted(engine.telemetry, 300.0) == {"csv": [bad(1, 0)]}


def test_what_is_acknowledged_is_in_every_answer_once_caught_up(telemetry: Telemetry) -> None:
    call(telemetry, outcome="error")
    assert not telemetry.ingest.caught_up
    catch_up(telemetry)
    since, until = AT - HOUR, AT
    assert counted(telemetry, 60.0, 3600.0, 2 * 86_400.0) == {"csv": [bad(1, 1)] * 3}
    assert [item.calls for item in telemetry.judging.versions(since, until)] == [1]
    assert [item.calls for item in telemetry.pages.plugins(since, until)] == [1]
    assert json.loads(telemetry.pages.fleet_series(since, until, 60.0).json)[0]["failed"] == 1
    assert telemetry.condition.newest_at() == telemetry.condition.oldest_at() == AT
    assert answer(telemetry, "select sum(calls)::bigint as calls from plugin_calls").to_pylist() == [{"calls": 1}]


def test_a_store_that_was_not_caught_up_counts_after_a_restart(engine: Engine) -> None:
    call(engine.telemetry)
    engine.reopen()
    catch_up(engine.telemetry)
    assert counted(engine.telemetry, 300.0) == {"csv": [bad(1, 0)]}


# -- judging --------------------------------------------------------------------------------------------------------------


def test_windows_of_all_plugins_come_in_one_answer(telemetry: Telemetry) -> None:
    for plugin in ("csv", "geo"):
        for seconds, outcome in ((2, "success"), (200, "error"), (2000, "timeout"), (30_000, "success")):
            call(
                telemetry,
                plugin,
                AT - timedelta(seconds=seconds),
                outcome=outcome,
                seconds=0.5 if seconds == 2 else 0.01,
            )
        call(telemetry, plugin, AT - timedelta(seconds=1), outcome="rejected")
    catch_up(telemetry)
    sizes = (60.0, 300.0, 3600.0, 86_400.0)
    fails = [bad(1, 0), bad(2, 1), bad(3, 2), bad(4, 2)]
    assert counted(telemetry, *sizes) == {"csv": fails, "geo": fails}
    slow = [CallCounts(total, slow=1) for total in (1, 2, 3, 4)]
    assert counted(telemetry, *sizes, measure=SLOW) == {"geo": slow}
    both = telemetry.judging.windows([FAILS, SLOW], sizes, AT, AT)
    assert set(both["fails"]) == {("csv", "1"), ("geo", "1")}
    assert set(both["slow"]) == {("geo", "1")}


def test_failures_that_others_are_to_blame_for_are_calls_and_not_bad(telemetry: Telemetry) -> None:
    call(telemetry, outcome="error", error_source="downstream")
    catch_up(telemetry)
    assert counted(telemetry, 60.0) == {"csv": [bad(1, 0)]}


def test_late_calls_count_where_they_belong(telemetry: Telemetry) -> None:
    late = AT - timedelta(hours=9)
    call(telemetry, at=late, came=late)
    catch_up(telemetry, late)
    call(telemetry)
    catch_up(telemetry)
    sizes = (3600.0, 86_400.0)
    assert counted(telemetry, *sizes) == {"csv": [bad(1, 0), bad(2, 0)]}
    assert telemetry.pages.plugins(AT - DAY, AT)[0].calls == 2
    call(telemetry, at=late + timedelta(seconds=3), outcome="error")
    catch_up(telemetry)
    assert counted(telemetry, *sizes) == {"csv": [bad(1, 0), bad(3, 1)]}
    assert telemetry.pages.plugins(AT - DAY, AT)[0].calls == 3


def test_what_stands_for_many_is_in_no_answer_to_the_judge(telemetry: Telemetry) -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    for number in range(130):  # more versions of a plugin than are told apart
        said = {"plugin.id": "csv", "plugin.version": str(number), "plugin.operation": "run", "plugin.outcome": "error"}
        span(message, 0.01, AT, attributes=said | {"plugin.error.source": "plugin"})
    append(telemetry, Signal.TRACES, message.SerializeToString())
    catch_up(telemetry)
    assert OVERFLOW not in {item.version for item in telemetry.judging.cells([Wanted("csv", AT - HOUR)], (), AT)}
    found = telemetry.judging.windows([FAILS], [60.0, 86_400.0], AT, AT)["fails"]
    assert 1 < len(found) < 130
    assert ("csv", OVERFLOW) not in found
    assert len(telemetry.judging.versions(AT - HOUR, AT)) == len(found)
    (page,) = telemetry.pages.plugins(AT - HOUR, AT)
    assert page.calls == 130
    names = telemetry.condition.names(AT - HOUR)
    assert names.names + names.calls_beyond == 130
    assert len(names.services_beyond) == 1


def test_cells_and_errors_say_where_failures_are(telemetry: Telemetry) -> None:
    for operation, outcome in (("read", "success"), ("write", "error"), ("write", "error")):
        call(telemetry, operation=operation, outcome=outcome)
    call(telemetry, version="2", outcome="timeout")
    catch_up(telemetry)
    cells = telemetry.judging.cells([Wanted("csv", AT - HOUR)], (), AT)
    assert {(item.version, item.operation): item.counts for item in cells} == {
        ("1", "read"): bad(1, 0), ("1", "write"): bad(2, 2), ("2", "run"): bad(1, 1),
    }  # fmt: skip
    (error,) = telemetry.judging.errors("csv", "1", AT - HOUR, AT)
    assert (error.error_type, error.error_source, error.outcome, error.calls) == ("ValueError", "plugin", "error", 2)
    assert [item.calls for item in telemetry.pages.errors("csv", AT - HOUR, AT)] == [2, 1]


def test_cells_are_of_what_arrived_after_a_mark_of_each_operation(telemetry: Telemetry) -> None:
    def mark() -> int:
        catch_up(telemetry)
        return telemetry.judging.arrivals(0, (), (), AT - HOUR, AT).mark

    for operation in ("read", "write"):
        call(telemetry, operation=operation)
    first = mark()
    for operation in ("read", "write"):
        call(telemetry, operation=operation, outcome="error")
    second = mark()
    call(telemetry, operation="read")
    call(telemetry, plugin="geo", operation="read")
    catch_up(telemetry)

    def found(**more: Any) -> dict[str, tuple[int, int]]:
        cells = telemetry.judging.cells([Wanted("csv", AT - HOUR, **more)], (), AT)
        sums: dict[str, tuple[int, int]] = {}
        for cell in cells:
            total, failed = sums.get(cell.operation, (0, 0))
            sums[cell.operation] = total + cell.counts.total, failed + cell.counts.failed
        return sums

    assert found() == {"read": (3, 1), "write": (2, 1)}
    assert found(after=first) == {"read": (2, 1), "write": (1, 1)}
    assert found(after=second, streams={("1", "write"): first}) == {"read": (1, 0), "write": (1, 1)}
    assert found(upto=first) == {"read": (1, 0), "write": (1, 0)}
    assert (
        telemetry.judging.cells([Wanted("csv", AT + HOUR)], (), AT + DAY) == telemetry.judging.cells([], (), AT) == []
    )


def test_waits_are_compared_with_those_before(telemetry: Telemetry) -> None:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="plugin.downstream.duration", unit="s")
    metric.exponential_histogram.aggregation_temporality = 1
    for at, count, seconds in ((AT - timedelta(seconds=2), 5, 5.0), (AT - timedelta(seconds=100), 10, 1.0)):
        point = metric.exponential_histogram.data_points.add(
            count=count, sum=seconds, scale=4, time_unix_nano=ns(at), start_time_unix_nano=ns(at) - 10**9
        )
        point.positive.bucket_counts.extend([count])
        for key, text in (("plugin.id", "csv"), ("plugin.downstream", "db"), ("plugin.outcome", "success")):
            point.attributes.add(key=key).value.string_value = text
    append(telemetry, Signal.METRICS, message.SerializeToString())
    call(telemetry, at=AT - timedelta(seconds=1), seconds=6.0)
    catch_up(telemetry)
    began = AT - timedelta(seconds=10)
    (found,) = telemetry.judging.waits((AT - HOUR, began), (began, AT))
    assert (found.plugin, found.downstream, found.recent_waits, found.usual_waits) == ("csv", "db", 5, 10)
    assert (found.recent_seconds, found.usual_seconds, found.recent_failures) == (5.0, pytest.approx(0.1), 0)
    assert found.plugin_seconds == pytest.approx(6.0)


def test_how_long_calls_take_in_a_process_is_told_beside_the_median_of_before(telemetry: Telemetry) -> None:
    for number in range(5):  # one bad ten seconds of five make nothing usual
        call(telemetry, at=AT - timedelta(seconds=60 + 10 * number), seconds=8.0 if number == 1 else 0.2)
    call(telemetry, at=AT - timedelta(seconds=1), seconds=2.0)
    catch_up(telemetry)
    began = AT - timedelta(seconds=10)
    (found,) = telemetry.judging.paces([""], (AT - HOUR, began), (began, AT))
    assert (found.plugin, found.instance, found.recent_calls, found.usual_calls) == ("csv", "", 1, 5)
    assert (found.recent_seconds, found.usual_seconds) == (pytest.approx(2.0), pytest.approx(0.2))
    assert telemetry.judging.paces(["another"], (AT - HOUR, began), (began, AT)) == []


# -- pages ----------------------------------------------------------------------------------------------------------------


def test_a_plugin_has_a_page(telemetry: Telemetry) -> None:
    for seconds, outcome in ((0.1, "success"), (0.2, "error"), (0.0, "rejected")):
        call(telemetry, outcome=outcome, seconds=seconds)
    catch_up(telemetry)
    since = AT - HOUR
    found = telemetry.pages.plugin("csv", since, AT)
    assert found is not None
    assert (found.calls, found.failed, found.bad, found.rejected) == (3, 1, 1, 1)
    assert found.versions == ["1"]
    assert found.last_at == AT
    assert found.p50_seconds == pytest.approx(0.1, rel=0.05)
    assert found.p99_seconds == pytest.approx(0.2, rel=0.05)
    assert found.calls_per_second == pytest.approx(3 / 3600)
    (listed,) = telemetry.pages.plugins(since, AT)
    assert (listed.plugin_id, listed.calls, listed.bad, listed.p99_seconds) == (
        "csv",
        3,
        1,
        pytest.approx(found.p99_seconds),
    )
    (operation,) = telemetry.pages.operations("csv", since, AT)
    assert (operation.plugin_operation, operation.calls, operation.rejected) == ("run", 3, 1)
    for step in (1.0, 60.0, 3600.0):
        steps = telemetry.pages.series("csv", since, AT, step)
        assert {item.outcome: item.calls for item in steps} == {"success": 1, "error": 1, "rejected": 1}
        assert sum(item.count for item in telemetry.pages.heatmap("csv", since, AT, step)) == 2
        (fleet,) = json.loads(telemetry.pages.fleet_series(since, AT, step).json)
        assert {name: fleet[name] for name in ("plugin_id", "calls", "failed", "rejected")} == {
            "plugin_id": "csv", "calls": 3, "failed": 1, "rejected": 1,
        }  # fmt: skip
    (demand,) = telemetry.pages.capacity(since, AT)
    assert (demand.plugin_id, demand.calls) == ("csv", 3)


def test_a_gate_is_as_its_hosts_told_last(telemetry: Telemetry) -> None:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    scope = message.resource_metrics.add().scope_metrics.add()
    for name, value in (("plugin.breaker.state", 1), ("plugin.invocation.active", 4)):
        point = scope.metrics.add(name=name).gauge.data_points.add(time_unix_nano=ns(AT), as_int=value)
        for key, text in (("plugin.id", "csv"), ("plugin.version", "1"), ("plugin.operation", "run")):
            point.attributes.add(key=key).value.string_value = text
    append(telemetry, Signal.METRICS, message.SerializeToString())
    (gate,) = telemetry.pages.gate("csv", AT - HOUR, AT)
    assert (gate.plugin_operation, gate.breaker_state, gate.running, gate.waiting) == ("run", 1, 4, None)


def tell_way(
    telemetry: Telemetry, at: datetime, instance: str, previous: Sequence[str | None], term: str = "previous", operations: int = 1
) -> None:  # fmt: skip
    """A process tells where calls of csv 2 go back to, once for each operation and earlier version."""
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    resource.resource.attributes.add(key="service.instance.id").value.string_value = instance
    metric = resource.scope_metrics.add().metrics.add(name="plugin.terms.declared")
    for number in range(operations):
        for name in previous:
            point = metric.gauge.data_points.add(time_unix_nano=ns(at), as_int=1)
            operation = f"run{number or ''}"
            said = {"plugin.id": "csv", "plugin.version": "2", "plugin.operation": operation, "plugin.term": term}
            for key, text in {**said, **({} if name is None else {"plugin.previous.version": name})}.items():
                point.attributes.add(key=key).value.string_value = text
    append(telemetry, Signal.METRICS, message.SerializeToString())


def test_ways_back_are_as_each_process_told_lately_the_newest_first(telemetry: Telemetry) -> None:
    tell_way(telemetry, AT - timedelta(seconds=9), "h1", ["0.9"])
    tell_way(telemetry, AT, "h1", ["1"])
    tell_way(telemetry, AT, "h2", [None], "timeout")
    tell_way(telemetry, AT, "h3", [None])
    tell_way(telemetry, AT, "h4", ["a\nname"])
    tell_way(telemetry, AT, "h5", ["_OTHER"])
    minutes = timedelta(minutes=2)
    new, old = WayBack("h1", "2", "run", "1"), WayBack("h1", "2", "run", "0.9")
    assert list(telemetry.judging.ways_back("csv", AT - minutes, AT)) == [new, old]
    assert list(telemetry.judging.ways_back("csv", AT - minutes, AT - timedelta(seconds=1))) == [old]
    assert list(telemetry.judging.ways_back("geo", AT - minutes, AT)) == []
    assert list(telemetry.judging.ways_back("csv", AT, AT + minutes)) == [], "who is silent has nothing to go back to"


def test_ways_back_of_one_process_leave_room_for_those_of_others(telemetry: Telemetry) -> None:
    """However many it tells, and however it sorts; who calls the plugin comes before who does not."""
    tell_way(telemetry, AT, "a", [f"0.{number:02d}" for number in range(30)], operations=40)
    for number in range(3):
        tell_way(telemetry, AT, f"b{number}", ["0.1"], operations=400)
    tell_way(telemetry, AT - timedelta(seconds=9), "z", ["1.9"])

    def told() -> Counter[str]:
        found = list(telemetry.judging.ways_back("csv", AT - timedelta(minutes=2), AT))
        assert max(Counter((item.instance, item.operation) for item in found).values()) <= 20
        return Counter(item.instance for item in found)

    assert told() == {"a": 250, "b0": 250, "b1": 250, "b2": 249, "z": 1}
    tell_way(telemetry, AT, "", ["1.9"], operations=400)
    call(telemetry, at=AT - timedelta(seconds=1))  # in a process without a name
    catch_up(telemetry)
    assert told() == {"": 400, "a": 250, "b0": 250, "b1": 250, "b2": 249, "z": 1}


def test_calls_under_way_are_as_each_host_process_told_last(telemetry: Telemetry) -> None:
    def tell(at: datetime, instance: str, running: int, state: int) -> None:
        message = metrics_service_pb2.ExportMetricsServiceRequest()
        resource = message.resource_metrics.add()
        resource.resource.attributes.add(key="service.instance.id").value.string_value = instance
        scope = resource.scope_metrics.add()
        for name, value in (("plugin.invocation.active", running), ("plugin.quarantine.state", state)):
            point = scope.metrics.add(name=name).gauge.data_points.add(time_unix_nano=ns(at), as_int=value)
            for key, text in (("plugin.id", "csv"), ("plugin.version", "1"), ("plugin.operation", "run")):
                point.attributes.add(key=key).value.string_value = text
        append(telemetry, Signal.METRICS, message.SerializeToString())

    for second in range(3):
        tell(AT - timedelta(seconds=3 - second), "h1", 4 - second, second)
    tell(AT + timedelta(seconds=40), "its clock is ahead", 5, 2)
    found = telemetry.pages.running(["csv", "geo"], AT)
    assert [(item.instance_id, item.running, item.state) for item in found] == [
        ("h1", 2, 2),
        ("its clock is ahead", 5, 2),
    ]
    assert telemetry.pages.running(["geo"], AT) == telemetry.pages.running([], AT) == []
    assert telemetry.pages.running(["csv"], AT + HOUR) == [], "who is silent is gone"


def test_hostile_names_are_names(telemetry: Telemetry) -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    for name in HOSTILE_NAMES:
        said = {"plugin.id": name, "plugin.version": name, "plugin.outcome": "error", "plugin.error.source": "plugin"}
        span(message, 0.01, AT, name=name, attributes={**said, "error.type": name})
    append(telemetry, Signal.TRACES, message.SerializeToString())
    catch_up(telemetry)
    found = telemetry.judging.windows([FAILS], [60.0], AT, AT)["fails"]
    assert sorted(plugin for plugin, _ in found) == sorted(HOSTILE_NAMES)
    assert {windows[60.0] for windows in found.values()} == {bad(1, 1)}
    assert [item.plugin_id for item in telemetry.pages.plugins(AT - HOUR, AT)] == sorted(HOSTILE_NAMES)
    steps = json.loads(telemetry.pages.fleet_series(AT - HOUR, AT, 60.0).json)
    assert sorted(step["plugin_id"] for step in steps) == sorted(HOSTILE_NAMES)
    for name in HOSTILE_NAMES[:12]:
        assert [item.counts.total for item in telemetry.judging.cells([Wanted(name, AT - HOUR)], (), AT)] == [1]
        assert [item.error_type for item in telemetry.judging.errors(name, name, AT - HOUR, AT)] == [name]
        assert len(telemetry.traces.search(TraceFilter(plugin=name, text=name), AT - HOUR, AT, 10)) == 1


# -- traces ---------------------------------------------------------------------------------------------------------------


def trace(telemetry: Telemetry, at: datetime = AT, identity: int = ID, **fields: Any) -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    said = {"plugin.id": "csv", "plugin.version": "1", "plugin.outcome": "error", "error.type": "ValueError"}
    root = span(message, 0.5, at, attributes=said, **fields)
    child = span(message, 0.1, at, name="child", parent_span_id=root.span_id, attributes={})
    root.trace_id = child.trace_id = identity.to_bytes(16, "big")
    root.status.code, root.status.message = 2, "no such column"
    append(telemetry, Signal.TRACES, message.SerializeToString())


def test_a_trace_is_found_by_its_id_with_its_logs(engine: Engine) -> None:
    telemetry = engine.telemetry
    trace(telemetry)
    message = logs_service_pb2.ExportLogsServiceRequest()
    record = (
        message.resource_logs.add()
        .scope_logs.add()
        .log_records.add(time_unix_nano=ns(AT), trace_id=ID.to_bytes(16, "big"), severity_text="WARN")
    )
    record.body.string_value = "half of it"
    append(telemetry, Signal.LOGS, message.SerializeToString())
    catch_up(telemetry)
    for _ in range(2):
        found = engine.telemetry.traces.find(ID)
        assert sorted(item.name for item in found.spans) == ["child", "run"]
        root = next(item for item in found.spans if item.parent_span_id is None)
        assert (root.plugin_id, root.status, root.status_message, root.duration_seconds) == (
            "csv",
            "error",
            "no such column",
            0.5,
        )
        assert [(item.severity_text, item.body) for item in found.logs] == [("WARN", "half of it")]
        engine.reopen()


def test_an_unknown_trace_is_empty(telemetry: Telemetry) -> None:
    trace(telemetry)
    catch_up(telemetry)
    assert telemetry.traces.find(77) == Trace([], [])


def test_a_search_gives_the_newest_that_match(telemetry: Telemetry) -> None:
    for number in range(5):
        trace(telemetry, AT - timedelta(minutes=number), number + 1, name=f"step {number}")
    catch_up(telemetry)
    found = telemetry.traces.search(TraceFilter(outcome="error"), AT - HOUR, AT, 3)
    assert [(item.root, item.spans, item.errors, item.plugins) for item in found] == [
        (f"step {number}", 2, 1, ["csv"]) for number in range(3)
    ]
    (only,) = telemetry.traces.search(TraceFilter(text="STEP 4", min_seconds=0.4), AT - HOUR, AT, 3)
    assert only.trace_id == f"{5:032x}"
    assert telemetry.traces.search(TraceFilter(plugin="geo"), AT - HOUR, AT, 3) == []
    failing = telemetry.traces.failing("csv", AT - HOUR, AT, 2)
    assert [item.trace_id for item in failing] == [f"{1:032x}", f"{2:032x}"]
    assert failing[0].error_type == "ValueError"
    assert telemetry.traces.failing("csv", AT - HOUR, AT, 2, version="9") == []


# -- queries --------------------------------------------------------------------------------------------------------------


def test_a_statement_reads_the_views_with_values_of_its_own(telemetry: Telemetry) -> None:
    for plugin in ("csv", "'; drop table spans; --"):
        call(telemetry, plugin)
    catch_up(telemetry)
    rows = answer(
        telemetry, "select plugin_id from spans where plugin_id = $name", parameters={"name": "'; drop table spans; --"}
    )
    assert rows.num_rows == 1
    assert answer(telemetry, "select count(*) as n from spans").to_pylist() == [{"n": 2}]


def test_an_answer_ends_at_its_limits(telemetry: Telemetry) -> None:
    stream = telemetry.queries.start(Query("select * from range(1000) as t(n)", limit=10))
    try:
        stream.open()
        assert sum(piece.rows for piece in stream) == 10
        assert (stream.rows, stream.truncated) == (10, "rows")
    finally:
        stream.close()


@pytest.mark.parametrize(
    "sql", ["delete from spans", "selec 1", "select * from requests", "select * from '/etc/passwd'"]
)
def test_a_statement_that_is_wrong_or_not_allowed_is_refused(telemetry: Telemetry, sql: str) -> None:
    with pytest.raises(QueryError):
        answer(telemetry, sql)


def test_a_cancelled_statement_ends(telemetry: Telemetry) -> None:
    telemetry.queries.warm()
    stream = telemetry.queries.start(Query("select 1"))
    try:
        stream.cancel()
        with pytest.raises(QueryCancelledError):
            stream.open()
    finally:
        stream.close()
    assert all(count >= 0 for count in telemetry.queries.ended().values())


# -- upkeep ---------------------------------------------------------------------------------------------------------------


def test_what_is_old_is_let_go_and_the_rest_stays(telemetry: Telemetry) -> None:
    call(telemetry, "old", AT - timedelta(days=9), came=AT - timedelta(days=9))
    call(telemetry, "new")
    catch_up(telemetry)
    telemetry.upkeep.retain(Keep(), AT)
    assert [row["plugin_id"] for row in answer(telemetry, "select plugin_id from spans").to_pylist()] == ["new"]
    assert [item.plugin_id for item in telemetry.pages.plugins(AT - timedelta(days=10), AT)] == ["new", "old"]
    told = telemetry.upkeep.retained()
    assert (told.rounds, told.failures, told.rows["spans"], told.refused) == (1, 0, 1, {})


def test_a_deletion_that_is_too_large_waits_for_a_person(telemetry: Telemetry) -> None:
    for number in range(3):
        at = AT - timedelta(days=9, seconds=number)
        call(telemetry, at=at, came=at)
    call(telemetry)
    catch_up(telemetry)
    keep = Keep(max_share_ratio=0.5)
    telemetry.upkeep.retain(keep, AT)
    waiting = telemetry.upkeep.retained().refused
    assert (waiting["spans"].rows, waiting["spans"].share_ratio) == (3, 0.75)
    telemetry.upkeep.allow(waiting, NOTE)
    telemetry.upkeep.retain(keep, AT)
    assert telemetry.upkeep.retained().refused == {}
    assert answer(telemetry, "select count(*) as n from spans").to_pylist() == [{"n": 1}]
    assert answer(telemetry, "select count(*) as n from decisions where kind = 'noted'").to_pylist() == [{"n": 1}]


def set_one_aside(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    broken = engine.fail_counting(monkeypatch)
    broken.add("bad")
    append(engine.telemetry, Signal.METRICS, points("bad", "good"))
    catch_up(engine.telemetry)
    return broken


def decisions(telemetry: Telemetry) -> Iterable[str]:
    return [row["kind"] for row in answer(telemetry, "select kind from decisions order by sequence").to_pylist()]


def test_what_cannot_be_counted_is_set_aside_and_counted_when_it_can_be(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry, broken = engine.telemetry, set_one_aside(engine, monkeypatch)
    (entry,) = telemetry.upkeep.set_aside()
    assert (entry.what, entry.rows, entry.plugin_id, entry.service_name, entry.kept) == (
        "metric_points",
        1,
        "bad",
        "host",
        True,
    )
    assert counted(telemetry, 60.0) == {"good": [bad(10, 0)]}
    assert telemetry.condition.health().set_aside_rows == 1
    broken.clear()
    telemetry.upkeep.count_again(entry.id, AT, NOTE)
    assert telemetry.upkeep.set_aside() == []
    assert counted(telemetry, 60.0) == {"good": [bad(10, 0)], "bad": [bad(10, 0)]}
    assert decisions(telemetry) == ["noted"]


def test_what_is_given_up_is_never_counted(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    set_one_aside(engine, monkeypatch)
    (entry,) = engine.telemetry.upkeep.set_aside()
    engine.telemetry.upkeep.give_up(entry.id, NOTE)
    engine.reopen()
    assert engine.telemetry.upkeep.set_aside() == []
    assert counted(engine.telemetry, 60.0) == {"good": [bad(10, 0)]}
    assert decisions(engine.telemetry) == ["noted"]


def test_an_act_on_what_is_not_there_leaves_no_entry(telemetry: Telemetry) -> None:
    with pytest.raises(NotFoundError):
        telemetry.upkeep.count_again("b-none", AT, NOTE)
    with pytest.raises(NotFoundError):
        telemetry.upkeep.give_up("b-none", NOTE)
    assert decisions(telemetry) == []


# -- condition ------------------------------------------------------------------------------------------------------------


def test_a_store_says_how_it_is(telemetry: Telemetry) -> None:
    body = call(telemetry)
    append(telemetry, Signal.TRACES, body)
    health = telemetry.condition.health()
    assert (health.writing, health.queued_requests, health.duplicates, health.failed_requests) == (True, 0, 1, 0)
    assert health.stored_rows["spans"] == 1
    assert health.uncounted_rows > 0
    catch_up(telemetry)
    assert telemetry.condition.health().uncounted_rows == 0
    size = telemetry.condition.size()
    assert size.total_bytes == size.file_bytes + size.log_bytes > 0
    assert telemetry.condition.rows()["spans"] == 1
    assert all(count >= 0 for count in telemetry.condition.memory_bytes().values())
    names = telemetry.condition.names(AT - HOUR)
    assert (names.names, names.calls_beyond, names.services_beyond, names.words_beyond) == (1, 0, [], [])
    assert telemetry.condition.can.names >= 1


def test_an_empty_store_answers_everything_with_nothing(telemetry: Telemetry) -> None:
    since = AT - DAY
    catch_up(telemetry)
    assert telemetry.judging.windows([FAILS, SLOW], [60.0, 3600.0, 2_592_000.0], AT, AT).get("fails", {}) == {}
    assert telemetry.judging.windows([], [60.0], AT, AT) == {}
    assert telemetry.judging.windows([FAILS], [], AT, AT) == {}
    assert telemetry.judging.versions(since, AT) == telemetry.judging.waits((since, AT), (AT, AT)) == []
    assert telemetry.judging.cells([Wanted("csv", since)], (), AT) == []
    assert telemetry.judging.errors("csv", "1", since, AT) == telemetry.judging.ways_back("csv", since, AT) == []
    pages = telemetry.pages
    assert pages.plugins(since, AT) == pages.capacity(since, AT) == []
    assert json.loads(pages.fleet_series(since, AT, 60.0).json) == []
    assert pages.plugin("csv", since, AT) is None
    assert pages.operations("csv", since, AT) == pages.gate("csv", since, AT) == pages.errors("csv", since, AT) == []
    assert pages.running(["csv"], AT) == []
    assert pages.series("csv", since, AT, 60.0) == pages.heatmap("csv", since, AT, 1.0) == []
    assert telemetry.traces.find(1) == Trace([], [])
    assert telemetry.traces.search(TraceFilter(), since, AT, 10) == telemetry.traces.failing("csv", since, AT, 5) == []
    assert telemetry.upkeep.set_aside() == []
    telemetry.upkeep.retain(Keep(), AT)
    assert telemetry.condition.newest_at() is telemetry.condition.oldest_at() is None
