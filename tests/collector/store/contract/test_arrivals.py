"""What judging reads in the order of arrival, and what is usual (`store.telemetry.Judging`): each test asks through the port alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from plugwarden.contract import OVERFLOW, RejectionReason
from plugwarden.contract.histogram import bucket_index, threshold_index
from plugwarden_collector.judge.arrivals import Arrivals, Cell, Past, StreamCounts, Wanted
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.store import Telemetry
from plugwarden_collector.store.calls import Measure

from tests.collector.support.rolled_store import AT, ns

from .conftest import Engine

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
FAST, FASTER = threshold_index(0.1), threshold_index(0.01)
FAILS = Measure("fails", lambda plugin: True)
SLOW = Measure("slow", lambda plugin: True, FAST)
BREAKER = RejectionReason.CIRCUIT_OPEN.value


@pytest.fixture
def telemetry(engine: Engine) -> Telemetry:
    """The telemetry of an empty store."""
    return engine.telemetry


def send(telemetry: Telemetry, count: int = 1, **more: Any) -> None:
    """Store calls that ended in one way, as `told` says it."""
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    told(message, count, **more)
    store(telemetry, message)


def store(telemetry: Telemetry, message: metrics_service_pb2.ExportMetricsServiceRequest) -> None:
    body = message.SerializeToString()
    batch = read(Signal.METRICS, body, now_ns=ns(AT))
    token = int.from_bytes(hashlib.blake2b(body, digest_size=8).digest(), "big")
    assert telemetry.ingest.append(token, batch.tables, batch.nbytes).result(30)


def told(
    message: metrics_service_pb2.ExportMetricsServiceRequest,
    count: int = 1,
    *,
    at: datetime = AT,
    seconds: float = 0.001,
    instance: str = "host-1",
    machine: str = "m1",
    foreign: bool = False,
    **attributes: str | None,
) -> None:
    """Add calls of one process that ended in one way; `foreign`: as an SDK counts them that is not ours, in milliseconds."""
    group = message.resource_metrics.add()
    for key, text in (("service.name", "host"), ("service.instance.id", instance), ("host.name", machine)):
        group.resource.attributes.add(key=key).value.string_value = text
    metric = group.scope_metrics.add().metrics.add(name="plugin.invocation.duration", unit="ms" if foreign else "s")
    metric.exponential_histogram.aggregation_temporality = 1
    unit = 1000.0 if foreign else 1.0
    point = metric.exponential_histogram.data_points.add(
        count=count, sum=count * seconds * unit, max=seconds * unit, scale=4, time_unix_nano=ns(at),
        start_time_unix_nano=ns(at) - 10**9,
    )  # fmt: skip
    point.positive.offset = bucket_index(seconds * unit)
    point.positive.bucket_counts.extend([count])
    said = {"plugin.id": "csv", "plugin.version": "1", "plugin.operation": "run", "plugin.outcome": "success"}
    said |= {
        {"tenant": "tenant.id", "error_type": "error.type"}.get(name, f"plugin.{name.replace('_', '.')}"): text
        for name, text in attributes.items()
        if text is not None
    }
    if said["plugin.outcome"] in {"error", "timeout"}:
        said = {"error.type": "ValueError", "plugin.error.source": "plugin"} | said
    if said["plugin.outcome"] == "rejected":
        said = {"plugin.error.source": "plugin"} | said
    for key, text in said.items():
        point.attributes.add(key=key).value.string_value = text


def refuse(telemetry: Telemetry, count: int, reason: str = BREAKER, **told: Any) -> None:
    """Store calls that the gate refused, as a sidecar counts them."""
    told = {"error_source": "plugin"} | told
    send(telemetry, count, outcome="rejected", error_type=reason, rejection_reason=reason, **told)


def catch_up(telemetry: Telemetry, at: datetime = AT) -> None:
    telemetry.ingest.catch_up(at).result(30)


def arrived(
    telemetry: Telemetry,
    after: int = 0,
    *,
    thresholds: Sequence[int] = (),
    detail: Sequence[str] = (),
    since: datetime = AT - HOUR,
    until: datetime = AT + SECOND,
) -> Arrivals:
    """Return what arrived since a mark, once it is counted; streams and cells in an order that is always the same."""
    catch_up(telemetry)
    found = telemetry.judging.arrivals(after, thresholds, detail, since, until)
    return replace(found, streams=sorted(found.streams, key=repr), cells=sorted(found.cells, key=repr))


def stream(total: int, failed: int = 0, *, refused: int = 0, operation: str = "run", **more: Any) -> StreamCounts:
    return StreamCounts("csv", "1", operation, CallCounts(total, failed=failed), refused, **more)


# -- arrivals ---------------------------------------------------------------------------------------------------------------


def test_each_call_arrives_once_in_the_order_of_its_coming(telemetry: Telemetry) -> None:
    send(telemetry, 5)
    first = arrived(telemetry)
    assert first.streams == [stream(5)]
    send(telemetry, 2, at=AT - timedelta(minutes=7))  # of an earlier time, and new all the same
    send(telemetry, 3, outcome="error")
    second = arrived(telemetry, first.mark)
    assert second.streams == [stream(2), stream(3, 3)]
    assert second.mark > first.mark
    nothing = arrived(telemetry, second.mark)
    assert (nothing.mark, list(nothing.streams), list(nothing.cells), nothing.stale) == (second.mark, [], [], 0)
    # Good calls that came before bad ones do not hide them.
    assert arrived(telemetry).streams == [stream(2), stream(3, 3), stream(5)]


def test_what_other_processes_told_in_the_same_commit_is_told_apart_from_bad_calls_and_before_them(
    telemetry: Telemetry,
) -> None:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    told(message, 8, instance="host-1", outcome="error")
    told(message, 2, instance="host-1")
    told(message, 100, instance="host-2")
    told(message, 50, instance="host-2", operation="write")
    store(telemetry, message)
    catch_up(telemetry)
    found = telemetry.judging.arrivals(0, (), (), AT - HOUR, AT + SECOND).streams
    assert [item for item in found if item.operation == "run"] == [stream(100), stream(10, 8)]
    assert [item for item in found if item.operation == "write"] == [stream(50, operation="write")]


@pytest.mark.parametrize("counted", ["one by one", "in one turn"])
def test_of_a_trouble_what_a_process_told_first_is_left_out_if_it_is_of_before_and_well(
    telemetry: Telemetry, counted: str
) -> None:
    reports: list[dict[str, str]] = [
        {"host-1": "error"},
        {"host-2": "success", "host-1": "error"},
        {"host-2": "error", "host-3": "success"},
        {"host-3": "success"},
    ]
    for told_by in reports:
        message = metrics_service_pb2.ExportMetricsServiceRequest()
        for instance, outcome in told_by.items():
            told(message, 10, instance=instance, outcome=outcome)
        store(telemetry, message)
        if counted == "one by one":
            catch_up(telemetry)
    catch_up(telemetry)

    def cells(began: datetime | None) -> dict[str, list[int]]:
        streams = {("1", "run"): 0}
        wanted = Wanted("csv", AT - HOUR, streams=streams, began=dict.fromkeys(streams, began) if began else {})
        sums: dict[str, list[int]] = {}
        for cell in telemetry.judging.cells([wanted], (), AT):
            mine = sums.setdefault(cell.instance, [0, 0])
            mine[0], mine[1] = mine[0] + cell.counts.total, mine[1] + cell.counts.failed
        return sums

    everything = {"host-1": [20, 20], "host-2": [20, 10], "host-3": [20, 0]}
    assert cells(None) == cells(AT - SECOND) == everything
    assert cells(AT) == {"host-1": [20, 20], "host-2": [10, 10], "host-3": [10, 0]}


def test_a_mark_outlives_a_restart(engine: Engine) -> None:
    send(engine.telemetry, 5)
    mark = arrived(engine.telemetry).mark
    send(engine.telemetry, 2)  # acknowledged, and not counted when the collector stops
    engine.reopen()
    found = arrived(engine.telemetry, mark)
    assert found.streams == [stream(2)]
    engine.reopen()
    assert arrived(engine.telemetry, found.mark).streams == []


def test_what_was_folded_is_still_to_arrive_for_who_comes_late(telemetry: Telemetry) -> None:
    send(telemetry, 5, at=AT - HOUR + SECOND)
    catch_up(telemetry, AT + timedelta(minutes=5))
    send(telemetry, 4, at=AT - HOUR + 2 * SECOND)
    catch_up(telemetry, AT + 3 * HOUR)
    assert arrived(telemetry).streams == [stream(9)]


def test_what_is_too_old_or_too_far_ahead_is_stale_and_nothing_else(telemetry: Telemetry) -> None:
    since, until = AT - timedelta(minutes=10), AT
    for at in (since - SECOND, since, until, until + SECOND):
        send(telemetry, 1, at=at, outcome="error")
    found = arrived(telemetry, since=since, until=until)
    assert (found.streams, found.stale) == ([stream(1, 1)] * 2, 2)
    assert sum(cell.counts.total for cell in found.cells) == 2


def test_calls_that_say_nothing_of_the_plugin_are_no_stream(telemetry: Telemetry) -> None:
    for reason in RejectionReason:
        if reason is not RejectionReason.CIRCUIT_OPEN:
            refuse(telemetry, 2, reason.value)
    send(telemetry, 2, outcome="cancelled", error_source="caller")
    found = arrived(telemetry, detail=["csv"])
    assert (found.streams, found.cells, found.stale) == ([], [], 0)


def test_failures_that_others_are_to_blame_for_are_calls_and_no_cells(telemetry: Telemetry) -> None:
    send(telemetry, 2, outcome="error", error_source="downstream", error_type="Gone")
    found = arrived(telemetry)
    assert (found.streams, found.cells) == ([stream(2)], [])
    (cell,) = arrived(telemetry, detail=["csv"]).cells
    assert (cell.counts, cell.error_type) == (CallCounts(2), "")


def test_cells_tell_instance_machine_tenant_and_error_apart(telemetry: Telemetry) -> None:
    send(telemetry, 9)
    send(telemetry, 1, outcome="error", tenant="acme")
    send(telemetry, 2, outcome="timeout", tenant="acme", error_type="Deadline", instance="host-2", machine="m2")
    send(telemetry, 4, operation="write", tenant="acme")
    send(telemetry, 3, id="geo")
    found = arrived(telemetry)
    bad = [
        Cell("csv", "1", "run", "host", "host-1", "m1", "acme", "ValueError", CallCounts(1, failed=1)),
        Cell("csv", "1", "run", "host", "host-2", "m2", "acme", "Deadline", CallCounts(2, failed=2)),
    ]
    assert found.cells == bad
    everything = arrived(telemetry, detail=["csv", "nobody's"])
    assert everything.streams == found.streams
    assert everything.cells == sorted(
        [
            *bad,
            Cell("csv", "1", "run", "host", "host-1", "m1", "", "", CallCounts(9)),
            Cell("csv", "1", "write", "host", "host-1", "m1", "acme", "", CallCounts(4)),
        ],
        key=repr,
    )


def test_slow_calls_are_told_for_each_threshold_in_the_order_asked_for(telemetry: Telemetry) -> None:
    send(telemetry, 5, seconds=0.001)
    send(telemetry, 3, seconds=0.05)
    send(telemetry, 2, seconds=0.5, outcome="timeout")
    refuse(telemetry, 7, seconds=9.0)
    send(telemetry, 1, operation="write")
    found = arrived(telemetry, thresholds=[FAST, FASTER, FAST])
    assert found.streams == [
        stream(10, 2, refused=7, slow=(2, 5, 2)),
        stream(1, operation="write", slow=(0, 0, 0)),
    ]
    assert sorted((cell.error_type, cell.slow) for cell in found.cells) == [
        ("ValueError", (2, 2, 2)), (BREAKER, (0, 0, 0)),
    ]  # fmt: skip


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("told", [BREAKER, OVERFLOW, None])
def test_a_refusal_by_the_plugins_own_breaker_is_known_by_its_reason(
    telemetry: Telemetry, told: str | None, foreign: bool
) -> None:
    send(telemetry, 6, outcome="rejected", error_type=told, rejection_reason=BREAKER, foreign=foreign)
    found = arrived(telemetry)
    assert found.streams == [stream(0, refused=6)]
    (cell,) = found.cells
    assert (cell.counts, cell.refused, cell.error_type) == (CallCounts(), 6, BREAKER)


def test_a_reason_that_is_none_of_the_contracts_tells_nothing(telemetry: Telemetry) -> None:
    send(telemetry, 6, outcome="rejected", rejection_reason="circuit_open'; drop table spans; --")
    assert arrived(telemetry).streams == []


def test_only_a_refused_call_has_a_reason(telemetry: Telemetry) -> None:
    send(telemetry, 6, outcome="error", rejection_reason=BREAKER)
    (cell,) = arrived(telemetry).cells
    assert (cell.error_type, cell.refused) == ("ValueError", 0)


def test_a_breaker_is_heard_however_many_errors_its_plugin_has(telemetry: Telemetry) -> None:
    for number in range(60):
        send(telemetry, 1, outcome="error", error_type=f"Error{number}")
    refuse(telemetry, 6)
    streams = arrived(telemetry).streams
    assert sum(item.counts.failed for item in streams) == 60
    assert sum(item.refused for item in streams) == 6


def test_what_stands_for_many_does_not_arrive(telemetry: Telemetry) -> None:
    for number in range(130):  # more versions of a plugin than are told apart
        send(telemetry, 1, version=str(number), outcome="error")
    found = arrived(telemetry, detail=["csv"])
    assert 1 < len(found.streams) < 130
    assert OVERFLOW not in {item.version for item in found.streams} | {item.version for item in found.cells}


def test_so_many_tenants_of_a_plugin_are_told_apart_and_no_call_is_lost(telemetry: Telemetry) -> None:
    send(telemetry, 50, outcome="error", tenant="the largest")
    for number in range(240):
        send(telemetry, 1, outcome="error", tenant=f"t{number}")
    send(telemetry, 2, outcome="error", tenant="another's", id="geo")
    found = arrived(telemetry)
    tenants = {cell.tenant: cell.counts.total for cell in found.cells if cell.plugin == "csv"}
    assert len(tenants) == 201
    assert (tenants["the largest"], tenants[OVERFLOW], sum(tenants.values())) == (50, 41, 290)
    assert [cell.tenant for cell in found.cells if cell.plugin == "geo"] == ["another's"]
    names = telemetry.condition.names(AT - HOUR)
    assert (names.calls_beyond_words, names.words_beyond) == (41, [])


# -- what counts against a plugin ------------------------------------------------------------------------------------------


def test_a_plugin_that_is_down_behind_its_breaker_does_not_look_well(telemetry: Telemetry) -> None:
    """Over every length of window, from seconds, minutes and hours."""
    for hours in (0, 2, 9):
        at = AT - hours * HOUR - SECOND
        send(telemetry, 10, at=at)
        send(telemetry, 1, at=at, outcome="error")
        refuse(telemetry, 5, at=at)
        send(telemetry, 40, at=at, outcome="error", error_source="caller")
        for reason in ("quarantined", "probation", "quota_exceeded", "rate_limited", "bulkhead_full"):
            refuse(telemetry, 100, reason, at=at)
    catch_up(telemetry)
    sizes = [60.0, 3 * 3600.0, 86_400.0]
    found = telemetry.judging.windows([FAILS, SLOW], sizes, AT, AT)
    assert found["fails"]["csv", "1"] == {
        size: CallCounts(16 * times, failed=6 * times) for times, size in enumerate(sizes, 1)
    }
    assert found["slow"]["csv", "1"] == {
        size: CallCounts(16 * times, slow=5 * times) for times, size in enumerate(sizes, 1)
    }
    cells = telemetry.judging.cells([Wanted("csv", AT - timedelta(minutes=1))], (), AT)
    assert (sum(cell.counts.total for cell in cells), sum(cell.refused for cell in cells)) == (11, 5)


def test_pages_say_of_refusals_what_they_said(telemetry: Telemetry) -> None:
    send(telemetry, 10)
    send(telemetry, 1, outcome="error")
    refuse(telemetry, 5)
    catch_up(telemetry)
    (page,) = telemetry.pages.plugins(AT - HOUR, AT)
    assert (page.calls, page.failed, page.bad, page.rejected) == (16, 1, 1, 5)
    assert telemetry.pages.plugin("csv", AT - HOUR, AT) == page
    (operation,) = telemetry.pages.operations("csv", AT - HOUR, AT)
    assert (operation.calls, operation.failed, operation.rejected) == (16, 1, 5)


# -- the past ---------------------------------------------------------------------------------------------------------------


def past(telemetry: Telemetry, *thresholds: int, since: datetime, until: datetime = AT) -> list[Past]:
    catch_up(telemetry, until)
    return sorted(telemetry.judging.past(since, until, thresholds), key=repr)


@pytest.mark.parametrize(
    ("hours", "usual"), [([0], 0.0), ([0, 50], 0.0), ([0, 0, 0, 50], 0.0), ([10, 10, 0, 50], 0.1), ([50] * 3, 0.5)]
)
def test_one_bad_hour_in_four_makes_nothing_usual(telemetry: Telemetry, hours: list[int], usual: float) -> None:
    for number, percent in enumerate(hours, 1):
        at = AT - number * HOUR
        send(telemetry, 100 - percent, at=at)
        if percent:
            send(telemetry, percent, at=at, outcome="error")
            send(telemetry, percent, at=at, outcome="cancelled", error_source="caller")
            refuse(telemetry, percent, at=at)
    assert past(telemetry, since=AT - 24 * HOUR) == [Past("csv", "1", "run", 100 * len(hours), usual)]


def test_hours_of_few_calls_tell_no_share_and_are_counted(telemetry: Telemetry) -> None:
    send(telemetry, 19, at=AT - HOUR, outcome="error")
    send(telemetry, 100, at=AT - 2 * HOUR)
    send(telemetry, 3, at=AT - HOUR, operation="rare", outcome="error")
    assert past(telemetry, since=AT - 24 * HOUR) == [
        Past("csv", "1", "rare", 3, 0.0), Past("csv", "1", "run", 119, 0.0),
    ]  # fmt: skip


def test_the_past_is_as_slow_as_its_hours_were(telemetry: Telemetry) -> None:
    for number in (1, 2, 3):
        at = AT - number * HOUR
        send(telemetry, 60, at=at)
        send(telemetry, 30, at=at, seconds=0.05)
        send(telemetry, 10 * number, at=at, seconds=0.5, instance="host-2")
    (found,) = past(telemetry, FAST, FASTER, since=AT - 24 * HOUR)
    assert found.slow_ratio == pytest.approx((20 / 110, 50 / 110))
    assert past(telemetry, FASTER, since=AT - 24 * HOUR)[0].slow_ratio == pytest.approx((50 / 110,))


def test_the_hour_that_is_not_over_counts_as_far_as_it_went(telemetry: Telemetry) -> None:
    begin = AT.replace(minute=0, second=0) - 3 * HOUR
    for minute in range(0, 50, 10):
        send(telemetry, 20, at=begin + timedelta(minutes=minute), outcome="success" if minute else "error")
        until = begin + timedelta(minutes=minute + 5)
        (found,) = past(telemetry, since=begin - HOUR, until=until)
        seen = 20 + 2 * minute
        assert (found.calls, found.failed_ratio) == pytest.approx((seen, 20 / seen))
    (found,) = past(telemetry, since=begin - HOUR, until=begin + 2 * HOUR)
    assert (found.calls, found.failed_ratio) == pytest.approx((100, 0.2))


def test_what_comes_late_for_an_hour_that_is_over_is_in_the_past(telemetry: Telemetry) -> None:
    send(telemetry, 80, at=AT - 5 * HOUR)
    assert past(telemetry, since=AT - 24 * HOUR)[0].failed_ratio == 0.0
    send(telemetry, 20, at=AT - 5 * HOUR, outcome="error")
    assert past(telemetry, since=AT - 24 * HOUR) == [Past("csv", "1", "run", 100, 0.2)]


def test_nothing_called_has_no_past(telemetry: Telemetry) -> None:
    assert past(telemetry, FAST, since=AT - 24 * HOUR) == []
    refuse(telemetry, 50, at=AT - HOUR)
    assert past(telemetry, since=AT - 24 * HOUR) == []
