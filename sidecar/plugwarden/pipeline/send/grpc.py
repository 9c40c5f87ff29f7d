"""OTLP over gRPC: the three services' methods, given our bytes as they are."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import Any

import grpc

from plugwarden.lifetime.fork import resting

from .provided import provided, provider_name
from .sender import REQUEST_TIMEOUT_SECONDS, Verdict
from .variables import Target

__all__ = ["GrpcSender"]

_SERVICES = {
    "spans": "trace.v1.TraceService",
    "metrics": "metrics.v1.MetricsService",
    "logs": "logs.v1.LogsService",
}
_PERMANENT = frozenset({"INVALID_ARGUMENT", "UNIMPLEMENTED", "OUT_OF_RANGE", "DATA_LOSS"})
_DENIED = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})
for _module in ("grpc._channel", "grpc.experimental"):
    with contextlib.suppress(ImportError):
        importlib.import_module(_module)  # what a channel imports when it is made, which our thread does


class GrpcSender:
    """Sends one signal's requests."""

    def __init__(self, target: Target, signal: str) -> None:
        self._target = target
        self._method = f"/opentelemetry.proto.collector.{_SERVICES[signal]}/Export"
        self._metadata = tuple(target.headers.items())
        self._compression = grpc.Compression.Gzip if target.compression == "gzip" else grpc.Compression.NoCompression
        named = provider_name("GRPC", signal)
        self._credentials: Any = None
        if named is not None:
            self._credentials = provided(named)
        elif target.secure:
            self._credentials = grpc.ssl_channel_credentials(
                _read(target.certificate), _read(target.client_key), _read(target.client_certificate)
            )
        self._channel: grpc.Channel | None = None
        self._export: Any = None

    def send(self, data: bytes) -> Verdict:
        """Send one request."""
        with resting():
            try:
                if self._channel is None:
                    self._connect()
                self._export(data, metadata=self._metadata, timeout=REQUEST_TIMEOUT_SECONDS)
            except grpc.RpcError as error:
                code = error.code().name
                if code == "UNAVAILABLE":
                    self.shutdown()  # else it waits out gRPC's own, longer pauses
                if code in _DENIED:
                    return Verdict.DENIED
                return Verdict.REFUSED if code in _PERMANENT else Verdict.RETRY
        return Verdict.TAKEN

    def shutdown(self) -> None:
        """Let the connection go."""
        channel, self._channel = self._channel, None
        if channel is not None:
            with contextlib.suppress(Exception):
                channel.close()

    def _connect(self) -> None:
        options: dict[str, Any] = {"compression": self._compression}
        self._channel = (
            grpc.insecure_channel(self._target.url, **options)
            if self._credentials is None
            else grpc.secure_channel(self._target.url, self._credentials, **options)
        )
        self._export = self._channel.unary_unary(self._method, None, None)  # bytes in, bytes out


def _read(file: str | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()
