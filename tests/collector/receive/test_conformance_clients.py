"""Real clients: the OpenTelemetry SDKs of Python and Node.js, all signals, each way they can send."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanKind, StatusCode
from plugwarden_collector.store.duckdb.write import writer

from tests.collector.conftest import Running
from tests.collector.support.otlp_client import T, held, rows

NODE = Path(__file__).parents[2] / "clients/node"
SPANS, METRICS, LOGS = (GrpcSpans, HttpSpans), (GrpcMetrics, HttpMetrics), (GrpcLogs, HttpLogs)


def exporter(kinds: tuple[Any, Any], collector: Running, transport: str, compression: str, **more: Any) -> Any:
    if transport == "grpc":
        chosen = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate, "none": None}[compression]
        return kinds[0](endpoint=collector.grpc, insecure=True, compression=chosen, **more)
    path = {SPANS: "traces", METRICS: "metrics", LOGS: "logs"}[kinds]
    return kinds[1](endpoint=f"{collector.http}/v1/{path}", compression=Compression(compression), **more)


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_pythons_spans(shared: Running, name: str, transport: str, compression: str) -> None:
    provider = TracerProvider(resource=Resource({"service.name": name}))
    provider.add_span_processor(SimpleSpanProcessor(exporter(SPANS, shared, transport, compression)))
    tracer = provider.get_tracer("csv", "1.0")
    with tracer.start_as_current_span("cause") as cause:
        pass
    links = [Link(cause.get_span_context(), {"why": "it began it"})]
    attributes = {"plugin.id": "csv", "whole": 7, "list": ["a", "b"]}
    with tracer.start_as_current_span("outer", kind=SpanKind.SERVER, links=links, attributes=attributes) as outer:
        outer.record_exception(ValueError("of no use"))
        outer.set_status(StatusCode.ERROR)
        with tracer.start_as_current_span("inner"):
            pass
    provider.shutdown()
    found = {row["name"]: row for row in rows(shared, "spans", name)}
    row = found["outer"]
    assert row["trace_id"] == f"{outer.get_span_context().trace_id:032x}"
    assert found["inner"]["parent_span_id"] == row["span_id"]
    assert (row["plugin_id"], row["kind"], row["status"], row["scope_version"]) == ("csv", "server", "error", "1.0")
    assert dict(row["attributes"]) == {"whole": "7", "list": '["a","b"]'}
    assert dict(row["events"][0]["attributes"])["exception.type"] == "ValueError"
    assert row["links"][0]["span_id"] == found["cause"]["span_id"]


@pytest.mark.parametrize("temporality", ["delta", "cumulative"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_pythons_metrics(shared: Running, name: str, transport: str, compression: str, temporality: str) -> None:
    preferred = dict.fromkeys((Counter, Histogram, ObservableCounter), AggregationTemporality[temporality.upper()])
    sender = exporter(METRICS, shared, transport, compression, preferred_temporality=preferred)
    view = View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider(
        [PeriodicExportingMetricReader(sender, 60_000)], Resource({"service.name": name}), views=[view]
    )
    meter = provider.get_meter("any")
    meter.create_counter("counted", "{thing}").add(3, {"path": "/"})
    meter.create_up_down_counter("depth").add(-2)
    meter.create_gauge("level").set(0.25)
    meter.create_histogram("explicit", explicit_bucket_boundaries_advisory=[1, 2]).record(1.5)
    for value in (0, 0.001, 0.001, 5):
        meter.create_histogram("exponential").record(value)
    provider.shutdown()
    check_metrics(rows(shared, "metric_points", name), temporality)


def check_metrics(found: list[dict[str, Any]], temporality: str) -> None:
    points = {row["metric"]: row for row in found}
    assert set(points) == {"counted", "depth", "level", "explicit", "exponential"}
    assert (points["counted"]["value"], points["counted"]["temporality"]) == (3, temporality)
    assert (points["counted"]["unit"], dict(points["counted"]["attributes"])) == ("{thing}", {"path": "/"})
    assert (points["depth"]["value"], points["depth"]["temporality"]) == (-2, "cumulative")
    assert (points["level"]["value"], points["level"]["kind"]) == (0.25, "gauge")
    assert (points["explicit"]["bucket_count"], points["explicit"]["explicit_bounds"]) == ([0, 1, 0], [1, 2])
    row = points["exponential"]
    assert (row["count"], row["zero_count"], sum(row["bucket_count"])) == (4, 1, 3)
    assert sorted(row["bucket_count"]) == [1, 2]
    assert row["temporality"] == temporality


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_pythons_logs(shared: Running, name: str, transport: str, compression: str) -> None:
    provider = LoggerProvider(Resource({"service.name": name}))
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter(LOGS, shared, transport, compression)))
    provider.get_logger("csv", "1.0").emit(
        timestamp=T,
        severity_number=SeverityNumber.ERROR,
        severity_text="ERROR",
        body={"text": "it failed"},
        attributes={"plugin.id": "csv", "nested": {"a": [1, "two"]}},
        event_name="app.failed",
        exception=ValueError("of no use"),
    )
    provider.shutdown()
    [row] = rows(shared, "logs", name)
    assert (row["body"], row["severity_text"], row["plugin_id"]) == ('{"text":"it failed"}', "ERROR", "csv")
    assert (row["event_name"], row["scope_version"], row["time"].timestamp()) == ("app.failed", "1.0", T / 1e9)
    attributes = dict(row["attributes"])
    assert (attributes["exception.type"], attributes["nested"]) == ("ValueError", '{"a":[1,"two"]}')


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_pythons_exporter_comes_back_after_pressure(
    collector: Running, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_QUEUED_BYTES", 1)
    refused = threading.Event()
    submit = collector.collector.writer.submit

    def watched(*arguments: Any) -> Any:
        try:
            return submit(*arguments)
        except Exception:
            refused.set()
            raise

    monkeypatch.setattr(collector.collector.writer, "submit", watched)
    providers = []
    for service in ("first", "second"):
        provider = TracerProvider(resource=Resource({"service.name": service}))
        provider.add_span_processor(SimpleSpanProcessor(exporter(SPANS, collector, transport, "none")))
        providers.append(provider)
    with held(collector):
        waiting = [threading.Thread(target=one_span, args=(provider,)) for provider in providers]
        for thread in waiting:
            thread.start()
        assert refused.wait(20)  # the queue takes one request however large, and only one
    for thread in waiting:
        thread.join(30)
    assert [len(rows(collector, "spans", service)) for service in ("first", "second")] == [1, 1]


def one_span(provider: TracerProvider) -> None:
    with provider.get_tracer("any").start_as_current_span("kept"):
        pass
    provider.shutdown()


@pytest.fixture(scope="module")
def node() -> str:
    """Node.js with what package-lock.json names, installed at the first use."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        pytest.skip(
            f"{' and '.join(missing)} missing: no test with the SDK of Node.js (Debian: apt install nodejs npm)"
        )
    lock, done = NODE / "package-lock.json", NODE / "node_modules/.installed"
    if not done.exists() or done.read_text() != lock.read_text():
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        result = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=120, check=False)
        if result.returncode:
            pytest.skip(f"npm ci did not work: {result.stderr.strip().splitlines()[-1][:200]}")
        done.write_text(lock.read_text())
    return "node"


@pytest.mark.parametrize(("compression", "temporality"), [("none", "cumulative"), ("gzip", "delta")])
@pytest.mark.parametrize("transport", ["grpc", "http-proto", "http-json"])
def test_nodes_sdk(collector: Running, node: str, transport: str, compression: str, temporality: str) -> None:
    endpoint = f"http://{collector.grpc}" if transport == "grpc" else collector.http
    command = [node, str(NODE / "client.mjs"), transport, endpoint, compression, temporality]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
    assert result.returncode == 0, result.stderr
    ids = json.loads(result.stdout)
    found = {row["name"]: row for row in rows(collector, "spans", "node-client")}
    row = found["outer"]
    assert (row["trace_id"], row["span_id"]) == (ids["trace_id"], ids["span_id"])
    assert found["inner"]["parent_span_id"] == ids["span_id"]
    assert (row["plugin_id"], row["kind"], row["status"], row["scope_version"]) == (
        "node-plugin",
        "server",
        "error",
        "2.1.0",
    )
    assert dict(row["attributes"]) == {"whole": "7", "broken": "0.5", "yes": "true", "list": '["a","b"]'}
    assert [event["name"] for event in row["events"]] == ["halfway", "exception"]
    assert dict(row["events"][1]["attributes"])["exception.type"] == "TypeError"
    assert row["links"][0]["span_id"] == found["cause"]["span_id"]
    check_metrics(rows(collector, "metric_points", "node-client"), temporality)
    [record] = rows(collector, "logs", "node-client")
    assert (record["body"], record["event_name"]) == ('{"text":"it failed","parts":[1,{"deep":true}]}', "app.failed")
    assert (record["trace_id"], record["span_id"]) == (ids["trace_id"], ids["span_id"])
    assert dict(record["attributes"])["nested"] == '{"a":[1,"two"]}'


def test_the_lock_of_node_names_versions_and_hashes_and_no_registry() -> None:
    packages = json.loads((NODE / "package-lock.json").read_text())["packages"]
    assert len(packages) > 20
    for path, package in packages.items():
        assert "resolved" not in package
        assert path == "" or package["integrity"].startswith("sha512-")
