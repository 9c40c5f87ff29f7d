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

from plugwarden.address import address_fault, bare_address
from plugwarden.admittance import OWN_TOKEN
from plugwarden.contract.value import value
from plugwarden.errors import ConfigurationError
from plugwarden.settings import PROTOCOLS, Settings, pairs_of
from plugwarden.token_reach import carries_token

from .sender import SIGNALS

__all__ = ["Target", "read_target"]

_COMPRESSIONS = ("none", "gzip", "deflate")
_DEFAULTS = {
    "grpc": "http://localhost:4317",
    "http/protobuf": "http://localhost:4318",
    "http/json": "http://localhost:4318",
}
_ENCRYPTED = (
    "%s: %s has no scheme and is taken for https://; write http://%s, or set OTEL_EXPORTER_OTLP_INSECURE=true, where it is"
    " not encrypted"
)
_HEADER_NAME = r"[!#$%&'*+.^_`|~0-9a-z-]+"
_HEADER_TEXT = r"[\t\x20-\x7e\xa0-\xff]*"
"""RFC 9110, 5.1 and 5.5. Compiled where a header is given."""
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
    credential: str
    """Which variable is to be set to what where this is not let in."""

    @property
    def address(self) -> str:
        """Where it goes, without a path."""
        return f"{parts.scheme}://{parts.netloc}" if (parts := urllib.parse.urlsplit(self.url)).netloc else self.url


def read_target(settings: Settings, signal: str, environ: Mapping[str, str] | None = None) -> Target:
    """The target of one signal (`spans`, `metrics`, `logs`). Raises `ConfigurationError` for an endpoint that is no address."""
    env = os.environ if environ is None else environ
    name = SIGNALS[signal]

    def option(what: str) -> str | None:
        found = env.get(f"OTEL_EXPORTER_OTLP_{name.upper()}_{what}") or env.get(f"OTEL_EXPORTER_OTLP_{what}")
        return found.strip() or None if found else None

    protocol = settings.protocol
    if not settings.protocol_given:
        own = (env.get(f"OTEL_EXPORTER_OTLP_{name.upper()}_PROTOCOL") or "").strip().lower()
        protocol = own if own in PROTOCOLS else protocol
    variable, endpoint = _endpoint(settings, name, protocol, env)
    headers = {}
    for key, text in pairs_of(option("HEADERS") or "", lower=True):
        if re.fullmatch(_HEADER_NAME, key) and re.fullmatch(_HEADER_TEXT, text):
            headers[key] = text
        else:  # its text may be a secret
            _log.warning("OTEL_EXPORTER_OTLP_HEADERS: %.100r is left out: no request can carry such a header", key)
    token = _token_header(settings, signal, endpoint)
    headers |= token
    compression = (option("COMPRESSION") or "none").lower()
    if compression not in _COMPRESSIONS:
        _log.warning(
            "OTEL_EXPORTER_OTLP_COMPRESSION: %r is none of %s; nothing is compressed", compression, _COMPRESSIONS
        )
        compression = "none"
    if protocol == "grpc":
        url, secure = _grpc_address(endpoint, insecure=(option("INSECURE") or "").lower() == "true")
        first = variable.endswith(f"{name.upper()}_ENDPOINT") or signal == next(iter(SIGNALS))
        if first and secure and bare_address(url) and not (option("INSECURE") or option("CERTIFICATE")):
            _log.warning(_ENCRYPTED, variable, ascii(url), url)
    else:
        fault = address_fault(endpoint)
        if fault is not None:  # a request would go to whatever it can be taken for, and nobody hear of it
            raise ConfigurationError(f"{variable}: {fault}")
        url = endpoint if variable.endswith(f"{name.upper()}_ENDPOINT") else f"{endpoint.rstrip('/')}/v1/{name}"
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
        _credential(settings, name, endpoint, env, token_sent=bool(token)),
    )


def _token_header(settings: Settings, signal: str, endpoint: str) -> dict[str, str]:
    """The token, for the collector and nobody else."""
    if not settings.token:
        return {}
    if carries_token(endpoint, settings.collector_url):
        return {"authorization": f"Bearer {settings.token}"}
    _log.warning(
        "the token is not sent with %s to %s, which is not the host of collector_url (PLUGWARDEN_COLLECTOR_URL); "
        "what another endpoint wants goes into OTEL_EXPORTER_OTLP_HEADERS",
        signal,
        ascii(endpoint.rpartition("@")[2]),
    )
    return {}


def _credential(settings: Settings, name: str, endpoint: str, env: Mapping[str, str], *, token_sent: bool) -> str:
    """What to set where a target lets nobody in who shows what we do."""
    own = f"OTEL_EXPORTER_OTLP_{name.upper()}_HEADERS"
    headers = own if env.get(own) else "OTEL_EXPORTER_OTLP_HEADERS"
    if token_sent or (carries_token(endpoint, settings.collector_url) and not env.get(headers)):
        return f"{OWN_TOKEN} to a token with the scope `ingest`"
    if settings.collector_url is not None or env.get(headers):
        return f"{headers} to what it asks for"
    return (
        f"{headers} to what it asks for, or {OWN_TOKEN}, and PLUGWARDEN_COLLECTOR_URL, which a token is sent to alone"
    )


def _endpoint(settings: Settings, name: str, protocol: str, env: Mapping[str, str]) -> tuple[str, str]:
    """Which keyword or variable says where to, and what."""
    own, common = f"OTEL_EXPORTER_OTLP_{name.upper()}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
    for variable, given in (("endpoint", settings.endpoint), (own, env.get(own)), (common, env.get(common))):
        if given is not None and given.strip():
            return variable, given.strip()
    return "", _DEFAULTS[protocol]


def _grpc_address(endpoint: str, *, insecure: bool) -> tuple[str, bool]:
    """(address, whether to encrypt). A scheme decides; without one OTEL_EXPORTER_OTLP_INSECURE does."""
    parts = urllib.parse.urlsplit(endpoint)
    if parts.scheme in {"http", "https"} and parts.netloc:
        return parts.netloc, parts.scheme == "https"
    return endpoint, not insecure
