"""What every engine of telemetry promises (`store.telemetry`) to who judges: each test asks through the port alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden.contract import OVERFLOW
from plugwarden_collector.judge.arrivals import Wanted
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.store import Telemetry

from tests.collector.support.rolled_store import ns, span

from .requests import (
    AT,
    DAY,
    FAILS,
    HOUR,
    SLOW,
    append,
    bad,
    call,
    catch_up,
    counted,
)


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
    assert telemetry.judging.errors("csv", "1", AT - HOUR, AT, operations="wr*") == [error]
    assert telemetry.judging.errors("csv", "1", AT - HOUR, AT, operations="read") == []
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
