"""Points whose numbers contradict each other: refused by both decoders and on every way in, each with the field and the reason."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from plugwarden.contract.metrics import CPU_TIME, DOWNSTREAM_DURATION, INVOCATION_DURATION
from plugwarden_collector.errors import PayloadTooLargeError
from plugwarden_collector.receive.decode import numbers
from plugwarden_collector.receive.decode.batch import Signal
from plugwarden_collector.receive.decode.fast import read_plain
from plugwarden_collector.receive.decode.identity import Identity
from plugwarden_collector.receive.decode.metrics import read_metrics
from plugwarden_collector.receive.decode.requests import parse, read

from tests.collector.conftest import Running
from tests.collector.support.otlp_client import TRANSPORTS, T, send
from tests.collector.support.otlp_requests import NOW, metric_requests
from tests.share import repetitions

from .test_native import assert_same

CALLS, OTHERS = INVOCATION_DURATION.name, "others"
BIG = 2**64 - 1
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: the fast way was not built")


def bounded(name: str = OTHERS, unit: str = "s", temporality: int = 1, **point: Any) -> Any:
    """One point of a histogram with bounds: three calls of 0.02 s, unless it says otherwise."""
    known = {"count": 3, "sum": 0.06, "explicit_bounds": [0.01, 0.1], "bucket_counts": [0, 3, 0], **point}
    return _message("histogram", name, unit, temporality, known)


def exponential(
    name: str = OTHERS,
    unit: str = "s",
    temporality: int = 1,
    positive: Any = (-90, [3]),
    negative: Any = (0, []),
    **point: Any,
) -> Any:
    """One point of an exponential histogram, of the same calls."""
    made = _message("exponential_histogram", name, unit, temporality, {"count": 3, "sum": 0.06, "scale": 4, **point})
    data = _point(made)
    data.positive.offset, data.negative.offset = positive[0], negative[0]
    data.positive.bucket_counts.extend(positive[1])
    data.negative.bucket_counts.extend(negative[1])
    return made


def summary(quantile: float = 0.5, value: float = 1.0, **point: Any) -> Any:
    made = _message("summary", OTHERS, "s", None, {"count": 3, "sum": 3.0, **point})
    _point(made).quantile_values.add(quantile=quantile, value=value)
    return made


def amount(name: str = CPU_TIME.name, unit: str = "s", **point: Any) -> Any:
    return _message("sum", name, unit, 1, point)


def _message(kind: str, name: str, unit: str, temporality: int | None, point: dict[str, Any]) -> Any:
    made = metrics_service_pb2.ExportMetricsServiceRequest()
    metric = made.resource_metrics.add().scope_metrics.add().metrics.add(name=name, unit=unit)
    data = getattr(metric, kind)
    if temporality is not None:
        data.aggregation_temporality = temporality
    given = {key: value for key, value in point.items() if value is not None}
    data.data_points.add(time_unix_nano=NOW, start_time_unix_nano=NOW - 10**9, **given)
    return made


def _point(message: Any) -> Any:
    metric = message.resource_metrics[0].scope_metrics[0].metrics[0]
    return getattr(metric, metric.WhichOneof("data")).data_points[0]


CONTRADICTIONS: dict[str, tuple[Callable[[], Any], int]] = {
    "buckets that hold less than count": (lambda: bounded(bucket_counts=[0, 2, 0]), numbers.EXPLICIT_TOTAL),
    "cumulative buckets, as Prometheus has them": (lambda: bounded(bucket_counts=[0, 3, 3]), numbers.EXPLICIT_TOTAL),
    "the largest number in every bucket": (lambda: bounded(bucket_counts=[BIG] * 3), numbers.EXPLICIT_TOTAL),
    "buckets that add up only when they wrap around": (
        lambda: bounded(bucket_counts=[BIG, 4, 0]),
        numbers.EXPLICIT_TOTAL,
    ),
    "buckets of calls, the same": (lambda: bounded(CALLS, bucket_counts=[3, 3, 3]), numbers.EXPLICIT_TOTAL),
    "buckets of a cumulative series": (lambda: bounded(CALLS, "s", 2, bucket_counts=[3, 3, 3]), numbers.EXPLICIT_TOTAL),
    "a bucket too many": (lambda: bounded(bucket_counts=[0, 3, 0, 0]), numbers.SHAPE),
    "bounds without buckets": (lambda: bounded(bucket_counts=[]), numbers.SHAPE),
    "bounds that fall": (lambda: bounded(explicit_bounds=[0.1, 0.01]), numbers.ASCENT),
    "a bound twice": (lambda: bounded(explicit_bounds=[0.1, 0.1]), numbers.ASCENT),
    "a bound that is no number": (lambda: bounded(explicit_bounds=[math.nan, 0.1]), numbers.ASCENT),
    "one bound, which is no number": (
        lambda: bounded(explicit_bounds=[math.nan], bucket_counts=[3, 0]),
        numbers.ASCENT,
    ),
    "more buckets than anybody has": (
        lambda: bounded(explicit_bounds=range(2**16), bucket_counts=[3] + [0] * 2**16),
        numbers.LONG,
    ),
    "exponential buckets that hold less": (lambda: exponential(positive=(-90, [2])), numbers.EXPONENTIAL_TOTAL),
    "zeros that were forgotten in count": (lambda: exponential(zero_count=1), numbers.EXPONENTIAL_TOTAL),
    "negative buckets that were": (lambda: exponential(negative=(0, [1])), numbers.EXPONENTIAL_TOTAL),
    "exponential buckets that wrap around": (
        lambda: exponential(positive=(-90, [BIG]), zero_count=4),
        numbers.EXPONENTIAL_TOTAL,
    ),
    "a scale without numbers": (lambda: exponential(scale=-11, positive=(0, [3])), numbers.COARSE),
    "the least scale there is": (lambda: exponential(scale=-(2**31), positive=(0, [3])), numbers.COARSE),
    "a bucket above all numbers": (lambda: exponential(positive=(2**31 - 1, [3])), numbers.PLACE),
    "a bucket below all numbers": (lambda: exponential(positive=(-(2**31), [3])), numbers.PLACE),
    "a negative bucket beyond all numbers": (
        lambda: exponential(positive=(0, []), negative=(2**31 - 1, [3])),
        numbers.PLACE,
    ),
    "buckets that run out of the numbers": (
        lambda: exponential(scale=-10, positive=(0, [1, 1, 1])),
        numbers.PLACE,
    ),
    "more exponential buckets than anybody has": (
        lambda: exponential(scale=20, positive=(0, [3] + [0] * 2**16)),
        numbers.LONG,
    ),
    "a sum of nothing": (lambda: bounded(count=0, bucket_counts=[0, 0, 0]), numbers.NOTHING),
    "a sum of nothing that is no number": (
        lambda: exponential(count=0, positive=(0, []), sum=math.nan),
        numbers.NOTHING,
    ),
    "a summary of nothing": (lambda: summary(count=0), numbers.NOTHING),
    "min above max": (lambda: bounded(min=2.0, max=1.0), numbers.EXTREMES),
    "a quantile above one": (lambda: summary(quantile=99.0), numbers.QUANTILE),
    "a quantile that is no number": (lambda: summary(quantile=math.nan), numbers.QUANTILE),
    "a negative value of a quantile": (lambda: summary(value=-1.0), numbers.VALUE),
    "calls measured in bytes": (lambda: bounded(CALLS, "By"), numbers.UNIT),
    "calls without a temporality": (lambda: bounded(CALLS, "s", 0), numbers.TEMPORALITY),
    "more calls than there can be": (
        lambda: exponential(CALLS, count=2**32, positive=(-90, [2**32])),
        numbers.CALLS,
    ),
    "more calls than a double holds": (
        lambda: exponential(CALLS, "s", 2, count=2**53, positive=(-90, [2**53])),
        numbers.CALLS,
    ),
    "calls that took less than no time": (lambda: bounded(CALLS, sum=-1.0), numbers.SECONDS),
    "calls that took no number": (lambda: exponential(CALLS, sum=math.nan), numbers.SECONDS),
    "calls that took for ever": (lambda: bounded(CALLS, sum=math.inf), numbers.SECONDS),
    "calls that took longer than there is time, in hours": (lambda: bounded(CALLS, "h", sum=1e12), numbers.SECONDS),
    "a longest call that is no number": (lambda: exponential(CALLS, max=math.nan), numbers.LONGEST),
    "a shortest call below zero": (lambda: bounded(CALLS, min=-1.0), numbers.LONGEST),
    "calls below zero": (lambda: bounded(CALLS, explicit_bounds=[-2.0, -1.0]), numbers.BELOW_ZERO),
    "exponential calls below zero": (
        lambda: exponential(CALLS, positive=(0, [2]), negative=(0, [1])),
        numbers.BELOW_ZERO,
    ),
    "waits that took no number": (lambda: exponential(DOWNSTREAM_DURATION.name, sum=math.nan), numbers.SECONDS),
    "CPU time that is no number": (lambda: amount(as_double=math.nan), numbers.CPU),
    "negative CPU time": (lambda: amount(as_int=-1), numbers.CPU),
    "CPU time without end": (lambda: amount(as_double=math.inf), numbers.CPU),
    "CPU time in bytes": (lambda: amount(unit="By", as_double=1.0), numbers.UNIT),
}
"""What contradicts itself, and the reason that its sender is told."""

ALLOWED: dict[str, Callable[[], Any]] = {
    "a histogram with neither buckets nor sum": lambda: bounded(CALLS, sum=None, explicit_bounds=[], bucket_counts=[]),
    "a single bucket": lambda: bounded(CALLS, explicit_bounds=[], bucket_counts=[3]),
    "a bound at infinity": lambda: bounded(explicit_bounds=[0.1, math.inf]),
    "no calls at all": lambda: bounded(CALLS, count=0, sum=0.0, bucket_counts=[0, 0, 0], min=math.inf, max=-math.inf),
    "an empty exponential histogram": lambda: exponential(CALLS, count=0, sum=None, positive=(0, [])),
    "temperatures below zero": lambda: bounded(explicit_bounds=[-20.0, -10.0], sum=-45.0, min=-16.0, max=-14.0),
    "negative buckets of others": lambda: exponential(positive=(0, [1]), negative=(0, [1]), zero_count=1, sum=-5.0),
    "a sum of others that is no number": lambda: bounded(sum=math.nan),
    "a sum of others without end": lambda: exponential(sum=math.inf),
    "extremes of others that are no numbers": lambda: bounded(min=math.nan, max=math.nan),
    "as many measurements of others as there are": lambda: bounded(count=BIG, bucket_counts=[0, BIG, 0]),
    "others without a temporality": lambda: bounded(temporality=0),
    "only min": lambda: bounded(CALLS, min=0.01),
    "the finest scale that is": lambda: exponential(CALLS, scale=20, positive=(-(2**20), [3])),
    "a scale finer than any SDK's": lambda: exponential(scale=30, positive=(5, [3])),
    "the coarsest scale": lambda: exponential(scale=-10, positive=(-2, [1, 1, 1])),
    "the least and the largest number": lambda: exponential(positive=(-17185, [1, *[0] * 33568, 2])),
    "infinity, as Prometheus counts it": lambda: exponential(scale=8, positive=(1024 << 8, [3]), sum=math.inf),
    "empty buckets far away": lambda: exponential(positive=(-(2**31), [0]), zero_count=3),
    "calls in nanoseconds": lambda: bounded(CALLS, "ns", sum=6e7, explicit_bounds=[1e7, 1e8]),
    "most calls in an interval": lambda: exponential(CALLS, count=2**32 - 1, positive=(-90, [2**32 - 1])),
    "most calls ever": lambda: exponential(CALLS, "s", 2, count=2**53 - 1, positive=(-90, [2**53 - 1])),
    "bounds of calls that begin at zero": lambda: bounded(CALLS, explicit_bounds=[0.0, 1.0]),
    "empty buckets of calls below zero": lambda: bounded(CALLS, explicit_bounds=[-1.0, 1.0]),
    "a gauge of others that is no number": lambda: amount(OTHERS, as_double=math.nan),
    "a sum of others below zero": lambda: amount(OTHERS, as_int=-(2**63)),
    "a quantile without measurements": lambda: summary(value=math.nan),
    "no CPU time": lambda: amount(as_double=0.0),
    "a point that says nothing": lambda: amount(),
}
"""What the data model allows, odd as it may be."""


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_contradicts_itself_is_refused_with_the_reason(name: str) -> None:
    made, code = CONTRADICTIONS[name]
    good = bounded(CALLS)
    good.resource_metrics.extend(made().resource_metrics)
    batch = read(Signal.METRICS, good.SerializeToString(), now_ns=NOW)
    assert (batch.accepted, batch.rejected, batch.reason) == (1, 1, f"1: {numbers.REASONS[code]}")
    assert batch.tables["incoming_points"]["metric"].to_pylist() == [CALLS]


@needs_compiler
@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_the_fast_way_leaves_it_alone(name: str) -> None:
    body = CONTRADICTIONS[name][0]().SerializeToString()
    assert read_plain(Signal.METRICS, [body], Identity(), NOW) is None
    good = bounded(CALLS).SerializeToString()
    assert read_plain(Signal.METRICS, [good, body], Identity(), NOW) is None
    assert read_plain(Signal.METRICS, [good, good], Identity(), NOW) is not None


@pytest.mark.parametrize("name", ALLOWED)
def test_what_the_data_model_allows_is_taken(name: str) -> None:
    body = ALLOWED[name]().SerializeToString()
    batch = read_metrics(parse(Signal.METRICS, body), Identity(), NOW)
    assert (batch.accepted, batch.rejected) == (1, 0), batch.reason


@needs_compiler
@pytest.mark.parametrize("name", [name for name in ALLOWED if "quantile" not in name])
def test_and_the_fast_way_takes_it_as_well(name: str) -> None:
    assert assert_same(Signal.METRICS, [ALLOWED[name]().SerializeToString()], Identity())


@needs_compiler
@given(metric_requests(sound=False))
@settings(deadline=None, max_examples=repetitions(400), suppress_health_check=[HealthCheck.too_slow])
def test_both_ways_refuse_the_same_whatever_the_numbers(message: Any) -> None:
    body = message.SerializeToString()
    found = read_metrics(parse(Signal.METRICS, body), Identity(), NOW)
    taken = assert_same(Signal.METRICS, [body], Identity())
    if found.rejected:
        assert not taken
        return
    metrics = [item for group in message.resource_metrics for scope in group.scope_metrics for item in scope.metrics]
    # What the fast way leaves alone though nothing is wrong with it: quantiles, and units that have to be looked up.
    rare = any(point.quantile_values for item in metrics for point in item.summary.data_points) or any(
        item.unit in {"µs", "seconds", "By", "1"} and item.name != "other" and item.WhichOneof("data")
        for item in metrics
    )
    assert taken or rare


def test_every_reason_is_met_by_an_example_and_can_be_counted() -> None:
    assert {code for _, code in CONTRADICTIONS.values()} == set(range(1, len(numbers.REASONS)))
    assert not any(";" in reason for reason in numbers.REASONS)  # health/arrivals.py takes reasons apart by it


def test_a_request_of_nothing_but_buckets_is_too_large() -> None:
    message = exponential(scale=20, positive=(0, [3]))
    point = _point(message)
    point.positive.bucket_counts.extend([0] * (2**16 - 1))
    points = message.resource_metrics[0].scope_metrics[0].metrics[0].exponential_histogram.data_points
    for _ in range(numbers.MAX_BUCKETS // 2**16 - 1):
        points.add().CopyFrom(point)
    assert read(Signal.METRICS, message.SerializeToString(), now_ns=NOW).accepted == len(points)
    points.add().CopyFrom(point)
    with pytest.raises(PayloadTooLargeError, match="buckets"):
        read(Signal.METRICS, message.SerializeToString(), now_ns=NOW)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_way_in_refuses_it_and_says_why(shared: Running, transport: str) -> None:
    message = bounded(CALLS)
    for name in ("the largest number in every bucket", "negative buckets that were", "calls that took no number"):
        message.resource_metrics.extend(CONTRADICTIONS[name][0]().resource_metrics)
    for group in message.resource_metrics:
        metric = group.scope_metrics[0].metrics[0]
        getattr(metric, metric.WhichOneof("data")).data_points[0].time_unix_nano = T + len(transport)
    before = _refused(shared)
    reply = send(shared, transport, "metrics", message)
    assert reply.verdict == "stored"
    partial = reply.response.partial_success
    reasons = [numbers.REASONS[code] for code in (numbers.EXPLICIT_TOTAL, numbers.EXPONENTIAL_TOTAL, numbers.SECONDS)]
    assert partial.rejected_data_points == 3
    assert sorted(partial.error_message.split("; ")) == sorted(f"1: {reason}" for reason in reasons)
    after = _refused(shared)
    assert {reason: after.get(reason, 0) - before.get(reason, 0) for reason in reasons} == dict.fromkeys(reasons, 1.0)


def _refused(collector: Running) -> dict[str, float]:
    """Points refused, by reason, as our own metrics tell it."""
    found = {}
    for line in httpx2.get(f"{collector.url}/metrics").text.splitlines():
        if line.startswith("plugwarden_refused_items_total{"):
            labels, _, value = line.rpartition(" ")
            found[labels.partition('reason="')[2].partition('"')[0]] = float(value)
    return found
