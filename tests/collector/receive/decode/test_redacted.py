"""Nothing that comes in is stored with secrets or personal data in it, whoever sent it; all else is stored to the letter."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from plugwarden.redaction import REDACTED, redact
from plugwarden_collector.receive.decode import redacted
from plugwarden_collector.receive.decode.batch import Signal
from plugwarden_collector.receive.decode.redacted import redacted_columns, redacted_json, redacted_log
from plugwarden_collector.receive.decode.requests import read, read_many
from plugwarden_collector.receive.decode.screen import suspects

from tests.sidecar.support.redaction_table import HARMLESS, PERSONAL, SECRETS

NOW = 1_790_000_000_000_000_000
ALL = SECRETS + PERSONAL
GONE = "hunter2secret99"
FILLER = [f"row {place} of table orders was read in {place / 7:.3f} s" for place in range(500)]


def trace_request(spans: int = 1, **attributes: Any) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "svc"
    group.resource.attributes.add(key="process.command_line").value.string_value = f"host --password {GONE}"
    scope = group.scope_spans.add()
    for place in range(spans):
        span = scope.spans.add(trace_id=b"t" * 16, span_id=(place + 1).to_bytes(8, "big"), name="GET /x")
        span.start_time_unix_nano, span.end_time_unix_nano = NOW - 10**9, NOW - 10**9 + 5
        span.attributes.add(key="n").value.string_value = FILLER[place % len(FILLER)] * (1 + place % 3)
    span.name = f"GET https://ann:{GONE}@x/"
    span.status.code, span.status.message = 2, f"password={GONE}"
    for key, value in attributes.items():
        span.attributes.add(key=key).value.string_value = value
    event = span.events.add(name="exception", time_unix_nano=NOW - 10**9)
    event.attributes.add(key="exception.message").value.string_value = f"cannot log in with password={GONE}"
    event.attributes.add(key="exception.type").value.string_value = "ValueError"
    link = span.links.add(trace_id=b"u" * 16, span_id=b"s" * 8)
    link.attributes.add(key="api_key").value.string_value = GONE
    return request


def stored(signal: Signal, body: bytes) -> str:
    return str({name: table.to_pylist() for name, table in read(signal, body, now_ns=NOW).tables.items()})


@pytest.fixture(params=["in C", "in general"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in general":
        monkeypatch.setattr("plugwarden_collector.receive.decode.requests.read_plain", lambda *asked: None)


@pytest.mark.parametrize("spans", [1, 40, 400])
def test_spans_events_links_and_resources_are_stored_without(way: None, spans: int) -> None:
    request = trace_request(spans, secret=GONE, ordinary="stays as it is", **{"url.full": f"https://a:{GONE}@x/?q=1"})
    found = stored(Signal.TRACES, request.SerializeToString())
    assert GONE not in found
    assert "stays as it is" in found
    assert f"https://a:{REDACTED}@x/?q=1" in found
    assert f"cannot log in with password={REDACTED}" in found
    assert "ValueError" in found
    assert all(text in found for text in FILLER[: min(spans, 300)])


def test_many_requests_at_once_are_stored_without() -> None:
    bodies = [trace_request(3, secret=GONE).SerializeToString() for _ in range(5)]
    batches = read_many(Signal.TRACES, bodies, now_ns=NOW)
    assert batches is not None
    tables = [table.to_pylist() for batch in batches for table in batch.tables.values()]
    assert GONE not in str(tables)
    assert str(tables).count(REDACTED) >= 25


def test_log_records_are_stored_without() -> None:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for place, (_, text, _) in enumerate(ALL):
        scope.log_records.add(time_unix_nano=NOW, severity_number=9).body.string_value = f"{text} #{place}"
    for text in FILLER:
        scope.log_records.add(time_unix_nano=NOW).body.string_value = text
    nested = scope.log_records.add(time_unix_nano=NOW)
    nested.body.kvlist_value.values.add(key="password").value.string_value = GONE
    nested.attributes.add(key="http.request.header.cookie").value.array_value.values.add().string_value = f"sid={GONE}"
    rows = read(Signal.LOGS, request.SerializeToString(), now_ns=NOW).tables["incoming_logs"].to_pylist()
    for row, (name, text, secret) in zip(rows, ALL, strict=False):
        assert secret not in row["body"], name
        assert row["body"].startswith(redact(text)[:10]), name
    assert [row["body"] for row in rows[len(ALL) : -1]] == FILLER
    assert json.loads(rows[-1]["body"]) == {"password": REDACTED}
    assert GONE not in str(rows[-1])
    json.loads(rows[-1]["attributes"])


def test_points_are_stored_without(way: None) -> None:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    point = metric.gauge.data_points.add(time_unix_nano=NOW, as_int=1)
    point.attributes.add(key="user").value.string_value = "ann@example.org"
    assert "ann@example.org" not in stored(Signal.METRICS, request.SerializeToString())


def test_names_stay_what_they_are(way: None) -> None:
    request = trace_request(
        1, **{"plugin.id": "ann@example.org", "plugin.operation": "token=abc123def456", "tenant.id": "+49 30 1234567"}
    )
    found = read(Signal.TRACES, request.SerializeToString(), now_ns=NOW).tables["incoming_spans"].to_pylist()[0]
    assert (found["plugin_id"], found["plugin_operation"], found["tenant_id"]) == (
        "ann@example.org", "token=abc123def456", "+49 30 1234567",
    )  # fmt: skip


def test_it_can_be_switched_off(way: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redacted, "enabled", lambda: False)
    assert GONE in stored(Signal.TRACES, trace_request(1, secret=GONE).SerializeToString())


def test_json_stays_json_and_everything_else_in_it_to_the_letter() -> None:
    text = '{"a":1.50e+7,"password":"x\\"y","pins":[{"pin":1234,"n":1234}],"k\\u0065y":"\\u00e4","gen_ai.usage.input_tokens":12,"ok":true}'
    assert redacted_json(text) == (
        '{"a":1.50e+7,"password":"[redacted]","pins":[{"pin":"[redacted]","n":1234}],"k\\u0065y":"\\u00e4",'
        '"gen_ai.usage.input_tokens":12,"ok":true}'
    )
    assert redacted_log(f'{{"msg": "password={GONE}"}}') == f'{{"msg": "password={REDACTED}"}}'
    assert redacted_log("{not json password=" + GONE) == "{not json password=" + REDACTED


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([text for _, text, _ in ALL]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(["password", "pin"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(), json_values, max_size=5), st.booleans())
def test_what_comes_out_is_json_of_the_same_shape(value: Any, ascii_only: bool) -> None:
    once = redacted_json(json.dumps(value, ensure_ascii=ascii_only))
    found = json.loads(once)
    assert list(found) == list(value)
    assert redacted_json(once) == once


def test_the_first_look_lets_nothing_go_that_would_be_masked() -> None:
    texts = [text for _, text, _ in ALL]
    for place in range(0, len(texts), 7):
        column = pa.array([*FILLER[:300], *texts[place : place + 7], *FILLER[:100]])
        assert {*range(300, 300 + len(texts[place : place + 7]))} <= {*suspects({"body": column})["body"].tolist()}
    beside = pa.array([text for pair in zip(texts, ["abc"] * len(texts), strict=True) for text in pair] + FILLER)
    assert {*range(0, 2 * len(texts), 2)} <= {*suspects({"body": beside})["body"].tolist()}
    assert "body" not in suspects({"body": pa.array(FILLER)})


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from([text for _, text, _ in ALL] + HARMLESS) | st.text(max_size=30), min_size=1, max_size=6
    ).map("".join)
)
def test_the_first_look_lets_no_mixture_go_either(text: str) -> None:
    kept = redact(text)
    body = text.encode("utf-8", "replace").decode()
    found = redacted_columns({"body": pa.array([body, *FILLER])})["body"][0].as_py()
    if kept != text and body == text and not text.startswith(("{", "[")):
        assert found == kept


def test_slices_nulls_and_empty_columns_are_no_trouble() -> None:
    column = pa.array(["x", None, f"password={GONE}", "", *FILLER]).slice(1)
    found = redacted_columns({"body": column, "name": pa.array([], pa.string())})
    assert found["body"].slice(0, 3).to_pylist() == [None, f"password={REDACTED}", ""]
    assert found["body"].slice(3).to_pylist() == FILLER
