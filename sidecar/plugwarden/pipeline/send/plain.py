"""OTLP over HTTP by sockets alone: a host that sends without TLS does not load it.

One connection is kept and used again. What the standard library does not do by itself (a proxy, a credential provider)
is left to OpenTelemetry's exporters: see `exporters`.
"""

from __future__ import annotations

import importlib
import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING

from plugwarden.errors import ConfigurationError
from plugwarden.lifetime.fork import resting

from .connection import Connection
from .sender import REQUEST_TIMEOUT_SECONDS, Verdict, verdict_of
from .variables import Target

if TYPE_CHECKING:
    import ssl

__all__ = ["COMPRESSIONS", "PlainSender"]


def _gzip() -> Callable[[bytes], bytes]:
    import gzip

    return lambda data: gzip.compress(data, 6, mtime=0)  # a repeat is the same to the byte


def _deflate() -> Callable[[bytes], bytes]:
    import zlib

    return zlib.compress


COMPRESSIONS: dict[str, Callable[[], Callable[[bytes], bytes]]] = {"gzip": _gzip, "deflate": _deflate}
"""Name -> makes what compresses. What a sender needs it imports as it is made, on the host's thread."""


class PlainSender:
    """Sends one signal's requests as `application/x-protobuf`, or as what `convert` makes of them."""

    def __init__(
        self,
        target: Target,
        *,
        content_type: str = "application/x-protobuf",
        convert: Callable[[bytes], bytes] = lambda data: data,
    ) -> None:
        parts = urllib.parse.urlsplit(target.url)
        self._host, self._port = parts.hostname or "localhost", parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._convert = convert
        made = COMPRESSIONS.get(target.compression)
        self._compress = None if made is None else made()
        self._headers = {"user-agent": "plugwarden", **target.headers, "content-type": content_type}
        if self._compress is not None:
            self._headers["content-encoding"] = target.compression
        self._tls = _tls(target) if target.secure else None
        if self._tls is not None or not self._host.isascii():
            importlib.import_module("encodings.idna")  # else the first connection does, on our thread
        self._connection: Connection | None = None

    def send(self, data: bytes) -> Verdict:
        """Send one request. Whatever the network does is an answer, and the next request begins with a new connection."""
        body = self._convert(data)
        if self._compress is not None:
            body = self._compress(body)
        with resting():
            try:
                status = self._post(body)
            except OSError:
                self.shutdown()
                return Verdict.RETRY
        return verdict_of(status)

    def shutdown(self) -> None:
        """Let the connection go."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _post(self, body: bytes) -> int:
        held = self._connection
        if held is not None and held.open:
            try:
                return held.post(self._path, self._headers, body)
            except ConnectionError:
                pass  # the other side had let the idle connection go before it could read this request
        self._connection = fresh = Connection(self._host, self._port, self._tls, REQUEST_TIMEOUT_SECONDS)
        return fresh.post(self._path, self._headers, body)


def _tls(target: Target) -> ssl.SSLContext:
    """Raises `ConfigurationError` that names the files, of which Python says no more than that one is not there."""
    try:
        return _context(target)
    except OSError as error:
        files = [file for file in (target.certificate, target.client_certificate, target.client_key) if file]
        raise ConfigurationError(
            f"OTEL_EXPORTER_OTLP_*CERTIFICATE, *CLIENT_KEY: {', '.join(files)}: {error}"
        ) from error


def _context(target: Target) -> ssl.SSLContext:
    import ssl  # on the host's thread: a sender is made when the sidecar prepares, or in a forked child, which has it

    context = ssl.create_default_context(cafile=target.certificate)
    if target.certificate is None and not context.cert_store_stats()["x509_ca"]:
        try:
            import certifi
        except ImportError:
            pass  # the system trusts nobody and says so when it connects
        else:
            context.load_verify_locations(certifi.where())  # a slim image without authorities of its own
    if target.client_certificate:
        context.load_cert_chain(target.client_certificate, target.client_key)
    return context
