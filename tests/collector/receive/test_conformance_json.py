"""OTLP/JSON: what the specification asks, and what is refused with the field that is wrong."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from plugwarden_collector.errors import MalformedTelemetryError
from plugwarden_collector.receive.decode.json_form import MAX_DEPTH, to_protobuf
from plugwarden_collector.receive.decode.requests import REQUESTS, Signal

SPAN = "resourceSpans[0].scopeSpans[0].spans[0]"


def traces(**span: Any) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def span(document: bytes) -> Any:
    found = REQUESTS[Signal.TRACES].FromString(to_protobuf(Signal.TRACES, document))
    return found.resource_spans[0].scope_spans[0].spans[0]


def wrong(document: bytes, signal: Signal = Signal.TRACES) -> MalformedTelemetryError:
    with pytest.raises(MalformedTelemetryError) as caught:
        to_protobuf(signal, document)
    return caught.value


def test_ids_are_hex_in_either_case() -> None:
    found = span(traces(traceId="5B8EFFF798038103d269b633813fc60C", spanId="EEE19B7EC3C1B174", parentSpanId=""))
    assert found.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert (found.span_id.hex(), found.parent_span_id) == ("eee19b7ec3c1b174", b"")


@pytest.mark.parametrize("value", [1, "1", 1.0, "01"])
def test_whole_numbers_are_numbers_or_strings(value: Any) -> None:
    assert span(traces(startTimeUnixNano=value)).start_time_unix_nano == 1


def test_64_bits_are_kept_to_the_last() -> None:
    assert span(traces(startTimeUnixNano=str(2**64 - 1))).start_time_unix_nano == 2**64 - 1
    assert span(traces(startTimeUnixNano=2**64 - 1)).start_time_unix_nano == 2**64 - 1
    found = span(traces(attributes=[{"key": "n", "value": {"intValue": str(-(2**63))}}]))
    assert found.attributes[0].value.int_value == -(2**63)


def test_unknown_keys_are_ignored_and_null_is_the_default() -> None:
    found = span(traces(fromTheFuture={"a": [1, None]}, name=None, kind=77, attributes=None))
    assert (found.name, found.kind, len(found.attributes)) == ("", 77, 0)


@pytest.mark.parametrize("text", ["AP8-_w==", "AP8+/w==", "AP8-_w", "AP8+/w"])
def test_bytes_are_base64_of_either_alphabet_padded_or_not(text: str) -> None:
    found = span(traces(attributes=[{"key": "b", "value": {"bytesValue": text}}]))
    assert found.attributes[0].value.bytes_value == base64.b64decode("AP8+/w==")


def test_values_of_every_kind_arrive() -> None:
    values: list[dict[str, Any]] = [
        {"stringValue": "ä\U0001f600"}, {"boolValue": True}, {"intValue": 7}, {"doubleValue": 0.5},
        {"doubleValue": "NaN"}, {"doubleValue": "-Infinity"}, {"doubleValue": "1e3"}, {"doubleValue": 7},
        {"arrayValue": {"values": [{"intValue": "1"}, {}]}},
        {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}, {"key": "none"}]}}, {},
    ]  # fmt: skip
    found = span(traces(attributes=[{"key": str(index), "value": value} for index, value in enumerate(values)]))
    kinds = [item.value.WhichOneof("value") for item in found.attributes]
    assert kinds == [
        "string_value", "bool_value", "int_value", "double_value", "double_value", "double_value", "double_value",
        "double_value", "array_value", "kvlist_value", None,
    ]  # fmt: skip
    assert found.attributes[0].value.string_value == "ä\U0001f600"
    assert found.attributes[5].value.double_value == float("-inf")
    assert found.attributes[6].value.double_value == 1000


def test_values_nest_to_a_depth_that_is_told() -> None:
    def nested(depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {"stringValue": "deep"}
        for _ in range(depth):
            value = {"arrayValue": {"values": [value]}}
        return {"key": "k", "value": value}

    assert span(traces(attributes=[nested(MAX_DEPTH - 1)])).attributes[0].value.HasField("array_value")
    assert f"nested deeper than {MAX_DEPTH}" in str(wrong(traces(attributes=[nested(MAX_DEPTH)])))
    assert "too deeply" in str(wrong(b"[" * 100_000))
    assert "too deeply" in str(wrong(b'{"a":' * 100_000))


@pytest.mark.parametrize(
    ("fields", "where", "text"),
    [
        ({"traceId": "5b8z"}, "traceId", "'5b8z' is not hex"),
        ({"spanId": 7}, "spanId", "must be a hex string, not a number"),
        ({"kind": "SPAN_KIND_SERVER"}, "kind", "must be the enum's number, not a string"),
        ({"kind": 2**40}, "kind", "no number of an enum"),
        ({"kind": True}, "kind", "must be the enum's number, not a boolean"),
        ({"name": 5}, "name", "must be a string, not a number"),
        ({"name": "\ud800"}, "name", "half a surrogate pair"),
        ({"start_time_unix_nano": 1}, "start_time_unix_nano", "write startTimeUnixNano"),
        ({"startTimeUnixNano": -1}, "startTimeUnixNano", "must be between 0 and"),
        ({"startTimeUnixNano": 2**64}, "startTimeUnixNano", "must be between 0 and"),
        ({"startTimeUnixNano": 1.5}, "startTimeUnixNano", "1.5 is not an integer"),
        ({"startTimeUnixNano": "1_0"}, "startTimeUnixNano", "'1_0' is not an integer"),
        ({"startTimeUnixNano": "١"}, "startTimeUnixNano", "is not an integer"),
        ({"flags": 2**32}, "flags", "must be between 0 and 4294967295"),
        ({"events": {}}, "events", "must be an array, not an object"),
        ({"events": [{"name": "a"}, 3]}, "events[1]", "must be an object, not a number"),
        ({"events": [None]}, "events[0]", "must be an object, not null"),
        ({"status": []}, "status", "must be an object, not an array"),
        ({"attributes": [{"key": "a", "value": {"stringValue": 1}}]}, "attributes[0].value.stringValue", "a string"),
        ({"attributes": [{"key": 1}]}, "attributes[0].key", "a string"),
        ({"attributes": [{"key": "a", "value": {"boolValue": 1}}]}, "attributes[0].value.boolValue", "true or false"),
        ({"attributes": [{"key": "a", "value": {"bytesValue": "*"}}]}, "attributes[0].value.bytesValue", "not base64"),
        ({"attributes": [{"key": "a", "value": {"intValue": 1, "boolValue": True}}]}, "attributes[0].value", "only one"),
        ({"attributes": [{"key": "a", "value": {"doubleValue": "nan"}}]}, "attributes[0].value.doubleValue", "'nan'"),
        ({"attributes": [{"key": "a", "value": {"doubleValue": 10**399}}]}, "attributes[0].value.doubleValue", "larger"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(fields: dict[str, Any], where: str, text: str) -> None:
    error = wrong(traces(**fields))
    assert error.field == f"{SPAN}.{where}"
    assert text in str(error)


@pytest.mark.parametrize(
    ("member", "where", "text"),
    [
        ('"name": "a", "name": "b"', "", "key 'name' is given twice"),
        ('"startTimeUnixNano": NaN', ".startTimeUnixNano", "NaN is no number in JSON"),
        ('"droppedEventsCount": -Infinity', ".droppedEventsCount", "-Infinity is no number in JSON"),
        ('"startTimeUnixNano": ' + "9" * 5000, ".startTimeUnixNano", "a number of 5000 digits"),
        ('"attributes": [{"key":"a","value":{"doubleValue": 1e999}}]', ".attributes[0].value.doubleValue", "larger"),
    ],
)
def test_what_is_no_json_is_named_too(member: str, where: str, text: str) -> None:
    error = wrong(traces(x=0).replace(b'"x": 0', member.encode()))
    assert error.field == SPAN + where
    assert text in str(error)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (b"", "not JSON"),
        (b"[]", "must be an object, not an array"),
        (b"null", "must be an object, not null"),
        (b'{"resourceSpans": [', "not JSON"),
        (b'{} {"a"', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        ('{"resourceSpans": []}'.encode("utf-16"), "not JSON"),
        (b'{"unknown": NaN}', "NaN is no number"),
        (b'{"unknown": {"a": 1, "a": 2}}', "'a' is given twice"),
        (b'{"resource_spans": []}', "resource_spans: write resourceSpans"),
    ],
)
def test_documents_that_are_none_are_refused(document: bytes, text: str) -> None:
    assert text in str(wrong(document))


def test_metrics_and_logs_have_their_fields_named() -> None:
    metrics = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {}, "sum": {}}]}]}]}
    error = wrong(json.dumps(metrics).encode(), Signal.METRICS)
    assert error.field == "resourceMetrics[0].scopeMetrics[0].metrics[0]"
    assert "only one of" in str(error)
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{}, {"severityNumber": "ERROR"}]}]}]}
    error = wrong(json.dumps(logs).encode(), Signal.LOGS)
    assert error.field == "resourceLogs[0].scopeLogs[0].logRecords[1].severityNumber"
