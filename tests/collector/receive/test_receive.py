"""OTLP in: real clients, both transports, both encodings; what is wrong is refused with a reason."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from google.rpc import status_pb2
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from plugwarden import Sidecar
from plugwarden_collector.web.encoding import MAX_BODY_BYTES

from tests.collector.conftest import Running, running
from tests.collector.support.span_request import PROTOBUF, request


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_the_python_sdks_spans_arrive(collector: Running, transport: str) -> None:
    exporter: Any = (
        GrpcSpans(endpoint=collector.grpc, insecure=True)
        if transport == "grpc"
        else HttpSpans(endpoint=f"{collector.http}/v1/traces")
    )
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("any", "1.0")
    with tracer.start_as_current_span("outer", attributes={"n": 7, "list": ["a", "b"], "plugin.id": "csv"}) as outer:
        outer.add_event("halfway", {"percent": 50.5})
        with tracer.start_as_current_span("inner"):
            pass
    provider.shutdown()
    row = collector.api.query("select * from spans where name = 'outer'").to_pylist()[0]
    assert row["trace_id"] == f"{outer.get_span_context().trace_id:032x}"
    assert dict(row["attributes"]) == {"n": "7", "list": '["a","b"]'}
    assert row["plugin_id"] == "csv"
    assert row["events"][0]["name"] == "halfway"
    assert dict(row["events"][0]["attributes"]) == {"percent": "50.5"}
    parent = collector.scalar("select parent_span_id from spans where name = 'inner'")
    assert parent == row["span_id"]


def test_the_python_sdks_metrics_of_all_kinds_arrive(collector: Running) -> None:
    reader = PeriodicExportingMetricReader(HttpMetrics(endpoint=f"{collector.http}/v1/metrics"), 60_000)
    provider = MeterProvider([reader])
    meter = provider.get_meter("any")
    meter.create_counter("requests").add(3, {"path": "/"})
    meter.create_histogram("latency", explicit_bucket_boundaries_advisory=[1, 2]).record(1.5)
    meter.create_up_down_counter("depth").add(-2)
    provider.shutdown()
    rows = {row["metric"]: row for row in collector.api.query("select * from metric_points").to_pylist()}
    assert rows["requests"]["value"] == 3
    assert rows["requests"]["temporality"] == "cumulative"
    assert rows["latency"]["bucket_count"] == [0, 1, 0]
    assert rows["latency"]["explicit_bounds"] == [1.0, 2.0]
    assert rows["depth"]["value"] == -2


def test_json_with_hex_ids_arrives(collector: Running) -> None:
    at = time.time_ns() // 1000 * 1000
    document = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "js"}}]},
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": "5B8EFFF798038103D269B633813FC60C",
                                "spanId": "EEE19B7EC3C1B174",
                                "name": "from json",
                                "kind": 2,
                                "startTimeUnixNano": str(at),
                                "endTimeUnixNano": at + 500_000_000,
                                "aFieldFromTheFuture": True,
                            }
                        ]
                    }
                ],
            }
        ]
    }
    answer = httpx2.post(f"{collector.http}/v1/traces", json=document)
    assert (answer.status_code, answer.json()) == (200, {})
    row = collector.api.query("from spans where name = 'from json'").to_pylist()[0]
    assert row["trace_id"] == "5b8efff798038103d269b633813fc60c"
    assert (row["service_name"], row["kind"], row["duration_seconds"]) == ("js", "server", 0.5)


def test_gzip_arrives_and_a_bomb_costs_nothing(collector: Running) -> None:
    headers = {**PROTOBUF, "content-encoding": "gzip"}
    good = httpx2.post(
        f"{collector.http}/v1/traces", content=gzip.compress(request().SerializeToString()), headers=headers
    )
    assert good.status_code == 200
    bomb = gzip.compress(bytes(MAX_BODY_BYTES + 1))
    assert len(bomb) < 100_000
    refused = httpx2.post(f"{collector.http}/v1/traces", content=bomb, headers=headers)
    assert refused.status_code == 413
    assert "decompressed" in status_pb2.Status.FromString(refused.content).message
    broken = httpx2.post(f"{collector.http}/v1/traces", content=b"not gzip", headers=headers)
    assert broken.status_code == 400


@pytest.mark.parametrize("kind", ["application/x-protobuf", "application/json"])
def test_garbage_is_a_permanent_error_in_the_requests_own_encoding(shared: Running, kind: str) -> None:
    answer = httpx2.post(f"{shared.http}/v1/logs", content=b"\xff{garbage", headers={"content-type": kind})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == kind
    text = answer.json()["message"] if "json" in kind else status_pb2.Status.FromString(answer.content).message
    assert text


def test_grpc_garbage_is_an_invalid_argument(shared: Running) -> None:
    with grpc.insecure_channel(shared.grpc) as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export", None, None)
        with pytest.raises(grpc.RpcError) as caught:
            export(b"\xff garbage", timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_an_empty_request_is_a_success(shared: Running) -> None:
    answer = httpx2.post(f"{shared.http}/v1/traces", content=b"", headers=PROTOBUF)
    assert (answer.status_code, answer.content) == (200, b"")


def test_spans_without_valid_ids_are_refused_one_by_one(collector: Running) -> None:
    message = request(3)
    message.resource_spans[0].scope_spans[0].spans.add(name="no ids")
    answer = httpx2.post(f"{collector.http}/v1/traces", content=message.SerializeToString(), headers=PROTOBUF)
    response = trace_service_pb2.ExportTraceServiceResponse.FromString(answer.content)
    assert response.partial_success.rejected_spans == 1
    assert "16 bytes" in response.partial_success.error_message
    assert collector.scalar("select count(*) from spans") == 3


def test_a_key_given_twice_does_not_cost_the_batch(collector: Running) -> None:
    message = request(2)
    span = message.resource_spans[0].scope_spans[0].spans[0]
    for value in ("first", "last"):
        span.attributes.add(key="again").value.string_value = value
    assert httpx2.post(f"{collector.http}/v1/traces", content=message.SerializeToString(), headers=PROTOBUF).is_success
    row = collector.api.query("select attributes from spans where name = 'span 0'").to_pylist()[0]
    assert dict(row["attributes"]) == {"again": "last"}


def test_the_same_bytes_twice_count_once_also_after_a_restart(tmp_path: Path, rules: Path) -> None:
    body = request(5).SerializeToString()
    for _ in range(2):
        with running(tmp_path / "data", rules) as collector:
            for _ in range(2):
                answer = httpx2.post(f"{collector.http}/v1/traces", content=body, headers=PROTOBUF)
                assert answer.status_code == 200
            assert collector.scalar("select count(*) from spans") == 5


def test_a_request_that_its_sender_gives_up_does_not_stop_the_store(collector: Running) -> None:
    with grpc.insecure_channel(collector.grpc) as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export", None, None)
        for pause in (0.0, 0.005, 0.02, 0.04):
            calls = [export.future(request(2_000).SerializeToString(), timeout=30) for _ in range(4)]
            time.sleep(pause)
            for call in calls:
                call.cancel()
    answer = httpx2.post(f"{collector.http}/v1/traces", content=request().SerializeToString(), headers=PROTOBUF)
    assert answer.status_code == 200
    assert collector.collector.writer.alive


def test_many_points_of_one_metric_cost_no_more_than_they_are(collector: Running) -> None:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="many")
    for number in range(20_000):
        metric.gauge.data_points.add(as_int=number, time_unix_nano=time.time_ns())
    answer = httpx2.post(
        f"{collector.http}/v1/metrics", content=message.SerializeToString(), headers=PROTOBUF, timeout=30
    )
    assert answer.status_code == 200
    assert collector.scalar("select sum(value)::bigint from metric_points where metric = 'many'") == 199_990_000


def test_counts_that_cannot_be_meant_do_not_stop_the_judging(collector: Running) -> None:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="plugin.invocation.duration")
    metric.exponential_histogram.aggregation_temporality = 1
    for total in (float("nan"), 1.0, 2.0):
        point = metric.exponential_histogram.data_points.add(count=2**64 - 1, sum=total, time_unix_nano=2**63 - 1)
        point.attributes.add(key="plugin.id").value.string_value = "evil"
    assert httpx2.post(f"{collector.http}/v1/metrics", content=message.SerializeToString(), headers=PROTOBUF).is_success
    collector.collector.warden.tick()
    assert collector.api.get("plugins") == []


def test_beyond_this_machine_a_token_is_needed(tmp_path: Path) -> None:
    with running(tmp_path / "data", token="a-token-of-some-length") as collector:
        body = request().SerializeToString()
        assert httpx2.post(f"{collector.http}/v1/traces", content=body, headers=PROTOBUF).status_code == 401
        headers = {**PROTOBUF, "authorization": "Bearer a-token-of-some-length"}
        assert httpx2.post(f"{collector.http}/v1/traces", content=body, headers=headers).status_code == 200
        assert httpx2.get(f"{collector.url}/api/v1/plugins").status_code == 401
        assert collector.api.get("plugins") == []


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_every_call_of_a_sidecar_is_stored_exactly_once(collector: Running, protocol: str) -> None:
    endpoint = collector.http if protocol != "grpc" else f"http://{collector.grpc}"
    sidecar = Sidecar(
        service="host", endpoint=endpoint, protocol=protocol, export_interval_seconds=0.1, trace_ratio=0.0
    )

    def work(number: int) -> None:
        if number % 7 == 0:
            raise ValueError(f"number {number}")

    wrapped = sidecar.wrap(
        work, plugin="csv", version="1.0", operation="export", breaker=False, fallback=lambda n: None
    )
    for number in range(2_000):
        wrapped(number)
    assert sidecar.close(timeout=20)
    rows = collector.api.query("select outcome, error_type, sum(calls) as n from plugin_calls group by all").to_pylist()
    assert {(row["outcome"], row["error_type"]): row["n"] for row in rows} == {
        ("success", ""): 1714,
        ("error", "ValueError"): 286,
    }
    cpu, buckets = (
        collector.api.query("select sum(cpu_seconds) as cpu, sum(list_sum(bucket_count)) as buckets from plugin_calls")
        .to_pylist()[0]
        .values()
    )
    assert buckets == 2_000
    assert cpu > 0
    assert collector.scalar("select count(*) from spans where outcome = 'error'") == 286
    trace_id = collector.scalar("select any_value(trace_id) from spans where outcome = 'error'")
    assert json.dumps(collector.api.get(f"traces/{trace_id}")["spans"][0]["events"]).count("ValueError") >= 1
