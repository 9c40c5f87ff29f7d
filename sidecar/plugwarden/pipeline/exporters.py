"""The OpenTelemetry OTLP exporters, chosen and pointed by settings and the standard OTEL_* variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.trace.export import SpanExportResult

from plugwarden.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["Exporters"]

REQUEST_TIMEOUT_SECONDS = 5.0
"""One request with its retries. Shorter than OpenTelemetry's 10 s: what fails is kept here and tried again anyway."""


class Exporters:
    """The three exporters. Each call blocks up to `REQUEST_TIMEOUT_SECONDS` and says whether it was taken."""

    def __init__(self, settings: Settings) -> None:
        options: dict[str, Any] = {"timeout": REQUEST_TIMEOUT_SECONDS}
        if settings.token:
            options["headers"] = {"authorization": f"Bearer {settings.token}"}
        if settings.protocol == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

            if settings.endpoint:
                options["endpoint"] = settings.endpoint
                options["insecure"] = not settings.endpoint.startswith("https://")
            self._spans: Any = OTLPSpanExporter(**options)
            self._metrics: Any = OTLPMetricExporter(**options)
            self._logs: Any = OTLPLogExporter(**options)
        else:
            from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans

            def at(signal: str) -> dict[str, Any]:
                if not settings.endpoint:
                    return options
                return {**options, "endpoint": f"{settings.endpoint.rstrip('/')}/v1/{signal}"}

            self._spans = HttpSpans(**at("traces"))
            self._metrics = HttpMetrics(**at("metrics"))
            self._logs = HttpLogs(**at("logs"))

    def spans(self, batch: Sequence[ReadableSpan]) -> bool:
        """Send spans."""
        return bool(self._spans.export(batch) is SpanExportResult.SUCCESS)

    def metrics(self, data: MetricsData) -> bool:
        """Send one interval's metrics."""
        return bool(self._metrics.export(data) is MetricExportResult.SUCCESS)

    def logs(self, batch: Sequence[ReadableLogRecord]) -> bool:
        """Send log records."""
        return bool(self._logs.export(batch) is LogRecordExportResult.SUCCESS)

    def shutdown(self) -> None:
        """Let connections go."""
        for exporter in (self._spans, self._metrics, self._logs):
            exporter.shutdown()
