"""Connections that send request bytes and wait for the acknowledgement, over HTTP or gRPC."""

from __future__ import annotations

import http.client
from typing import Protocol

__all__ = ["GrpcSender", "HttpSender", "Sender"]

TIMEOUT_SECONDS = 60.0


class Sender(Protocol):
    """One connection."""

    def send(self, signal: str, body: bytes) -> bool:
        """Whether the request was acknowledged; `signal` is traces or metrics."""


class HttpSender:
    """OTLP/HTTP on a connection that stays open."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)

    def send(self, signal: str, body: bytes) -> bool:
        """As `Sender` says; a connection that the server closed meanwhile is opened again, once."""
        headers = {"content-type": "application/x-protobuf"}
        for again in (True, False):
            try:
                self._connection.request("POST", f"/v1/{signal}", body, headers)
                answer = self._connection.getresponse()
                answer.read()
                return answer.status == 200
            except (http.client.HTTPException, ConnectionError):
                self._connection.close()
                if not again:
                    raise
        return False


class GrpcSender:
    """OTLP/gRPC on a channel of its own."""

    def __init__(self, address: str) -> None:
        import grpc

        options = [("grpc.use_local_subchannel_pool", 1)]
        channel = grpc.insecure_channel(address, options)
        self._error = grpc.RpcError
        self._calls = {
            "traces": channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export", None, None),
            "metrics": channel.unary_unary(
                "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", None, None
            ),
        }

    def send(self, signal: str, body: bytes) -> bool:
        """As `Sender` says."""
        try:
            self._calls[signal](body, timeout=TIMEOUT_SECONDS)
        except self._error:
            return False
        return True
