"""What calls add up to: in seconds whatever the unit, by process whatever it is called, and never more bad than there are."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from plugwarden.contract.histogram import bucket_index, quantile_seconds, threshold_index
from plugwarden_collector.control.observe import observe
from plugwarden_collector.receive.decode import metrics
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.receive.decode.time_units import CODES, seconds_per
from plugwarden_collector.rules.file import DEFAULT_RULES, Rules
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.store import Writer, statement, telemetry_of
from plugwarden_collector.store.duckdb.calls.fleet import FleetPages
from plugwarden_collector.store.duckdb.calls.hour_cache import ClosedHours
from plugwarden_collector.store.duckdb.calls.kind import Kind
from plugwarden_collector.store.duckdb.calls.other_histograms import MAX_STREAMS, UNTOLD, Streams, to_calls
from plugwarden_collector.store.duckdb.calls.rollup import CALLS

from tests.collector.support.foreign_rows import table
from tests.collector.support.rolled_store import AT, Store, duration, ns
from tests.share import repetitions

UNITS = [*CODES, "seconds", "Milliseconds", "usec", "ms{latency}", "hours"]


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("cumulative", [True, False])
def test_a_call_of_250_ms_is_one_in_every_unit_and_scale(store: Store, explicit: bool, cumulative: bool) -> None:
    for unit in UNITS:
        for scale in (None,) if explicit else (-1, 0, 3, 4, 20):
            message = metrics_service_pb2.ExportMetricsServiceRequest()
            point = duration(message, cumulative=cumulative, explicit=explicit)
            message.resource_metrics[0].scope_metrics[0].metrics[0].unit = unit
            value = 0.25 / (seconds_per(unit) or 0)
            point.attributes.add(key="plugin.version").value.string_value = f"{unit} {scale}"
            point.count, point.sum, point.max, point.time_unix_nano = 4, 4 * value, value, ns(AT)
            if scale is None:
                point.explicit_bounds.extend([value * 0.99, value * 1.001])
                point.bucket_counts.extend([0, 4, 0])
            else:
                point.scale, point.positive.offset = scale, math.ceil(math.log2(value) * 2.0**scale) - 1
                point.positive.bucket_counts.append(4)
            store.send(Signal.METRICS, message)
    store.roll()
    rows = store.database.cursor().execute(
        "select plugin_version, calls, duration_seconds_sum, duration_seconds_max, bucket_index, bucket_count from plugin_calls"
    ).fetchall()  # fmt: skip
    assert len(rows) == len(UNITS) * (1 if explicit else 5)
    for version, calls, seconds, longest, index, count in rows:
        scale = version.rpartition(" ")[2]
        assert (calls, seconds, longest) == (4, pytest.approx(1.0), pytest.approx(0.25)), version
        middle = quantile_seconds(index, count, 0.5)
        error = 2.0**-4 if scale == "None" else max(2.0**-4, 0.5 * 2.0 ** -int(scale)) + 2.0**-5
        assert middle is not None
        assert abs(math.log2(middle / 0.25)) <= error, version


def test_cpu_time_and_waits_are_seconds_in_every_unit(store: Store) -> None:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    scope = message.resource_metrics.add().scope_metrics.add()
    for unit in UNITS:
        value = 0.5 / (seconds_per(unit) or 0)
        cpu = scope.metrics.add(name="plugin.cpu.time", unit=unit).sum
        waits = scope.metrics.add(name="plugin.downstream.duration", unit=unit).histogram
        cpu.aggregation_temporality = waits.aggregation_temporality = 1
        for point in (cpu.data_points.add(as_double=value), waits.data_points.add(count=1, sum=value)):
            point.time_unix_nano = ns(AT)
            for key, text in (("plugin.id", "csv"), ("plugin.downstream", "db")):
                point.attributes.add(key=key).value.string_value = text
    store.send(Signal.METRICS, message)
    store.roll()
    cursor = store.database.cursor()
    assert cursor.execute("select sum(cpu_seconds) from plugin_calls").fetchall() == [
        (pytest.approx(0.5 * len(UNITS)),)
    ]
    waited = cursor.execute("select sum(waits), sum(seconds) from wait_seconds").fetchall()
    assert waited == [(len(UNITS), pytest.approx(0.5 * len(UNITS)))]


def row(second: float, count: int, started: float = 0.0, series: int = 1) -> dict[str, Any]:
    """A cumulative point of calls of a second each."""
    return {
        "series": series, "started_at": AT + timedelta(seconds=started), "time": AT + timedelta(seconds=second), "count": count,
        "sum": float(count), "max": 1.0, "bucket_count": [0, count, 0], "explicit_bounds": [0.5, 1.0],
    }  # fmt: skip


def calls_of(rows: list[dict[str, Any]], streams: Streams) -> int:
    """Calls of points that come in one rollup."""
    return int(sum(to_calls(table(rows), streams, CALLS)["calls"].to_pylist()))


def counted(rows: list[dict[str, Any]], streams: Streams | None = None) -> int:
    """Calls of points that come in one rollup each, as they do."""
    known = Streams() if streams is None else streams
    return sum(calls_of([one], known) for one in rows)


@given(st.integers(1, 8), st.integers(1, 12), st.booleans())
@settings(deadline=None, max_examples=60)
def test_processes_that_share_an_identity_are_told_apart_by_their_start(
    workers: int, rounds: int, together: bool
) -> None:
    rows = [row(10 + n, 10 * n, started=worker) for n in range(1, rounds + 1) for worker in range(workers)]
    found = calls_of(rows, Streams()) if together else counted(rows)
    assert found == workers * rounds * 10


def test_a_new_start_replaces_the_old_one_and_counts_from_its_beginning() -> None:
    hour = 3600.0
    known = Streams()
    assert counted([row(0, 1000, started=-hour), row(10, 1010, started=-hour)], known) == 10
    # It began again while nobody listened, longer ago than any young series: all of it happened since.
    assert counted([row(2 * hour, 500, started=hour)], known) == 500
    # A neighbour that was there all along, and is heard of for the first time, is counted from now on.
    assert counted([row(2 * hour, 700, started=-hour / 2), row(2 * hour + 5, 703, started=-hour / 2)], known) == 3


def test_a_stream_whose_start_is_not_known_goes_on_from_its_first_point() -> None:
    known = Streams()
    assert counted([row(0, 1000, started=0), row(10, 1004, started=0), row(20, 1009, started=0)], known) == 9
    assert counted([row(n, 5 * n, started=n) for n in (1, 2, 4)]) == 15
    assert (1, UNTOLD) in known.levels


def workers(count: int, exported: float, calls: int, **fields: Any) -> metrics_service_pb2.ExportMetricsServiceRequest:
    """An export of so many processes that share an identity, each with calls of its own since its own start."""
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    for worker in range(count):
        point = duration(message, cumulative=True, explicit=True)
        point.start_time_unix_nano += worker * 10**6
        point.time_unix_nano = ns(AT + timedelta(seconds=exported)) + worker * 1000
        point.count, point.sum = calls, calls * 0.5
        point.explicit_bounds.extend([0.1, 1.0])
        point.bucket_counts.extend([0, calls, 0])
        for key, value in fields.items():
            point.attributes.add(key=key.replace("_", ".")).value.string_value = value
    return message


def kept(store: Store) -> int:
    found: int = store.database.cursor().execute("select count(*) from cumulative_streams").fetchall()[0][0]
    return found


def test_streams_of_one_series_are_bounded(store: Store) -> None:
    for batch in range(3):
        store.send(Signal.METRICS, workers(MAX_STREAMS + 50, batch, 5))
        store.roll()
        assert kept(store) == MAX_STREAMS


def test_workers_beyond_those_that_are_told_apart_are_not_counted_anew(store: Store) -> None:
    for export in range(4):
        store.send(Signal.METRICS, workers(MAX_STREAMS + 44, export, 10))
        store.roll()
        assert store.calls() == {("csv", "", "success"): 10 * (MAX_STREAMS + 44)}
    store.send(Signal.METRICS, workers(MAX_STREAMS + 44, 5, 11))
    store.roll()
    assert store.calls()["csv", "", "success"] - 10 * (MAX_STREAMS + 44) in range(MAX_STREAMS, MAX_STREAMS + 45)


def test_workers_that_share_identity_and_start_are_not_counted_many_times_over(store: Store) -> None:
    for export in range(6):
        for offset, count in ((0, 1000 + export), (1, 500 + export)):
            message = workers(1, 10 * export + offset, count)
            message.resource_metrics[0].resource.attributes.add(key="service.name").value.string_value = "web"
            store.send(Signal.METRICS, message)
            store.roll()
    assert store.calls() == {("csv", "", "success"): 1005}
    told = store.database.fetch(statement("list_shared_starts"), {"since": AT - timedelta(hours=1)})
    assert [(row["service_name"], row["points"]) for row in told] == [("web", 6)]


def test_the_first_failures_of_a_process_that_has_run_for_hours_are_counted(store: Store) -> None:
    def export(second: float, told: dict[str, int]) -> None:
        message = metrics_service_pb2.ExportMetricsServiceRequest()
        for outcome, count in told.items():
            made = workers(1, second, count, plugin_outcome=outcome)
            point = made.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points[0]
            point.start_time_unix_nano -= 7200 * 10**9
            message.resource_metrics.extend(made.resource_metrics)
        store.send(Signal.METRICS, message)
        store.roll()

    export(0, {"success": 100_000, "timeout": 5})
    assert store.calls() == {}
    export(10, {"success": 100_060, "timeout": 5, "error": 40})
    assert store.calls() == {("csv", "", "success"): 60, ("csv", "", "error"): 40}
    export(20, {"success": 100_120, "timeout": 6, "error": 41, "rejected": 30})
    assert store.calls() == {
        ("csv", "", "success"): 120, ("csv", "", "timeout"): 1, ("csv", "", "error"): 41, ("csv", "", "rejected"): 30,
    }  # fmt: skip


@pytest.mark.parametrize("bounds", [[1.0], [1.0, math.inf], [-math.inf, 1.0, math.inf]])
def test_a_bound_of_infinity_is_the_bucket_without_an_end(store: Store, bounds: list[float]) -> None:
    message = workers(1, 0, 10)
    point = message.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points[0]
    del point.explicit_bounds[:], point.bucket_counts[:]
    point.explicit_bounds.extend(bounds)
    point.bucket_counts.extend([0] * (bounds.index(1.0) + 1) + [10] + [0] * (len(bounds) - bounds.index(1.0) - 1))
    store.send(Signal.METRICS, message)
    store.roll()
    rows = store.database.cursor().execute("select bucket_index from plugin_calls").fetchall()
    assert rows == [([bucket_index(1.0) + 1],)]


U64 = st.sampled_from([0, 1, 3, 10, 2**32 - 1, 2**53, 2**63, 2**64 - 1])
ROW = st.tuples(
    st.sampled_from(["success", "error", "timeout", "rejected"]), st.sampled_from(["", "plugin", "caller"]), U64,
    st.lists(st.integers(-480, 271) | st.sampled_from([-(2**31), 2**31 - 1]), max_size=4), st.lists(U64, max_size=4),
    st.booleans(),
)  # fmt: skip
COLUMNS = (
    "bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls, "
    "duration_seconds_sum, duration_seconds_max, cpu_seconds, bucket_index, bucket_count"
)
"""Of every tier."""
RULES = Rules(
    (
        *DEFAULT_RULES.objectives,
        Objective("slow", Sli.LATENCY, 0.9, 9 * 3600.0, threshold_seconds=0.1),
        Objective("slow-for-a-day", Sli.LATENCY, 0.9, 86400.0, threshold_seconds=0.1),
        Objective("works-for-a-day", Sli.AVAILABILITY, 0.9, 86400.0),
    ),
    DEFAULT_RULES.policy,
)


@given(st.lists(ROW, min_size=1, max_size=12))
@settings(deadline=None, max_examples=repetitions(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_rollup_holds_no_more_is_bad_than_there_is(store: Store, rows: list[Any]) -> None:
    now = AT + timedelta(hours=12)

    def written(connection: Any) -> None:
        for tier, step in (("call_seconds", now), ("call_minutes", now - timedelta(hours=3)), ("call_hours", now)):
            connection.execute(f"delete from {tier}")
            for number, (outcome, source, calls, index, count, same) in enumerate(rows):
                at = step - timedelta(hours=number % 9 if tier == "call_hours" else 0)
                at = at.replace(minute=0, second=0) if tier == "call_hours" else at
                count = (count + [1] * len(index))[: len(index)] if same else count
                connection.execute(
                    f"insert into {tier} ({COLUMNS}) values "
                    "(?, 's', 'i', 'csv', '1', 'run', ?, ?, '', ?, 1, 1, 0, ?::integer[], ?::ubigint[])",
                    [at, outcome, source, calls, index, count],
                )
        connection.execute(
            "update progress set time = ? where name in ('minutes', 'hours')", [now.replace(minute=0, second=0)]
        )

    writer: Writer = store.writer
    writer.run(written).result(10)
    database = store.database
    database.tiers = database.tiers.__class__(
        minutes=now.replace(minute=0, second=0), hours=now.replace(minute=0, second=0)
    )
    telemetry = telemetry_of(database, store.writer)
    fleet, hours_kept = FleetPages(database), ClosedHours(database)
    seen = observe(telemetry.judging, RULES, now, since=now - timedelta(days=30), budgets=True)
    assert seen.periods is not None
    windows = [counts for of in seen.windows.values() for sizes in of.values() for counts in sizes.values()]
    budgets = [counts for of in seen.periods.values() for counts in of.values()]
    assert all(0 <= counts.failed + counts.slow <= counts.total <= 2**54 for counts in windows + budgets)
    for hours in (1, 5, 24):
        span = database.tiers.span(now - timedelta(hours=hours), now)
        wide = database.tiers.span(now - timedelta(hours=24), now)
        for fast in (None, threshold_index(0.1)):
            for total, bad in (hours_kept.counts(wide, Kind(fast)) or {}).values():
                assert 0 <= bad <= total
        by_sql = database.fetch(statement("fleet"), {**span, "seconds": 3600.0 * hours, "plugin": None})
        assert all(0 <= item["bad"] <= item["calls"] for item in by_sql)
        assert telemetry.planning.demand(now - timedelta(hours=hours), now) is not None
        pages = fleet.plugins(now - timedelta(hours=hours), now)
        assert all(0 <= item.bad <= item.calls for item in pages)


@pytest.mark.parametrize(
    "spoil", [{"bucket_counts": [2**64 - 1] * 3}, {"bucket_counts": [3, 3, 3]}, {"sum": math.nan}, {"max": -1.0}, {"sum": 1e300}]
)  # fmt: skip
def test_points_that_an_earlier_version_stored_do_not_stop_counting(
    store: Store, monkeypatch: pytest.MonkeyPatch, spoil: dict[str, Any]
) -> None:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    for fields in (spoil, {}):
        made = metrics_service_pb2.ExportMetricsServiceRequest()
        point = duration(made, cumulative=False, explicit=True)
        known = {"count": 3, "sum": 0.06, "max": 0.02, "bucket_counts": [0, 3, 0], **fields}
        for name in ("count", "sum", "max"):
            setattr(point, name, known[name])
        point.time_unix_nano = ns(AT)
        point.explicit_bounds.extend([0.01, 0.1])
        point.bucket_counts.extend(known["bucket_counts"])
        message.resource_metrics.extend(made.resource_metrics)
    with monkeypatch.context() as earlier:
        earlier.setattr("plugwarden_collector.receive.decode.requests.read_plain", lambda *_: None)
        earlier.setattr(metrics, "faults", lambda kind, points, *_: np.zeros(len(points), np.int8))
        store.send(Signal.METRICS, message)
    store.roll()
    assert store.calls() == {("csv", "", "success"): 3}
    assert (
        bucket_index(0.1) in store.database.cursor().execute("select bucket_index from plugin_calls").fetchall()[0][0]
    )
