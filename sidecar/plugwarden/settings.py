"""The sidecar's settings: keyword arguments first, then PLUGWARDEN_* and OTEL_* variables, then defaults."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plugwarden.errors import ConfigurationError

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a sidecar can be told. OTLP endpoints and headers are read by the exporters from OTEL_* themselves."""

    service: str = "unknown_service"
    """`service.name`. From OTEL_SERVICE_NAME when not given."""
    instance_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """`service.instance.id`, unique per process; made anew after a fork."""
    environment: str | None = None
    """`deployment.environment.name`. From PLUGWARDEN_ENVIRONMENT."""
    collector_url: str | None = None
    """Base address of the collector's HTTP API, for directives. From PLUGWARDEN_COLLECTOR_URL; none: no directives."""
    token: str | None = field(default=None, repr=False)
    """Bearer token for the collector. From PLUGWARDEN_TOKEN."""
    trace_ratio: float = 0.1
    """Share of ordinary traces kept, in [0, 1]; errors and the slowest are always kept. From PLUGWARDEN_TRACE_RATIO."""
    state_dir: Path | None = None
    """Where directives are kept across restarts. From PLUGWARDEN_STATE_DIR; none: only in memory."""
    export_interval_seconds: float = 5.0
    """How often telemetry is sent when nothing is wrong. From PLUGWARDEN_EXPORT_INTERVAL. Trouble is sent at once."""
    protocol: str = "http/protobuf"
    """`http/protobuf` or `grpc`. From OTEL_EXPORTER_OTLP_PROTOCOL (OpenTelemetry's own default is http/protobuf)."""
    endpoint: str | None = None
    """OTLP base address; none: OTEL_EXPORTER_OTLP_ENDPOINT or OpenTelemetry's default on localhost."""
    spool_bytes: int = 64 * 1024 * 1024
    """What may wait on disk, under `state_dir`, while the collector is away. From PLUGWARDEN_SPOOL_BYTES; 0: nothing."""
    redact: bool | Callable[[str], str] = True
    """Takes secrets out of messages, stack traces, annotations and logs: True the built-in patterns, False none, or a
    function of the host's, given each text."""
    loop_lag_seconds: float | None = 0.25
    """An asyncio event loop held up for longer is reported with the plugin, file and line; None: no watching. From
    PLUGWARDEN_LOOP_LAG."""
    span_exporter: Any = None
    """A host's own `SpanExporter`, used instead of OTLP. With any of the three, signals without one are left out."""
    metric_exporter: Any = None
    """A host's own `MetricExporter`."""
    log_exporter: Any = None
    """A host's own `LogRecordExporter`."""
    disabled: bool = False
    """Wrapping returns the function unchanged. From PLUGWARDEN_DISABLED (1, true, yes or on)."""
    resource: Mapping[str, str] = field(default_factory=dict)
    """Further resource attributes, beside OTEL_RESOURCE_ATTRIBUTES."""
    host_name: str = field(default_factory=socket.gethostname)
    """`host.name`."""

    @property
    def redactor(self) -> Callable[[str], str]:
        """What is done to every text before it leaves."""
        if callable(self.redact):
            return _guarded(self.redact)
        from plugwarden.pipeline.redaction import redact

        return redact if self.redact else str

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
        """Settings from keywords and the environment; raises `ConfigurationError` naming what is wrong."""
        env = os.environ if environ is None else environ
        values: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None or name == "loop_lag_seconds"
        }
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise ConfigurationError(f"{unknown[0]}: no such setting; known are {', '.join(cls.__dataclass_fields__)}")
        for name, variable in (
            ("service", "OTEL_SERVICE_NAME"),
            ("environment", "PLUGWARDEN_ENVIRONMENT"),
            ("collector_url", "PLUGWARDEN_COLLECTOR_URL"),
            ("token", "PLUGWARDEN_TOKEN"),
            ("state_dir", "PLUGWARDEN_STATE_DIR"),
            ("protocol", "OTEL_EXPORTER_OTLP_PROTOCOL"),
            ("trace_ratio", "PLUGWARDEN_TRACE_RATIO"),
            ("export_interval_seconds", "PLUGWARDEN_EXPORT_INTERVAL"),
            ("spool_bytes", "PLUGWARDEN_SPOOL_BYTES"),
            ("loop_lag_seconds", "PLUGWARDEN_LOOP_LAG"),
        ):
            if name not in values and env.get(variable):
                values[name] = env[variable]
        if env.get("PLUGWARDEN_WORKER"):
            values["disabled"] = True  # a plugin's worker process, which imports what the host wraps
        elif "disabled" not in values:
            values["disabled"] = env.get("PLUGWARDEN_DISABLED", "").strip().lower() in {"1", "true", "yes", "on"}
        values["trace_ratio"] = _number(values, "trace_ratio", 0.1, 0.0, 1.0)
        values["export_interval_seconds"] = _number(values, "export_interval_seconds", 5.0, 0.1, 300.0)
        values["spool_bytes"] = int(_number(values, "spool_bytes", 64 * 1024 * 1024, 0, 2**40))
        if values.get("loop_lag_seconds", 0.25) is not None:
            values["loop_lag_seconds"] = _number(values, "loop_lag_seconds", 0.25, 0.0, 60.0) or None
        if not callable(values.get("redact", True)) and not isinstance(values.get("redact", True), bool):
            raise ConfigurationError("redact: must be True, False or a function from text to text")
        if values.get("protocol", "grpc") not in {"grpc", "http/protobuf"}:
            raise ConfigurationError(f"protocol: {values['protocol']!r} is not supported; use grpc or http/protobuf")
        url = values.get("collector_url")
        if url is not None:
            if not str(url).startswith(("http://", "https://")):
                raise ConfigurationError(f"collector_url: {url!r} must start with http:// or https://")
            values["collector_url"] = str(url).rstrip("/")
        if values.get("state_dir") is not None:
            values["state_dir"] = Path(values["state_dir"])
        return cls(**values)


def _guarded(redact: Callable[[str], str]) -> Callable[[str], str]:
    def guarded(text: str) -> str:
        try:
            return str(redact(text))
        except Exception:  # noqa: BLE001 - a text that could not be looked at does not leave
            return "[redaction failed]"

    return guarded


def _number(values: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    raw = values.get(name, default)
    try:
        number = float(raw)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name}: {raw!r} is not a number") from error
    if not low <= number <= high:
        raise ConfigurationError(f"{name}: {number} is outside {low} to {high}")
    return number
