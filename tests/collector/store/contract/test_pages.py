"""What every engine of telemetry promises to who draws pages and looks for traces (`store.telemetry`), asked through the port alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.judge.arrivals import Wanted
from plugwarden_collector.judge.burn_down import Section
from plugwarden_collector.judge.ways_back import WayBack
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.rules.slices import Slices
from plugwarden_collector.store import Telemetry
from plugwarden_collector.store.traces import Trace, TraceFilter

from tests.collector.support.hostile_names import HOSTILE_NAMES
from tests.collector.support.rolled_store import ns, span

from .conftest import Engine
from .requests import (
    AT,
    FAILS,
    HOUR,
    ID,
    SLOW,
    append,
    bad,
    call,
    catch_up,
)


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
    assert telemetry.traces.find(77) == Trace([], [], 0)


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


def test_sections_of_time_add_up_to_what_the_judge_counts(telemetry: Telemetry) -> None:
    for hours in (0.2, 0.7, 3.1, 5.4, 26.5, 49.9):
        for outcome, seconds, version in (("success", 0.01, "1"), ("error", 0.01, "2"), ("success", 2.0, "2")):
            at = AT - hours * HOUR
            call(telemetry, "geo", at, outcome=outcome, seconds=seconds, plugin_version=version)
            call(telemetry, "csv", at, outcome=outcome)
    catch_up(telemetry)
    hour = AT.replace(minute=0, second=0, microsecond=0)
    marks = [hour - hours * HOUR for hours in (60, 27, 26.5, 6, 5.25, 1, -1)]
    sections = [Section(first, before, True) for first, before in pairwise(marks)]
    for measure in (FAILS, SLOW, replace(FAILS, slices=Slices(60, 0.9)), replace(SLOW, slices=Slices(3600, 0.5))):
        found = telemetry.pages.sections("geo", measure, sections)
        for number, section in enumerate(sections):
            if measure.slices == Slices(3600, 0.5) and (section.first.minute or section.before.minute):
                continue  # half of a slice is nothing
            judged = telemetry.judging.between([measure], section.first, section.before)[measure.name]
            of = {version: counts for (plugin, version), counts in judged.items() if plugin == "geo"}
            whole = sum(item.total for item in of.values()), sum(item.failed + item.slow for item in of.values())
            assert found.by_section.get(number, (0, 0)) == whole, (measure, section)
            for version, counts in of.items() if measure.slices is None else ():
                assert found.by_version[version][number] == (counts.total, counts.failed + counts.slow)
        bad = sum(item.bad for item in found.spenders)
        assert measure.slices is not None or bad == sum(counts[1] for counts in found.by_section.values()) > 0
