"""Where telemetry leaves: the OpenTelemetry OTLP exporters, or the exporters of a host that has its own.

An outlet turns a batch into what it sends (bytes, or the SDK's objects) once, and sends that as often as it takes, so a
repeat is the same to the byte and the collector can tell.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.sdk.resources import Resource

from plugwarden.settings import Settings

from .encode import encode_logs, encode_metrics, encode_spans
from .logs import LogEntry
from .sampling import Kept
from .spans import SpanEncoder

if TYPE_CHECKING:
    from plugwarden.operation import Operation

    from .aggregate import MetricBatch

__all__ = ["OtlpOutlet", "Outlet", "SdkOutlet", "Verdict", "make_outlet"]

REQUEST_TIMEOUT_SECONDS = 5.0
"""One request with its retries. Shorter than OpenTelemetry's 10 s: what fails is kept here and tried again anyway."""
_PERMANENT = frozenset({400, 405, 413, 414, 415, 422})
"""Answers that say the bytes are wrong, so that sending them again cannot help. An address or a token may yet be
mended, so 401, 403 and 404 are tried again."""
_PERMANENT_GRPC = frozenset({"INVALID_ARGUMENT", "UNIMPLEMENTED", "OUT_OF_RANGE", "DATA_LOSS"})


class Verdict(enum.Enum):
    """What became of one sending."""

    TAKEN = "taken"
    RETRY = "retry"
    REFUSED = "refused"
    """It will never be taken."""


class Outlet(Protocol):
    """Encodes and sends one signal at a time."""

    spoolable: bool
    """Whether what `encode_*` answers is bytes, which can wait on disk."""

    def encode_spans(self, kept: Sequence[Kept], clock_offset_ns: int) -> Any: ...
    def encode_metrics(self, batch: MetricBatch, operations: Iterable[Operation], *, gauges: bool) -> Any: ...
    def encode_logs(self, entries: Sequence[LogEntry]) -> Any: ...
    def send(self, signal: str, data: Any) -> Verdict: ...
    def shutdown(self) -> None: ...


class OtlpOutlet:
    """OTLP by the OpenTelemetry exporters: their endpoints, headers, TLS, compression and retries, our bytes."""

    spoolable = True

    def __init__(
        self,
        settings: Settings,
        resource: Resource,
        count_drop: Callable[[str, str, int], None] = lambda signal, reason, items: None,
    ) -> None:
        self._count_drop = count_drop
        self._resource = resource
        self._redact = settings.redactor
        self._spans = SpanEncoder(resource, settings.redactor)
        self._settings = settings
        self._senders: dict[str, Any] | None = None

    def encode_spans(self, kept: Sequence[Kept], clock_offset_ns: int) -> bytes:
        """An ExportTraceServiceRequest."""
        encoded = self._spans.encode(kept, clock_offset_ns)
        failed, self._spans.failed = self._spans.failed, 0
        if failed:
            self._count_drop("spans", "encode_fault", failed)
        return encoded

    def encode_metrics(self, batch: MetricBatch, operations: Iterable[Operation], *, gauges: bool) -> bytes:
        """An ExportMetricsServiceRequest; empty when there is nothing to tell."""
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics as to_proto

        data = encode_metrics(batch, operations, self._resource, gauges=gauges)
        encoded: bytes = to_proto(data).SerializeToString() if data.resource_metrics[0].scope_metrics else b""
        return encoded

    def encode_logs(self, entries: Sequence[LogEntry]) -> bytes:
        """An ExportLogsServiceRequest."""
        from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as to_proto

        encoded: bytes = to_proto(encode_logs(entries, self._resource, self._redact)).SerializeToString()
        return encoded

    def send(self, signal: str, data: bytes) -> Verdict:
        """Send one request; blocks up to `REQUEST_TIMEOUT_SECONDS`."""
        if self._senders is None:
            self._senders = (
                _grpc_senders(self._settings) if self._settings.protocol == "grpc" else _http_senders(self._settings)
            )
        verdict: Verdict = self._senders[signal].send_bytes(data)
        return verdict

    def shutdown(self) -> None:
        """Let connections go."""
        for sender in (self._senders or {}).values():
            sender.shutdown()


class SdkOutlet:
    """A host's own OpenTelemetry exporters, given the SDK's own objects. A signal without an exporter is left out."""

    spoolable = False

    def __init__(self, settings: Settings, resource: Resource) -> None:
        self._resource = resource
        self._redact = settings.redactor
        self._exporters: dict[str, Any] = {
            "spans": settings.span_exporter,
            "metrics": settings.metric_exporter,
            "logs": settings.log_exporter,
        }

    def encode_spans(self, kept: Sequence[Kept], clock_offset_ns: int) -> Any:
        """A list of `ReadableSpan`."""
        return encode_spans(kept, self._resource, clock_offset_ns, self._redact)

    def encode_metrics(self, batch: MetricBatch, operations: Iterable[Operation], *, gauges: bool) -> Any:
        """`MetricsData`, or None when there is nothing to tell."""
        data = encode_metrics(batch, operations, self._resource, gauges=gauges)
        return data if data.resource_metrics[0].scope_metrics else None

    def encode_logs(self, entries: Sequence[LogEntry]) -> Any:
        """A list of `ReadableLogRecord`."""
        return encode_logs(entries, self._resource, self._redact)

    def send(self, signal: str, data: Any) -> Verdict:
        """Hand a batch to the host's exporter."""
        exporter = self._exporters[signal]
        if exporter is None:
            return Verdict.TAKEN
        return Verdict.TAKEN if exporter.export(data).name == "SUCCESS" else Verdict.RETRY

    def shutdown(self) -> None:
        """The host's exporters are the host's to shut down."""


def make_outlet(
    settings: Settings,
    resource: Resource,
    count_drop: Callable[[str, str, int], None] = lambda signal, reason, items: None,
) -> Outlet:
    """The outlet that the settings name."""
    own = (settings.span_exporter, settings.metric_exporter, settings.log_exporter)
    return (
        SdkOutlet(settings, resource)
        if any(exporter is not None for exporter in own)
        else OtlpOutlet(settings, resource, count_drop)
    )


def _http_senders(settings: Settings) -> dict[str, Any]:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    def sender(kind: type[Any], path: str) -> Any:
        class Sender(kind):  # type: ignore[misc]  # one of three exporters that differ in what they encode
            def send_bytes(self, data: bytes) -> Verdict:
                result = self._client.export(data)
                if result.success:
                    return Verdict.TAKEN
                return Verdict.REFUSED if result.status_code in _PERMANENT else Verdict.RETRY

        options: dict[str, Any] = {"timeout": REQUEST_TIMEOUT_SECONDS, "headers": _headers(settings)}
        if settings.endpoint:
            options["endpoint"] = f"{settings.endpoint.rstrip('/')}/v1/{path}"
        return Sender(**options)

    _quieten("opentelemetry.exporter.otlp.proto.http")
    return {
        "spans": sender(OTLPSpanExporter, "traces"),
        "metrics": sender(OTLPMetricExporter, "metrics"),
        "logs": sender(OTLPLogExporter, "logs"),
    }


def _grpc_senders(settings: Settings) -> dict[str, Any]:
    from grpc import RpcError
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    def sender(kind: type[Any], request: type[Any]) -> Any:
        class Sender(kind):  # type: ignore[misc]  # as above
            def _translate_data(self, data: Any) -> Any:
                return request.FromString(data)

            def _count_data(self, data: Any) -> int:
                return 1

            def send_bytes(self, data: bytes) -> Verdict:
                try:
                    message = self._translate_data(data)
                    self._client.Export(request=message, metadata=self._headers, timeout=REQUEST_TIMEOUT_SECONDS)
                except RpcError as error:
                    code = error.code().name
                    if code == "UNAVAILABLE":
                        self._channel.close()
                        self._initialize_channel_and_stub()  # else it waits out gRPC's own, longer pauses
                    return Verdict.REFUSED if code in _PERMANENT_GRPC else Verdict.RETRY
                return Verdict.TAKEN

        options: dict[str, Any] = {"timeout": REQUEST_TIMEOUT_SECONDS, "headers": _headers(settings)}
        if settings.endpoint:
            options |= {"endpoint": settings.endpoint, "insecure": not settings.endpoint.startswith("https://")}
        return Sender(**options)

    _quieten("opentelemetry.exporter.otlp.proto.grpc.exporter")
    return {
        "spans": sender(OTLPSpanExporter, ExportTraceServiceRequest),
        "metrics": sender(OTLPMetricExporter, ExportMetricsServiceRequest),
        "logs": sender(OTLPLogExporter, ExportLogsServiceRequest),
    }


def _headers(settings: Settings) -> dict[str, str] | None:
    return {"authorization": f"Bearer {settings.token}"} if settings.token else None


def _quieten(logger: str) -> None:
    """A collector that is down is ours to count and repeat; the exporters would log each try as an error of the host."""
    logging.getLogger(logger).setLevel(logging.CRITICAL)
