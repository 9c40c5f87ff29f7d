"""Where telemetry leaves: OTLP, or the exporters of a host that has its own.

An outlet turns a batch into what it sends (bytes, or the SDK's objects) once, and sends that as often as it takes, so a
repeat is the same to the byte and the collector can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from plugwarden.lifetime.fork import resting
from plugwarden.settings import Settings

from .log_bytes import encode_entries
from .logs import LogEntry
from .metric_bytes import encode_points
from .points import gather
from .resource import Resource, resource_from
from .sampling import Kept
from .send import Sender, Verdict, make_senders
from .spans import SpanEncoder
from .wire import resource_bytes

if TYPE_CHECKING:
    from plugwarden.operation import Operation

    from .aggregate import MetricBatch

__all__ = ["OtlpOutlet", "Outlet", "SdkOutlet", "Verdict", "make_outlet"]


class Outlet(Protocol):
    """Encodes and sends one signal at a time."""

    spoolable: bool
    """Whether what `encode_*` answers is bytes, which can wait on disk."""

    def encode_spans(self, kept: Sequence[Kept], clock_offset_ns: int) -> Any: ...
    def encode_metrics(self, batch: MetricBatch, operations: Iterable[Operation], *, gauges: bool) -> Any: ...
    def encode_left(self, batch: MetricBatch, about: Mapping[str, Any]) -> bytes: ...
    def encode_logs(self, entries: Sequence[LogEntry]) -> Any: ...
    def send(self, signal: str, data: Any) -> Verdict: ...
    def shutdown(self) -> None: ...


class OtlpOutlet:
    """OTLP as OTEL_EXPORTER_OTLP_* says."""

    spoolable = True

    def __init__(
        self,
        settings: Settings,
        resource: Resource,
        count_drop: Callable[[str, str, int], None] = lambda signal, reason, items: None,
    ) -> None:
        self._settings = settings
        self._count_drop = count_drop
        self._resource = resource_bytes(resource.attributes)
        self._redact = settings.redactor
        self._spans = SpanEncoder(resource.attributes, settings.redactor)
        self._senders: dict[str, Sender] = make_senders(settings)

    def encode_spans(self, kept: Sequence[Kept], clock_offset_ns: int) -> bytes:
        """An ExportTraceServiceRequest."""
        encoded = self._spans.encode(kept, clock_offset_ns)
        failed, self._spans.failed = self._spans.failed, 0
        if failed:
            self._count_drop("spans", "encode_fault", failed)
        return encoded

    def encode_metrics(self, batch: MetricBatch, operations: Iterable[Operation], *, gauges: bool) -> bytes:
        """An ExportMetricsServiceRequest; empty when there is nothing to tell."""
        return encode_points(gather(batch, operations, gauges=gauges), self._resource)

    def encode_left(self, batch: MetricBatch, about: Mapping[str, Any]) -> bytes:
        """The same for what another process left, under that process's own resource; always the same for the same."""
        return encode_points(
            gather(batch, (), gauges=False), resource_bytes(resource_from(about, self._settings).attributes)
        )

    def encode_logs(self, entries: Sequence[LogEntry]) -> bytes:
        """An ExportLogsServiceRequest."""
        return encode_entries(entries, self._resource, self._redact)

    def send(self, signal: str, data: bytes) -> Verdict:
        """Send one request; blocks up to `REQUEST_TIMEOUT_SECONDS`."""
        return self._senders[signal].send(data)

    def shutdown(self) -> None:
        """Let connections go."""
        for sender in self._senders.values():
            sender.shutdown()


class SdkOutlet:
    """A host's own OpenTelemetry exporters, given the SDK's own objects. A signal without an exporter is left out."""

    spoolable = False

    def __init__(self, settings: Settings, resource: Resource) -> None:
        # The SDK is loaded here, on the thread of the host that wraps, and only for a host that has it.
        from opentelemetry.sdk.resources import Resource as SdkResource

        from . import encode

        self._encode = encode
        self._resource = SdkResource(dict(resource.attributes))
        self._redact = settings.redactor
        self._exporters: dict[str, Any] = {
            "spans": settings.span_exporter,
            "metrics": settings.metric_exporter,
            "logs": settings.log_exporter,
        }

    def encode_spans(self, kept: Sequence[Kept], clock_offset_ns: int) -> Any:
        """A list of `ReadableSpan`."""
        return self._encode.encode_spans(kept, self._resource, clock_offset_ns, self._redact)

    def encode_metrics(self, batch: MetricBatch, operations: Iterable[Operation], *, gauges: bool) -> Any:
        """`MetricsData`, or None when there is nothing to tell."""
        data = self._encode.encode_metrics(batch, operations, self._resource, gauges=gauges)
        return data if data.resource_metrics[0].scope_metrics else None

    def encode_left(self, batch: MetricBatch, about: Mapping[str, Any]) -> bytes:
        """Nothing is left for a host's own exporters: they could not tell a repeat."""
        raise NotImplementedError

    def encode_logs(self, entries: Sequence[LogEntry]) -> Any:
        """A list of `ReadableLogRecord`."""
        return self._encode.encode_logs(entries, self._resource, self._redact)

    def send(self, signal: str, data: Any) -> Verdict:
        """Hand a batch to the host's exporter."""
        exporter = self._exporters[signal]
        if exporter is None:
            return Verdict.TAKEN
        with resting():
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
