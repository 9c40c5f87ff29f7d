"""What every engine of telemetry promises to planners of capacity (`store.planning`), asked through the port alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from plugwarden_collector.capacity.resource import Resource
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.store import Telemetry

from tests.collector.support.hostile_names import HOSTILE_NAMES
from tests.collector.support.rolled_store import ns

from .requests import AT, DAY, HOUR, append, call, catch_up

BEGIN = AT.replace(minute=0, second=0)


def count(
    telemetry: Telemetry, hours_ago: float, calls: int, seconds: float = 0.1, plugin: str = "csv", **told: Any
) -> None:
    """Calls within a second, some hours before a full hour, each with a fifth of its time on a processor; told at once."""
    at = BEGIN - timedelta(hours=hours_ago)
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    said = {
        "service.name": "host",
        "service.instance.id": told.pop("instance", "i1"),
        "host.name": told.pop("host", "m1"),
    }
    for key, text in said.items():
        resource.resource.attributes.add(key=key).value.string_value = text
    scope = resource.scope_metrics.add()
    timed = scope.metrics.add(name="plugin.invocation.duration", unit="s").exponential_histogram
    spent = scope.metrics.add(name="plugin.cpu.time", unit="s").sum
    timed.aggregation_temporality = spent.aggregation_temporality = 1
    labels = {"plugin.id": plugin, "plugin.version": "1", "plugin.operation": "run", "plugin.outcome": "success"}
    labels |= {f"{name.replace('_', '.')}": text for name, text in told.items()}
    begins = {"start_time_unix_nano": ns(at - timedelta(seconds=1)), "time_unix_nano": ns(at)}
    point = timed.data_points.add(**begins, count=calls, scale=4, sum=calls * seconds, max=seconds)
    point.positive.offset = -60
    point.positive.bucket_counts.extend([calls])
    used = spent.data_points.add(**begins, as_double=calls * seconds / 5)
    for made in (point, used):
        for key, text in labels.items():
            made.attributes.add(key=key).value.string_value = text
    append(telemetry, Signal.METRICS, message.SerializeToString(), at + timedelta(seconds=1))


def tell(
    telemetry: Telemetry,
    instance: str,
    *told: tuple[str, str | None, float],
    plugin: str = "csv",
    seconds_ago: float = 10,
) -> None:
    """Gauges of one host process: metric, term, value."""
    at = AT - timedelta(seconds=seconds_ago)
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    for key, text in (
        ("service.name", "host"),
        ("service.instance.id", instance),
        ("host.name", f"machine of {instance}"),
    ):
        resource.resource.attributes.add(key=key).value.string_value = text
    scope = resource.scope_metrics.add()
    for metric, term, value in (("plugin.invocation.active", None, 1.0), *told):
        point = scope.metrics.add(name=metric).gauge.data_points.add(time_unix_nano=ns(at), as_double=value)
        said = {"plugin.id": plugin, "plugin.version": "1", "plugin.operation": "run", "plugin.owner": "team-a"}
        for key, text in {**said, **({} if term is None else {"plugin.term": term})}.items():
            point.attributes.add(key=key).value.string_value = text
    append(telemetry, Signal.METRICS, message.SerializeToString(), at)


@pytest.mark.parametrize(
    ("span", "over", "peak"),
    [(HOUR, 10.0, 6.0), (5 * HOUR, 60.0, 1.0), (3 * DAY, 3600.0, 60 / 3600)],
)
def test_a_peak_is_over_the_time_that_its_cells_span(
    telemetry: Telemetry, span: timedelta, over: float, peak: float
) -> None:
    """Sixty calls of one second, in a tier of hours, are no six calls a second over ten seconds of each."""
    for hours_ago in (70, 30, 4, 0.5):
        count(telemetry, hours_ago, 60)
        catch_up(telemetry, BEGIN - timedelta(hours=hours_ago) + timedelta(minutes=2))
    catch_up(telemetry, AT)
    (found,) = telemetry.planning.demand(BEGIN - span, BEGIN)
    assert found.peak_over_seconds == over
    assert found.peak_calls_per_second == pytest.approx(peak, rel=0.01)
    assert found.peak_concurrency == pytest.approx(peak * 0.1, rel=0.01)


def test_rates_are_over_the_time_that_has_data(telemetry: Telemetry) -> None:
    count(telemetry, 1, 600)
    catch_up(telemetry)
    (found,) = telemetry.planning.demand(BEGIN - 30 * DAY, BEGIN)
    assert found.over_seconds == pytest.approx(3600, abs=61)
    assert found.calls_per_second == pytest.approx(600 / 3600, rel=0.02)
    assert found.concurrency == pytest.approx(60 / 3600, rel=0.02)
    assert found.cpu_cores == pytest.approx(12 / 3600, rel=0.02)
    assert found.calls_per_second <= found.peak_calls_per_second


def test_what_was_not_measured_is_none(telemetry: Telemetry) -> None:
    call(telemetry, outcome="rejected", seconds=0.0)
    catch_up(telemetry)
    (found,) = telemetry.planning.demand(AT - HOUR, AT)
    assert (found.calls, found.concurrency, found.peak_concurrency, found.cpu_cores) == (1, None, None, None)


def test_demand_is_told_by_operation_and_tenant(telemetry: Telemetry) -> None:
    count(telemetry, 0.1, 30, tenant_id="big")
    count(telemetry, 0.1, 10, tenant_id="small")
    count(telemetry, 0.1, 5, plugin_operation="load")
    catch_up(telemetry)
    since = BEGIN - HOUR
    operations = telemetry.planning.demand(since, BEGIN, plugin="csv", by_operation=True)
    assert [(item.plugin_operation, item.calls) for item in operations] == [("run", 40), ("load", 5)]
    tenants = telemetry.planning.tenants(since, BEGIN)
    assert [(item.tenant_id, item.calls) for item in tenants] == [("big", 30), ("small", 10), ("", 5)]
    assert telemetry.planning.demand(since, BEGIN, plugin="none") == []


def test_what_holds_an_operation_is_added_up_over_its_processes(telemetry: Telemetry) -> None:
    enforced = "plugin.terms.enforced"
    tell(
        telemetry,
        "i1",
        (enforced, "concurrency", 8),
        (enforced, "rate", 50),
        (enforced, "memory", 1000),
        ("plugin.workers", None, 2),
    )
    tell(telemetry, "i2", (enforced, "concurrency", 4), ("plugin.memory.usage", None, 700))
    tell(telemetry, "gone", (enforced, "concurrency", 99), seconds_ago=600)
    (held,) = telemetry.planning.held(AT - HOUR, AT)
    assert (held.plugin_id, held.plugin_operation, held.instances, held.owner) == ("csv", "run", 2, "team-a")
    assert (held.concurrency, held.memory_bytes, held.most_running) == (12, 700, 2)
    assert (held.calls_per_second, held.memory_limit_bytes, held.declared_concurrency) == (None, None, None), (
        "one has none"
    )


def test_a_machine_is_as_large_as_its_processes_say(telemetry: Telemetry) -> None:
    count(telemetry, 0.1, 360, host="m1", instance="i1")
    count(telemetry, 0.1, 360, host="m1", instance="i2")
    count(telemetry, 0.1, 360, host="m2", instance="i3")
    catch_up(telemetry)
    found = telemetry.planning.machines(BEGIN - HOUR, BEGIN)
    assert [(item.host_name, item.instances, item.processors) for item in found] == [("m1", 2, None), ("m2", 1, None)]
    assert found[0].cpu_cores == pytest.approx(2 * (found[1].cpu_cores or 0))


def test_machines_that_are_gone_are_not_counted(telemetry: Telemetry) -> None:
    """A fleet was rolled onto new machines within the span: the old ones told last some minutes before the others."""
    for number, hours_ago in enumerate((0.7, 0.6, 0.1, 0.1)):
        count(telemetry, hours_ago, 360, host=f"m{number // 3}", instance=f"i{number}")
    count(telemetry, 30, 360, host="plain gone", instance="of before")
    count(telemetry, 0.2, 360, host="plain", instance="tells none")
    processors = ("plugin.terms.enforced", "processors", 4.0)
    for instance, minutes_ago in (("i0", 40), ("i1", 35), ("i2", 10), ("i3", 1), ("i2", 0.5)):
        tell(telemetry, instance, processors, seconds_ago=(AT - BEGIN).total_seconds() + minutes_ago * 60)
    catch_up(telemetry)
    for since in (BEGIN - HOUR, BEGIN - 3 * DAY):
        found = [
            (item.host_name, item.instances, item.processors) for item in telemetry.planning.machines(since, BEGIN)
        ]
        assert found == [("machine of i2", 1, 4.0), ("machine of i3", 1, 4.0), ("plain", 1, None)]


def test_load_has_gaps_where_nobody_was_heard(telemetry: Telemetry) -> None:
    for hours_ago, calls in ((6.5, 10), (5.5, 3600), (2.5, 7200), (0.5, 3600)):
        count(telemetry, hours_ago, calls)
    count(telemetry, 1.5, 10, plugin="geo")
    catch_up(telemetry)
    load = telemetry.planning.load(BEGIN - 8 * HOUR, BEGIN)
    assert load.plugins == ("csv", "geo")
    rates = [None if value != value else round(float(value), 3) for value in load.of("csv", Resource.CALLS)]
    assert rates == [None, None, 1.0, None, None, 2.0, 0.0, 1.0], "the first hour may have begun within it"
    assert load.of("csv", Resource.CPU)[5] == pytest.approx(2.0 * 0.02)
    assert telemetry.planning.load(BEGIN - 8 * HOUR, BEGIN, plugin="none").plugins == ()


def test_steps_are_minutes_with_calls(telemetry: Telemetry) -> None:
    count(telemetry, 0.5, 60, 0.2)
    count(telemetry, 0.25, 120, 0.4)
    catch_up(telemetry)
    found = telemetry.planning.steps("csv", BEGIN - HOUR, BEGIN)
    assert [(item.calls_per_second, round(item.seconds, 3)) for item in found] == [(1.0, 0.2), (2.0, 0.4)]


def test_tables_are_told_with_their_tiers(telemetry: Telemetry) -> None:
    count(telemetry, 1, 60)
    catch_up(telemetry)
    found = {item.table: item for item in telemetry.planning.tables(AT)}
    assert set(found) == {
        "spans",
        "logs",
        "metric_points",
        "call_seconds",
        "call_minutes",
        "call_hours",
        "limit_minutes",
    }
    assert (found["metric_points"].rows, found["metric_points"].tier) == (2, "raw")
    assert found["spans"].rows_per_day == 0


def test_names_of_strangers_are_values(telemetry: Telemetry) -> None:
    for name in HOSTILE_NAMES:
        count(telemetry, 0.1, 5, plugin=name, tenant_id=name)
    catch_up(telemetry)
    found = telemetry.planning.demand(BEGIN - HOUR, BEGIN)
    for item in found:
        assert telemetry.planning.demand(BEGIN - HOUR, BEGIN, plugin=item.plugin_id) == [item]
        assert telemetry.planning.load(BEGIN - HOUR, BEGIN, plugin=item.plugin_id).plugins == (item.plugin_id,)
    assert len(found) > 1
    assert telemetry.planning.load(BEGIN - HOUR, BEGIN).plugins == tuple(sorted(item.plugin_id for item in found))
    assert {item.plugin_id for item in telemetry.planning.tenants(BEGIN - HOUR, BEGIN)} == {
        item.plugin_id for item in found
    }
