"""Names at the door, and what the data model says of spans: a record that cannot be meant is refused by itself, on every way in."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden.contract import name_fault
from plugwarden.contract.names import MAX_NAME
from plugwarden_collector.clock import utc_now
from plugwarden_collector.errors import MalformedTelemetryError
from plugwarden_collector.health.arrivals import Arrivals
from plugwarden_collector.receive.decode import native
from plugwarden_collector.receive.decode.half_pairs import InPart, to_protobuf_in_part
from plugwarden_collector.receive.decode.identity import Identity
from plugwarden_collector.receive.decode.json_form import to_protobuf
from plugwarden_collector.receive.decode.requests import Batch, Signal, read, read_many

from tests.collector.conftest import Running
from tests.collector.support.otlp_requests import NOW
from tests.share import repetitions
from tests.sidecar.support.bad_names import BAD

STAGED = {Signal.TRACES: "incoming_spans", Signal.METRICS: "incoming_points", Signal.LOGS: "incoming_logs"}
PARTS = {
    "plugin.id": "plugin",
    "plugin.version": "version",
    "plugin.operation": "operation",
    "tenant.id": "tenant",
}


@pytest.fixture(params=["C", "Python"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both decoders."""
    monkeypatch.setenv("PLUGWARDEN_NATIVE", "0" if request.param == "Python" else "1")
    native._library.cache_clear()
    yield request.param
    monkeypatch.undo()
    native._library.cache_clear()


def requested(signal: Signal, records: list[dict[str, str]], resource: dict[str, str] | None = None) -> Any:
    """A request of one record a dictionary of attributes."""
    message: Any
    if signal is Signal.TRACES:
        message = trace_service_pb2.ExportTraceServiceRequest()
        group = message.resource_spans.add()
        scope = group.scope_spans.add()
        leaves = [
            scope.spans.add(trace_id=b"t" * 16, span_id=bytes([1 + number]) * 8, name="call")
            for number in range(len(records))
        ]
        for leaf in leaves:
            leaf.start_time_unix_nano, leaf.end_time_unix_nano = NOW - 10**9, NOW
    elif signal is Signal.METRICS:
        message = metrics_service_pb2.ExportMetricsServiceRequest()
        group = message.resource_metrics.add()
        scope = group.scope_metrics.add()
        metric = scope.metrics.add(name="m")
        leaves = [metric.gauge.data_points.add(time_unix_nano=NOW, as_int=1) for _ in records]
    else:
        message = logs_service_pb2.ExportLogsServiceRequest()
        group = message.resource_logs.add()
        scope = group.scope_logs.add()
        leaves = [scope.log_records.add(time_unix_nano=NOW) for _ in records]
    scope.scope.name = "lib"
    for leaf, pairs in zip(leaves, records, strict=True):
        for key, value in pairs.items():
            leaf.attributes.add(key=key).value.string_value = value
    for key, value in (resource or {}).items():
        group.resource.attributes.add(key=key).value.string_value = value
    return message


GOOD = {"plugin.id": "geo", "plugin.version": "1", "plugin.operation": "lookup", "tenant.id": "acme"}


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("form", ["protobuf", "JSON"])
@pytest.mark.parametrize("key", PARTS)
def test_a_record_under_a_bad_name_is_refused_by_itself_with_field_and_reason(
    way: str, signal: Signal, form: str, key: str
) -> None:
    for name in BAD.values():
        fault = name_fault(PARTS[key], name)
        try:
            name.encode()
        except UnicodeEncodeError:
            continue  # protobuf's own texts cannot hold it; JSON's are refused, see below
        message = requested(signal, [GOOD, {**GOOD, key: name}, GOOD])
        body = message.SerializeToString()
        if form == "JSON":
            body = to_protobuf(signal, as_json(message))
        batch = read(signal, body, now_ns=NOW)
        if fault is None:
            assert batch.accepted == 3
            continue
        assert (batch.accepted, batch.rejected) == (2, 1), name
        assert key in batch.reason
        assert fault in batch.reason
        ids = batch.tables[STAGED[signal]]["plugin_id"].to_pylist()
        assert ids == ["geo", "geo"]
        together = read_many(signal, [requested(signal, [GOOD]).SerializeToString(), body], now_ns=NOW)
        assert together is None or [one.accepted for one in together] == [1, 2]


@pytest.mark.parametrize("signal", Signal)
def test_a_word_that_names_nothing_is_cut_where_a_name_would_be_refused(way: str, signal: Signal) -> None:
    words = ["plugin.outcome", "plugin.error.source", "error.type", "plugin.downstream"]
    long = {**GOOD, **dict.fromkeys(words, "é" * 100000)}
    body = requested(signal, [GOOD, long], {"service.name": "s" * 100_000}).SerializeToString()
    together = read_many(signal, [body, body], now_ns=NOW) or []
    for batch in [read(signal, body, now_ns=NOW), *together]:
        assert (batch.accepted, batch.rejected) == (2, 0)
        rows = batch.tables[STAGED[signal]]
        assert {len(name) for name in rows["service_name"].to_pylist()} == {MAX_NAME}
        for column in {"outcome", "error_source", "error_type", "downstream"} & {*rows.schema.names}:
            assert rows[column].to_pylist()[1] in (None, "é" * MAX_NAME)


def as_json(message: Any) -> bytes:
    """OTLP's form: ids are hex, and protobuf's own mapping has them in base64."""
    document = json.loads(json_format.MessageToJson(message))
    for group in document.get("resourceSpans", []):
        for scope in group["scopeSpans"]:
            for number, span in enumerate(scope["spans"]):
                span["traceId"], span["spanId"] = "74" * 16, f"{1 + number:02x}" * 8
    return json.dumps(document).encode()


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("where", ["name", "other"])
def test_a_record_with_half_a_surrogate_pair_is_refused_by_itself(shared: Running, signal: Signal, where: str) -> None:
    """Also where the text names nothing: a JavaScript client that cuts texts must not lose its batch."""
    own = f"half-{signal}-{where}"
    torn = {**GOOD, "plugin.id": "PLACE"} if where == "name" else {**GOOD, "plugin.id": own, "url": "PLACE"}
    message = requested(signal, [{**GOOD, "plugin.id": own}, torn, {**GOOD, "plugin.id": own}], {"service.name": own})
    for leaf in leaves_of(message, signal):
        shift_to_now(leaf)
    body = as_json(message).replace(b"PLACE", b"cut\\ud83d")
    answer = httpx2.post(f"{shared.http}/v1/{signal}", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    partial = answer.json()["partialSuccess"]
    assert next(int(value) for key, value in partial.items() if key.startswith("rejected")) == 1
    assert partial["errorMessage"].startswith("1: a text with half of a surrogate pair; the first is resource")
    view = {Signal.TRACES: "spans", Signal.METRICS: "metric_points", Signal.LOGS: "logs"}[signal]
    rows = shared.api.query(f"select count(*)::bigint as n from {view} where plugin_id = '{own}'").to_pylist()
    assert rows == [{"n": 2}]


def leaves_of(message: Any, signal: Signal) -> list[Any]:
    scope = getattr(getattr(message, f"resource_{_leaf(signal)}")[0], f"scope_{_leaf(signal)}")[0]
    if signal is Signal.METRICS:
        return list(scope.metrics[0].gauge.data_points)
    return list(scope.spans if signal is Signal.TRACES else scope.log_records)


def shift_to_now(leaf: Any) -> None:
    for field in ("time_unix_nano", "start_time_unix_nano", "end_time_unix_nano"):
        if field in leaf.DESCRIPTOR.fields_by_name:
            setattr(leaf, field, time.time_ns() - 10**9)


def test_half_a_surrogate_pair_around_the_records_is_refused_with_its_field() -> None:
    message = requested(Signal.LOGS, [GOOD], {"service.name": "PLACE"})
    with pytest.raises(MalformedTelemetryError, match="half a surrogate pair") as raised:
        to_protobuf_in_part(Signal.LOGS, as_json(message).replace(b"PLACE", b"geo\\ud83d"))
    assert raised.value.field == "resourceLogs[0].resource.attributes[0].value.stringValue"


@pytest.mark.parametrize(
    "also", [b'"name": "b", "name": "c"', b'"kind": NaN', b'"kind": ' + b"9" * 5_000, b'"kind": "x"']
)
def test_what_else_is_wrong_with_a_request_refuses_all_of_it(also: bytes) -> None:
    torn = b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "cut\\ud83d"}, {%s}]}]}]}' % also
    with pytest.raises(MalformedTelemetryError):
        to_protobuf_in_part(Signal.TRACES, torn)


def test_a_metric_whose_own_text_is_torn_costs_its_points_and_no_others() -> None:
    message = requested(Signal.METRICS, [GOOD, GOOD])
    other = message.resource_metrics[0].scope_metrics[0].metrics.add(name="PLACE")
    other.gauge.data_points.add(time_unix_nano=NOW, as_int=1)
    body = to_protobuf_in_part(Signal.METRICS, as_json(message).replace(b"PLACE", b"cut\\ud83d"))
    assert isinstance(body, InPart)
    assert body.refused == 1
    assert read(Signal.METRICS, body, now_ns=NOW).accepted == 2


@pytest.mark.parametrize("signal", Signal)
def test_a_process_whose_id_cannot_stand_in_a_scope_sends_no_calls(way: str, signal: Signal) -> None:
    records = [GOOD, {"other": "no plugin's"}]
    batch = read(signal, requested(signal, records, {"service.instance.id": "i" * 201}).SerializeToString(), now_ns=NOW)
    assert (batch.accepted, batch.rejected) == (1, 1)
    assert batch.reason == "1: service.instance.id: is longer than 200 characters"
    assert (
        read(signal, requested(signal, records, {"service.instance.id": ""}).SerializeToString(), now_ns=NOW).accepted
        == 2
    )


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize(
    ("sources", "resource", "scope"),
    [
        (("scope.name",), {}, ("x" * 201, "1")),
        (("scope.name",), {}, ("geo", "1\x1b")),
        (("service.name",), {"service.name": "\u202egeo"}, ("", "")),
        (("service.name",), {"service.name": "geo", "service.version": "1" * 1_200}, ("", "")),
        (("faas.name",), {"faas.name": "a\nb"}, ("", "")),
    ],
)
def test_what_names_a_plugin_in_another_place_follows_the_same_rule(
    way: str, signal: Signal, sources: tuple[str, ...], resource: dict[str, str], scope: tuple[str, str]
) -> None:
    message = requested(signal, [{}], resource)
    group = getattr(message, f"resource_{_leaf(signal)}")[0]
    inner = getattr(group, f"scope_{_leaf(signal)}")[0]
    inner.scope.name, inner.scope.version = scope
    batch = read(signal, message.SerializeToString(), identity=Identity(sources), now_ns=NOW)
    assert (batch.accepted, batch.rejected) == (0, 1)
    assert "in its place" in batch.reason


def _leaf(signal: Signal) -> str:
    return {Signal.TRACES: "spans", Signal.METRICS: "metrics", Signal.LOGS: "logs"}[signal]


@pytest.mark.parametrize("signal", Signal)
def test_an_empty_stand_in_names_no_plugin_and_costs_nothing(way: str, signal: Signal) -> None:
    batch = read(
        signal, requested(signal, [{"gen_ai.tool.name": ""}], {"faas.name": "geo"}).SerializeToString(), now_ns=NOW
    )
    assert batch.tables[STAGED[signal]]["plugin_id"].to_pylist() == ["geo"]


def test_refused_names_are_counted_by_reason() -> None:
    arrivals = Arrivals(utc_now)
    bad = [{**GOOD, "plugin.id": ""}, {**GOOD, "plugin.version": "1" * 300}, {**GOOD, "plugin.version": "2" * 300}]
    batch = read(Signal.LOGS, requested(Signal.LOGS, bad).SerializeToString(), now_ns=NOW)
    arrivals.taken([(batch, 0.1)])
    assert dict(arrivals.refused) == {
        ("logs", "plugin.id (or what names the plugin in its place): is empty"): 1,
        ("logs", "plugin.version (or what names the version in its place): is longer than 200 characters"): 2,
    }


WILD = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(
    [name for name in BAD.values() if name.isascii() or not any("\ud800" <= c <= "\udfff" for c in name)]
)


@given(
    st.sampled_from(list(Signal)), st.lists(st.dictionaries(st.sampled_from(list(PARTS)), WILD), min_size=1, max_size=4)
)
@settings(deadline=None, max_examples=repetitions(300), suppress_health_check=[HealthCheck.too_slow])
def test_what_is_stored_can_be_named_and_what_can_be_named_is_stored(
    signal: Signal, records: list[dict[str, str]]
) -> None:
    batch = read(signal, requested(signal, records).SerializeToString(), now_ns=NOW)
    good = [record for record in records if all(name_fault(PARTS[key], name) is None for key, name in record.items())]
    assert (batch.accepted, batch.rejected) == (len(good), len(records) - len(good))
    kept = batch.tables[STAGED[signal]]["plugin_id"].to_pylist() if good else []
    assert kept == [record.get("plugin.id") for record in good]


# -- what trace.proto says of spans --------------------------------------------------------------------------------------


def one_span(**fields: Any) -> Batch:
    message = requested(Signal.TRACES, [GOOD])
    span = message.resource_spans[0].scope_spans[0].spans[0]
    for name, value in fields.items():
        setattr(span, name, value)
    return read(Signal.TRACES, message.SerializeToString(), now_ns=NOW)


@pytest.mark.parametrize(("field", "width"), [("trace_id", 16), ("span_id", 8)])
def test_an_id_of_all_zeros_is_refused(way: str, field: str, width: int) -> None:
    batch = one_span(**{field: bytes(width)})
    assert (batch.accepted, batch.reason) == (0, f"1: {field} must not be all zeros")


def test_a_parent_of_all_zeros_is_none(way: str) -> None:
    assert one_span(parent_span_id=bytes(8)).tables["incoming_spans"]["parent_span_id"].to_pylist() == [None]


def test_a_record_of_a_trace_of_all_zeros_is_outside_of_any(way: str) -> None:
    message = requested(Signal.LOGS, [GOOD])
    record = message.resource_logs[0].scope_logs[0].log_records[0]
    record.trace_id, record.span_id = bytes(16), bytes(8)
    rows = read(Signal.LOGS, message.SerializeToString(), now_ns=NOW).tables["incoming_logs"]
    assert rows.select(["trace_hi", "trace_lo", "span_id"]).to_pylist() == [
        dict.fromkeys(("trace_hi", "trace_lo", "span_id"))
    ]


def test_an_exemplar_of_a_trace_of_all_zeros_names_none(way: str) -> None:
    message = requested(Signal.METRICS, [GOOD])
    point = message.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
    point.exemplars.add(trace_id=bytes(16), as_int=1)
    rows = read(Signal.METRICS, message.SerializeToString(), now_ns=NOW).tables["incoming_points"]
    assert rows["exemplar_trace_hi"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("start", "end", "started", "duration_ns", "adjusted"),
    [
        (NOW - 5_000_000, NOW, NOW - 5_000_000, 5_000_000, False),
        (0, NOW - 7_000, NOW - 7_000, 0, True),  # without a start it has no length; it was over then
        (0, 0, NOW, 0, True),
        (NOW - 5_000_000, 0, NOW - 5_000_000, 0, True),
        (NOW - 5_000_000, NOW - 6_000_000, NOW - 5_000_000, 0, True),  # a clock that was set back
        (NOW, NOW, NOW, 0, False),
        (0, 2**64 - 1, NOW, 0, True),
        (0, 5_000_000, NOW, 0, True),  # and what it says of its end cannot be meant either
    ],
)
def test_a_span_lasts_no_longer_than_its_sender_can_have_meant(
    way: str, start: int, end: int, started: int, duration_ns: int, adjusted: bool
) -> None:
    batch = one_span(start_time_unix_nano=start, end_time_unix_nano=end)
    (row,) = batch.tables["incoming_spans"].select(["started_at", "duration_ns", "clock_adjusted"]).to_pylist()
    at = datetime.fromtimestamp(started / 1e9, UTC).replace(tzinfo=None)
    assert abs((row["started_at"] - at).total_seconds()) < 1e-5
    assert (row["duration_ns"], row["clock_adjusted"], batch.adjusted) == (duration_ns, adjusted, int(adjusted))


# -- names of fields before OTLP 1.0 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signal", "document", "told"),
    [
        (
            Signal.TRACES,
            {"resourceSpans": [{"instrumentationLibrarySpans": []}]},
            "resourceSpans[0].instrumentationLibrarySpans: write scopeSpans",
        ),
        (
            Signal.METRICS,
            {"resourceMetrics": [{"instrumentation_library_metrics": []}]},
            "resourceMetrics[0].instrumentation_library_metrics: write scopeMetrics",
        ),
        (
            Signal.LOGS,
            {"resourceLogs": [{"instrumentation_library_logs": []}]},
            "resourceLogs[0].instrumentation_library_logs: write scopeLogs",
        ),
        (
            Signal.TRACES,
            {"resourceSpans": [{"scopeSpans": [{"instrumentationLibrary": {"name": "x"}}]}]},
            "resourceSpans[0].scopeSpans[0].instrumentationLibrary: write scope",
        ),
        (
            Signal.LOGS,
            {"resourceLogs": [{"scopeLogs": [{"logs": []}]}]},
            "resourceLogs[0].scopeLogs[0].logs: write logRecords",
        ),
        (
            Signal.METRICS,
            {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"intGauge": {}}]}]}]},
            "resourceMetrics[0].scopeMetrics[0].metrics[0].intGauge: write gauge",
        ),
    ],
)
def test_an_old_name_in_json_is_refused_with_the_one_to_write(signal: Signal, document: Any, told: str) -> None:
    with pytest.raises(MalformedTelemetryError) as raised:
        to_protobuf(signal, json.dumps(document).encode())
    assert told in str(raised.value)


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("beside", [True, False])
def test_the_old_field_of_protobuf_is_refused_with_the_one_to_write(way: str, signal: Signal, beside: bool) -> None:
    old = bytes([0xC2, 0x3E, 0x02, 0x0A, 0x00])  # field 1000, two bytes long: an empty library
    group = getattr(requested(signal, [GOOD]), f"resource_{_leaf(signal)}")[0].SerializeToString() if beside else b""
    body = group + old
    assert len(body) < 2**14
    length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 0x7F | 0x80, len(body) >> 7])
    with pytest.raises(MalformedTelemetryError) as raised:
        read(signal, b"\x0a" + length + body, now_ns=NOW)
    assert f"instrumentation_library_{_leaf(signal)}" in str(raised.value)
    assert f"write scope_{_leaf(signal)}" in str(raised.value)
