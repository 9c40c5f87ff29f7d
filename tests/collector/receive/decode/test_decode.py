"""Bytes to columns: attributes keep their values, clocks are bounded, plugins are named, one bad record costs one record."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden.redaction import REDACTED, hides_value
from plugwarden_collector.errors import MalformedTelemetryError, PayloadTooLargeError
from plugwarden_collector.receive.decode import native
from plugwarden_collector.receive.decode.identity import Identity
from plugwarden_collector.receive.decode.instants import MAX_AGE_NS, MAX_AHEAD_NS
from plugwarden_collector.receive.decode.requests import Signal, read, read_many

NOW = 1_790_000_000_000_000_000


def spans(count: int = 1) -> trace_service_pb2.ExportTraceServiceRequest:
    message = trace_service_pb2.ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for number in range(count):
        span = scope.spans.add(trace_id=os.urandom(16), span_id=os.urandom(8), name=f"span {number}")
        span.start_time_unix_nano, span.end_time_unix_nano = NOW, NOW + 1_000_000
    return message


def rows(message: Any, signal: Signal = Signal.TRACES, **options: Any) -> list[dict[str, Any]]:
    batch = read(signal, message.SerializeToString(), now_ns=NOW, **options)
    staged = {Signal.TRACES: "incoming_spans", Signal.LOGS: "incoming_logs", Signal.METRICS: "incoming_points"}
    found: list[dict[str, Any]] = batch.tables[staged[signal]].to_pylist()
    return found


# Keys of the contract become columns of their own.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda text: "." not in text)
SCALAR = st.one_of(TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=6))


@given(st.lists(st.lists(st.tuples(TEXT, SCALAR), max_size=5), min_size=1, max_size=5))
@example([[("Pin", 0), ("Pins", 0)], [("Pin", 0.5)], [("Pin", True)]])  # a name that hides what it names
@settings(deadline=None, max_examples=300)
def test_attributes_come_back_as_they_were_given(rows_given: list[list[tuple[str, Any]]]) -> None:
    message = spans(len(rows_given))
    for span, given_pairs in zip(message.resource_spans[0].scope_spans[0].spans, rows_given, strict=True):
        for key, value in given_pairs:
            kind = {str: "string", bool: "bool", int: "int", float: "double", bytes: "bytes"}[type(value)]
            setattr(span.attributes.add(key=key).value, f"{kind}_value", value)
    for row, given_pairs in zip(rows(message), rows_given, strict=True):
        stored = json.loads(row["attributes"])
        expected = dict(given_pairs)
        assert set(stored) == set(expected)
        for key, value in expected.items():
            if hides_value(key, value):
                assert stored[key] == REDACTED
            elif isinstance(value, bytes):
                assert isinstance(stored[key], str)
            elif isinstance(value, float) and not math.isfinite(value):
                assert stored[key] in {"nan", "inf", "-inf"}
            elif isinstance(value, float):
                assert float(stored[key]) == pytest.approx(value)
            else:
                assert stored[key] == value
        # And DuckDB takes it for a map of texts, which is what the views show.
        shown = duckdb.sql("""select from_json($a, '"MAP(VARCHAR, VARCHAR)"')""", params={"a": row["attributes"]})
        assert len(shown.fetchall()[0][0]) == len(expected)


def test_nested_values_keep_their_shape() -> None:
    message = spans()
    value = message.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="nested").value
    for text in ("a", 'quote " and \\'):
        value.kvlist_value.values.add(key=text).value.array_value.values.add(string_value=text)
    value.kvlist_value.values.add(key="n").value.double_value = math.nan
    stored = json.loads(rows(message)[0]["attributes"])
    assert stored == {"nested": {"a": ["a"], 'quote " and \\': ['quote " and \\'], "n": "nan"}}


@pytest.mark.parametrize(
    ("given_ns", "stored_ns", "adjusted"),
    [
        (NOW - 10**9, NOW - 10**9, False),
        (NOW + MAX_AHEAD_NS, NOW + MAX_AHEAD_NS, False),
        (NOW + MAX_AHEAD_NS + 1, NOW, True),
        (2**64 - 1, NOW, True),
        (0, NOW, True),
        (NOW - MAX_AGE_NS, NOW - MAX_AGE_NS, False),
    ],
)
def test_a_clock_is_believed_within_bounds_and_flagged_beyond(given_ns: int, stored_ns: int, adjusted: bool) -> None:
    message = spans()
    span = message.resource_spans[0].scope_spans[0].spans[0]
    span.start_time_unix_nano, span.end_time_unix_nano = given_ns, min(given_ns + 5_000_000, 2**64 - 1)
    row = rows(message)[0]
    assert (row["started_at"] - row["received_at"]).total_seconds() == pytest.approx((stored_ns - NOW) / 1e9)
    assert row["clock_adjusted"] is adjusted
    if given_ns < 2**63:
        assert row["duration_ns"] == (5_000_000 if given_ns else 0)  # without a start it has no length


@pytest.mark.parametrize("signal", list(Signal))
def test_what_is_older_than_anything_kept_is_refused_with_a_reason(signal: Signal) -> None:
    old = NOW - MAX_AGE_NS - 1
    message: Any
    if signal is Signal.TRACES:
        message = spans(2)
        message.resource_spans[0].scope_spans[0].spans[0].start_time_unix_nano = old
    elif signal is Signal.LOGS:
        message = logs_service_pb2.ExportLogsServiceRequest()
        scope = message.resource_logs.add().scope_logs.add()
        for at in (old, NOW):
            scope.log_records.add(time_unix_nano=at)
    else:
        message = metrics_service_pb2.ExportMetricsServiceRequest()
        metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
        for at in (old, NOW):
            metric.gauge.data_points.add(time_unix_nano=at, as_int=1)
    batch = read(signal, message.SerializeToString(), now_ns=NOW)
    assert (batch.accepted, batch.rejected, batch.reason) == (1, 1, "1: too old to be kept")


def test_a_clock_set_back_within_a_span_makes_no_negative_duration() -> None:
    message = spans()
    message.resource_spans[0].scope_spans[0].spans[0].end_time_unix_nano = NOW - 10**9
    assert rows(message)[0]["duration_ns"] == 0


def test_bounds_and_buckets_that_do_not_fit_are_refused() -> None:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    metric.histogram.data_points.add(time_unix_nano=NOW, count=3, bucket_counts=[1, 2], explicit_bounds=[1.0])
    metric.histogram.data_points.add(time_unix_nano=NOW, count=3, bucket_counts=[1, 2], explicit_bounds=[1.0, 2.0])
    metric.histogram.data_points.add(time_unix_nano=NOW, count=3)
    batch = read(Signal.METRICS, message.SerializeToString(), now_ns=NOW)
    assert (batch.accepted, batch.rejected) == (2, 1)
    assert "one entry more" in batch.reason


def identified(
    sources: tuple[str, ...], resource: dict[str, str], own: dict[str, str]
) -> tuple[str | None, str | None]:
    message = spans()
    group = message.resource_spans[0]
    for key, value in resource.items():
        group.resource.attributes.add(key=key).value.string_value = value
    group.scope_spans[0].scope.name, group.scope_spans[0].scope.version = "scoped", "3.0"
    for key, value in own.items():
        group.scope_spans[0].spans[0].attributes.add(key=key).value.string_value = value
    row = rows(message, identity=Identity(sources))[0]
    return row["plugin_id"], row["plugin_version"]


def test_the_first_source_that_is_there_names_the_plugin() -> None:
    standard = Identity().sources
    assert identified(standard, {}, {"plugin.id": "csv", "plugin.version": "1"}) == ("csv", "1")
    assert identified(standard, {}, {"gen_ai.tool.name": "search"}) == ("search", None)
    assert identified(standard, {"faas.name": "resize", "faas.version": "7"}, {}) == ("resize", "7")
    assert identified(standard, {"faas.name": "resize"}, {"plugin.id": "csv"}) == ("csv", None)
    assert identified(standard, {"service.name": "shop"}, {}) == (None, None)
    assert identified(("plugin.id", "scope.name"), {}, {}) == ("scoped", "3.0")
    assert identified(("plugin.id", "scope.name"), {}, {"plugin.id": "csv"}) == ("csv", None)
    both = {"service.name": "shop", "service.version": "9"}
    assert identified(("service.name",), both, {}) == ("shop", "9")
    assert identified(("service.name",), both, {"plugin.version": "2"}) == ("shop", "2")


def spoiled(body: bytes, word: bytes) -> bytes:
    at = body.index(word)
    return body[:at] + b"\xff\xfe" + body[at + 2 :]


@given(st.sets(st.integers(0, 39), max_size=12))
@settings(deadline=None, max_examples=40)
def test_a_poisoned_record_does_not_take_its_batch_with_it(bad: set[int]) -> None:
    message = spans(20)
    other = message.resource_spans.add()
    other.resource.attributes.add(key="service.name").value.string_value = "second"
    for number in range(20, 40):
        span = other.scope_spans.add().spans.add(trace_id=os.urandom(16), span_id=os.urandom(8), name=f"span {number}")
        span.start_time_unix_nano = NOW
    body = message.SerializeToString()
    for number in bad:
        name = b"span %d" % number
        at = body.index(bytes([len(name)]) + name) + 1
        body = body[:at] + b"\xff" + body[at + 1 :]
    batch = read(Signal.TRACES, body, now_ns=NOW)
    assert (batch.accepted, batch.rejected) == (40 - len(bad), len(bad))
    names = set(batch.tables["incoming_spans"]["name"].to_pylist())
    assert names == {f"span {number}" for number in range(40) if number not in bad}
    services = set(batch.tables["incoming_spans"]["service_name"].to_pylist())
    assert services <= {"unknown_service", "second"}


def test_a_request_that_is_poison_throughout_is_malformed() -> None:
    message = spans(3)
    body = message.SerializeToString()
    for number in range(3):
        body = spoiled(body, b"span %d" % number)
    with pytest.raises(MalformedTelemetryError, match="UTF-8"):
        read(Signal.TRACES, body, now_ns=NOW)
    with pytest.raises(MalformedTelemetryError):
        read(Signal.TRACES, b"\xff\xff\xff", now_ns=NOW)


def metrics(numbers: list[int], service: str) -> bytes:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    group = message.resource_metrics.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    scope = group.scope_metrics.add()
    for number in numbers:
        point = scope.metrics.add(name=f"gauge {number}").gauge.data_points.add(time_unix_nano=NOW, as_int=number)
        point.attributes.add(key="n").value.int_value = number
        scope.metrics.add(name=f"sum {number}").sum.data_points.add(time_unix_nano=NOW, as_double=number)
    return message.SerializeToString()


@given(st.lists(st.lists(st.integers(0, 99), max_size=4), min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_requests_decoded_at_once_are_what_each_is_by_itself(given_numbers: list[list[int]]) -> None:
    bodies = [metrics(numbers, f"service {place}") for place, numbers in enumerate(given_numbers)]
    together = read_many(Signal.METRICS, bodies, now_ns=NOW)
    assert together is not None
    for body, batch in zip(bodies, together, strict=True):
        alone = read(Signal.METRICS, body, now_ns=NOW)
        assert (batch.accepted, batch.rejected) == (alone.accepted, alone.rejected)
        assert set(batch.tables) == set(alone.tables)
        for name, table in alone.tables.items():
            assert sorted(map(str, batch.tables[name].to_pylist())) == sorted(map(str, table.to_pylist()))


def test_one_bad_request_sends_all_of_them_the_long_way() -> None:
    good = metrics([1], "any")
    assert read_many(Signal.METRICS, [good, b"\xff"], now_ns=NOW) is None
    assert read_many(Signal.LOGS, [b"", b""], now_ns=NOW) is None


@pytest.mark.parametrize("general", [False, True], ids=["native", "general"])
@pytest.mark.parametrize("key", ["service.name", "plugin.id"])
def test_a_name_said_once_does_not_fill_the_memory_in_every_row(
    key: str, general: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUGWARDEN_NATIVE", "0" if general else "1")
    native._library.cache_clear()
    message = spans(4_000)
    message.resource_spans[0].resource.attributes.add(key=key).value.string_value = "x" * 20_000
    try:
        with pytest.raises(PayloadTooLargeError, match="smaller batches"):
            read(Signal.TRACES, message.SerializeToString(), now_ns=NOW)
        message.resource_spans[0].resource.attributes[0].value.string_value = "x" * 2_000
        batch = read(Signal.TRACES, message.SerializeToString(), now_ns=NOW)
        # A name of that length can be a service's; as a plugin's it is refused, record by record.
        assert (batch.accepted, batch.rejected) == ((4_000, 0) if key == "service.name" else (0, 4_000))
    finally:
        native._library.cache_clear()


def nested(field_numbers: list[int], body: bytes) -> bytes:
    for number in field_numbers:
        size, length = bytearray(), len(body)
        while length > 127:
            size.append(length & 127 | 128)
            length >>= 7
        body = bytes([number << 3 | 2]) + bytes([*size, length]) + body
    return body


@pytest.mark.parametrize(
    ("signal", "body"),
    [
        (Signal.METRICS, nested([5, 2, 2, 1], b"\x0a\x00" * (2**20 + 1))),  # points of a gauge
        (Signal.LOGS, nested([2, 1], b"\x12\x00" * (2**20 + 1))),
        (Signal.TRACES, b"\x0a\x00" * (2**16 + 1)),  # resources
    ],
    ids=["points", "records", "resources"],
)
def test_two_bytes_that_make_a_row_are_not_taken_by_the_million(signal: Signal, body: bytes) -> None:
    with pytest.raises(PayloadTooLargeError, match="smaller batches"):
        read(signal, body, now_ns=NOW)
