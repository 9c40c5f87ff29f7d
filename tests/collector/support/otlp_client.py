"""A client of OTLP that sends what it is told, over any of the ways there are, and reads the answer the way exporters do."""

from __future__ import annotations

import base64
import gzip
import json
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

import grpc
import httpx2
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2

from tests.collector.conftest import Running

__all__ = [
    "MESSAGES",
    "PROTOBUF",
    "SIGNALS",
    "TRANSPORTS",
    "VIEWS",
    "Reply",
    "T",
    "any_value",
    "attribute",
    "held",
    "logs",
    "otlp_json",
    "points",
    "read_http",
    "requests_counted",
    "rows",
    "send",
    "send_bytes",
    "spans",
]

TRANSPORTS = ("grpc", "grpc+gzip", "grpc+deflate", "http", "http+gzip", "http+deflate", "json", "json+gzip")
PROTOBUF, JSON = "application/x-protobuf", "application/json"
SIGNALS: dict[str, tuple[str, Any, Any]] = {
    "traces": (
        "opentelemetry.proto.collector.trace.v1.TraceService",
        trace_service_pb2.ExportTraceServiceRequest,
        trace_service_pb2.ExportTraceServiceResponse,
    ),
    "metrics": (
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
        metrics_service_pb2.ExportMetricsServiceRequest,
        metrics_service_pb2.ExportMetricsServiceResponse,
    ),
    "logs": (
        "opentelemetry.proto.collector.logs.v1.LogsService",
        logs_service_pb2.ExportLogsServiceRequest,
        logs_service_pb2.ExportLogsServiceResponse,
    ),
}
T = time.time_ns() // 10**9 * 10**9
"""A time in nanoseconds, in 2027."""
_RETRYABLE_HTTP = {429, 502, 503, 504}
_COMPRESSED = {"gzip": gzip.compress, "deflate": zlib.compress, "": bytes}
_GRPC = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate, "": grpc.Compression.NoCompression}


@dataclass(frozen=True)
class Reply:
    """An answer, whatever the transport."""

    verdict: str
    """`stored`, `refused` (never send again) or `later`."""
    code: str
    """gRPC status, or HTTP status with google.rpc.Code."""
    response: Any
    """The response message, when stored."""
    status: status_pb2.Status
    retry_seconds: int | None
    """From RetryInfo or Retry-After."""

    @property
    def text(self) -> str:
        return self.status.message

    @property
    def violations(self) -> list[Any]:
        """What BadRequest says."""
        bad = error_details_pb2.BadRequest()
        for detail in self.status.details:
            if detail.Unpack(bad):
                return list(bad.field_violations)
        return []


def send(collector: Running, transport: str, signal: str, message: Message, token: str | None = None) -> Reply:
    """Send a message."""
    body = otlp_json(message) if transport.startswith("json") else message.SerializeToString()
    return send_bytes(collector, transport, signal, body, token)


def send_bytes(
    collector: Running, transport: str, signal: str, body: bytes, token: str | None = None, declared: str = ""
) -> Reply:
    """Send bytes as if they were a message; `declared`: as if they had been compressed so."""
    way, _, compression = transport.partition("+")
    if way == "grpc":
        return _over_grpc(collector, signal, body, compression, token)
    body = _COMPRESSED[compression](body)
    return _over_http(collector, signal, body, PROTOBUF if way == "http" else JSON, compression or declared, token)


def _over_http(collector: Running, signal: str, body: bytes, kind: str, encoding: str, token: str | None) -> Reply:
    headers = {"content-type": kind}
    if encoding:
        headers["content-encoding"] = encoding
    if token:
        headers["authorization"] = f"Bearer {token}"
    answer = httpx2.post(f"{collector.http}/v1/{signal}", content=body, headers=headers, timeout=60)
    return read_http(answer, signal, kind)


def read_http(answer: httpx2.Response, signal: str, kind: str) -> Reply:
    """The answer of the HTTP receiver, which must be in the encoding `kind`."""
    assert answer.headers["content-type"] == kind
    retry = answer.headers.get("retry-after")
    if answer.status_code == 200:
        response = SIGNALS[signal][2]()
        _parse(answer.content, kind, response)
        return Reply("stored", "200", response, status_pb2.Status(), None)
    status = status_pb2.Status()
    _parse(answer.content, kind, status)
    verdict = "later" if answer.status_code in _RETRYABLE_HTTP else "refused"
    code = f"{answer.status_code} {code_pb2.Code.Name(status.code)}"
    return Reply(verdict, code, None, status, int(retry) if retry else None)


def _parse(body: bytes, kind: str, message: Message) -> None:
    if kind == PROTOBUF:
        message.ParseFromString(body)
    else:
        json_format.Parse(body, message)


def _over_grpc(collector: Running, signal: str, body: bytes, compression: str, token: str | None) -> Reply:
    service, _, response = SIGNALS[signal]
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.insecure_channel(collector.grpc, options=[("grpc.max_send_message_length", -1)]) as channel:
        export = channel.unary_unary(f"/{service}/Export", None, response.FromString)
        try:
            found = export(body, timeout=60, metadata=metadata, compression=_GRPC[compression])
        except grpc.RpcError as error:
            return _refused(error)
    return Reply("stored", "OK", found, status_pb2.Status(), None)


def _refused(error: Any) -> Reply:
    status = status_pb2.Status(message=error.details())
    retry: int | None = None
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    assert status.message == error.details()
    info = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            retry = info.retry_delay.seconds
    code = error.code().name
    # OTLP specification, "OTLP/gRPC Response": RESOURCE_EXHAUSTED can be retried only with RetryInfo.
    always = code in {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
    later = always or (code == "RESOURCE_EXHAUSTED" and retry is not None)
    return Reply("later" if later else "refused", code, None, status, retry)


def otlp_json(message: Message) -> bytes:
    """A message in OTLP's JSON: protobuf's, with ids in hex and enums as numbers."""
    found = json_format.MessageToDict(message, use_integers_for_enums=True)
    return json.dumps(_hex_ids(found)).encode()


def _hex_ids(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: base64.b64decode(value).hex() if key in {"traceId", "spanId", "parentSpanId"} else _hex_ids(value)
            for key, value in node.items()
        }
    return [_hex_ids(item) for item in node] if isinstance(node, list) else node


# Messages -------------------------------------------------------------------------------------------------------------


def spans(name: str, count: int = 1) -> Any:
    message = trace_service_pb2.ExportTraceServiceRequest()
    group = message.resource_spans.add()
    attribute(group.resource.attributes, "service.name", name)
    scope = group.scope_spans.add()
    scope.scope.name, scope.scope.version = "csv", "1.2"
    for number in range(count):
        span = scope.spans.add(trace_id=os.urandom(16), span_id=os.urandom(8), name=f"span {number}")
        span.start_time_unix_nano, span.end_time_unix_nano = T, T + 1_500_000
    return message


def logs(name: str) -> Any:
    message = logs_service_pb2.ExportLogsServiceRequest()
    group = message.resource_logs.add()
    attribute(group.resource.attributes, "service.name", name)
    record = group.scope_logs.add().log_records.add(time_unix_nano=T, severity_number=17, severity_text="ERROR")
    record.body.string_value = "it failed"
    return message


def points(name: str) -> Any:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    group = message.resource_metrics.add()
    attribute(group.resource.attributes, "service.name", name)
    metric = group.scope_metrics.add().metrics.add(name="depth", unit="1")
    metric.gauge.data_points.add(as_int=7, time_unix_nano=T)
    return message


MESSAGES = {"traces": spans, "metrics": points, "logs": logs}
VIEWS = {"traces": "spans", "metrics": "metric_points", "logs": "logs"}


def rows(collector: Running, view: str, name: str) -> list[dict[str, Any]]:
    sql = f"from {view} where service_name = $name order by all"
    return [dict(row) for row in collector.api.query(sql, {"name": name}).to_pylist()]


def attribute(where: Any, key: str, value: Any) -> None:
    where.add(key=key).value.CopyFrom(any_value(value))


def any_value(value: Any) -> common_pb2.AnyValue:
    if isinstance(value, dict):
        pairs = [common_pb2.KeyValue(key=key, value=any_value(item)) for key, item in value.items()]
        return common_pb2.AnyValue(kvlist_value=common_pb2.KeyValueList(values=pairs))
    if isinstance(value, list):
        return common_pb2.AnyValue(array_value=common_pb2.ArrayValue(values=[any_value(item) for item in value]))
    if isinstance(value, bytes):
        return common_pb2.AnyValue(bytes_value=value)
    if isinstance(value, bool):
        return common_pb2.AnyValue(bool_value=value)
    if isinstance(value, int):
        return common_pb2.AnyValue(int_value=value)
    if isinstance(value, float):
        return common_pb2.AnyValue(double_value=value)
    return common_pb2.AnyValue(string_value=value) if value is not None else common_pb2.AnyValue()


def requests_counted(collector: Running, result: str) -> float:
    found = [line for line in httpx2.get(f"{collector.url}/metrics").text.splitlines() if f'result="{result}"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in found)


@contextmanager
def held(collector: Running) -> Iterator[None]:
    """The writer does nothing but wait."""
    waiting, release = Event(), Event()

    def wait(connection: Any) -> None:
        waiting.set()
        release.wait(60)

    done = collector.collector.writer.run(wait)
    assert waiting.wait(10)
    try:
        yield
    finally:
        release.set()
        done.result(10)
