"""OTLP over HTTP by OpenTelemetry's exporter, for what needs it: a proxy, a credential provider.

By its public interface alone: it is given a `requests.Session` and asked to export nothing, which it does with its own
certificates, time-outs and retries; the session puts our request in the place of the empty one.
"""

from __future__ import annotations

import logging
import netrc  # noqa: F401 - requests looks there for a password, and imports it when it does
import threading
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from plugwarden.lifetime.fork import resting

from .plain import COMPRESSIONS
from .provided import provided, provider_name
from .sender import REQUEST_TIMEOUT_SECONDS, Verdict, verdict_of
from .variables import Target

__all__ = ["ExporterSender"]

_sending = threading.local()


class ExporterSender:
    """Sends one signal's requests. The exporter of spans posts bytes to an address, which serves all three."""

    def __init__(self, target: Target, signal: str) -> None:
        named = provider_name("HTTP", signal)
        session: requests.Session = requests.Session() if named is None else provided(named)
        self._body = b""
        self._status = 0
        self._compression = target.compression
        made = COMPRESSIONS.get(target.compression)
        self._compress = None if made is None else made()
        prepare, send = session.prepare_request, session.send

        def prepare_ours(request: requests.Request) -> requests.PreparedRequest:
            request.data = self._body
            if self._compression != "none":
                request.headers = {**(request.headers or {}), "content-encoding": self._compression}
            return prepare(request)

        def send_ours(request: requests.PreparedRequest, **options: Any) -> requests.Response:
            answer = send(request, **options)
            self._status = answer.status_code
            return answer

        session.prepare_request = prepare_ours  # type: ignore[method-assign]
        session.send = send_ours  # type: ignore[method-assign]
        self._exporter = OTLPSpanExporter(
            endpoint=target.url,
            certificate_file=target.certificate,
            client_key_file=target.client_key,
            client_certificate_file=target.client_certificate,
            headers=dict(target.headers),
            timeout=REQUEST_TIMEOUT_SECONDS,
            session=session,
        )
        _quieten()

    def send(self, data: bytes) -> Verdict:
        """Send one request."""
        self._body, self._status = data if self._compress is None else self._compress(data), 0
        _sending.now = True
        try:
            with resting():
                result = self._exporter.export(())
        finally:
            _sending.now = False
        return Verdict.TAKEN if result.name == "SUCCESS" else verdict_of(self._status)

    def shutdown(self) -> None:
        """Let the connection go."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def _quieten() -> None:
    """A collector that is down is ours to count and repeat; the exporter would log each try as an error of the host's.

    Only what it says of our own requests is held back: a host may have exporters of its own.
    """
    logger = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    if _not_ours not in logger.filters:
        logger.addFilter(_not_ours)


def _not_ours(record: logging.LogRecord) -> bool:
    return not getattr(_sending, "now", False)
