"""OTEL_EXPORTER_OTLP_*: where a signal goes and how, as OpenTelemetry's specification has it.

(https://opentelemetry.io/docs/specs/otel/protocol/exporter/) A signal's own variable wins over the one for all; a value
that cannot be meant is left out, and the host runs.
"""

from __future__ import annotations

import logging
import os
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import field

from plugwarden.contract.value import value
from plugwarden.settings import PROTOCOLS, Settings, pairs_of
from plugwarden.token_reach import carries_token, endpoint_of

from .sender import SIGNALS

__all__ = ["Target", "read_target"]

_COMPRESSIONS = ("none", "gzip", "deflate")
_PORTS = {"grpc": 4317}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_HEADER_TEXT = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
"""RFC 9110, 5.1 and 5.5."""
_log = logging.getLogger(__name__)


@value
class Target:
    """Where one signal goes."""

    protocol: str
    """`grpc`, `http/protobuf` or `http/json`."""
    url: str
    """HTTP: the whole address with its path. gRPC: `host:port`, or any other name of gRPC's, such as `unix:/run/otlp`."""
    secure: bool
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    compression: str
    """`none`, `gzip` or `deflate`; gRPC knows no `deflate` by that name and takes it as its own."""
    certificate: str | None
    """File of the authorities to trust; none: the system's."""
    client_certificate: str | None
    client_key: str | None


def read_target(settings: Settings, signal: str, environ: Mapping[str, str] | None = None) -> Target:
    """The target of one signal (`spans`, `metrics`, `logs`)."""
    env = os.environ if environ is None else environ
    name = SIGNALS[signal]

    def option(what: str) -> str | None:
        found = env.get(f"OTEL_EXPORTER_OTLP_{name.upper()}_{what}") or env.get(f"OTEL_EXPORTER_OTLP_{what}")
        return found.strip() or None if found else None

    protocol = settings.protocol
    if not settings.protocol_given:
        own = (env.get(f"OTEL_EXPORTER_OTLP_{name.upper()}_PROTOCOL") or "").strip().lower()
        protocol = own if own in PROTOCOLS else protocol
    headers = {}
    for key, text in pairs_of(option("HEADERS") or "", lower=True):
        if _HEADER_NAME.fullmatch(key) and _HEADER_TEXT.fullmatch(text):
            headers[key] = text
        else:  # its text may be a secret
            _log.warning("OTEL_EXPORTER_OTLP_HEADERS: %.100r is left out: no request can carry such a header", key)
    headers |= _token_header(settings, signal, protocol, env)
    compression = (option("COMPRESSION") or "none").lower()
    if compression not in _COMPRESSIONS:
        _log.warning(
            "OTEL_EXPORTER_OTLP_COMPRESSION: %r is none of %s; nothing is compressed", compression, _COMPRESSIONS
        )
        compression = "none"
    insecure = (option("INSECURE") or "").lower() == "true"
    if protocol == "grpc":
        url, secure = _grpc_address(settings.endpoint or option("ENDPOINT"), insecure=insecure)
    else:
        own_url = (env.get(f"OTEL_EXPORTER_OTLP_{name.upper()}_ENDPOINT") or "").strip()
        base = settings.endpoint or (env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "").strip() or "http://localhost:4318"
        url = own_url if own_url and not settings.endpoint else f"{base.rstrip('/')}/v1/{name}"
        secure = url.startswith("https:")
    return Target(
        protocol,
        url,
        secure,
        headers,
        compression,
        option("CERTIFICATE"),
        option("CLIENT_CERTIFICATE"),
        option("CLIENT_KEY"),
    )


def _token_header(settings: Settings, signal: str, protocol: str, env: Mapping[str, str]) -> dict[str, str]:
    """The token, for the collector and nobody else."""
    if not settings.token:
        return {}
    endpoint = endpoint_of(signal, settings.endpoint, protocol, env)
    if carries_token(endpoint, settings.collector_url):
        return {"authorization": f"Bearer {settings.token}"}
    _log.warning(
        "the token is not sent with %s to %s, which is not the host of collector_url (PLUGWARDEN_COLLECTOR_URL); "
        "what another endpoint wants goes into OTEL_EXPORTER_OTLP_HEADERS",
        signal,
        ascii(endpoint.rpartition("@")[2]),
    )
    return {}


def _grpc_address(endpoint: str | None, *, insecure: bool) -> tuple[str, bool]:
    """(address, whether to encrypt). A scheme decides; without one OTEL_EXPORTER_OTLP_INSECURE does."""
    endpoint = endpoint or f"http://localhost:{_PORTS['grpc']}"
    parts = urllib.parse.urlsplit(endpoint)
    if parts.scheme in {"http", "https"} and parts.netloc:
        return parts.netloc, parts.scheme == "https"
    return endpoint, not insecure
