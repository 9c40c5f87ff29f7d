"""The sidecar's settings: keyword arguments first, then PLUGWARDEN_* and OTEL_* variables, then defaults."""

from __future__ import annotations

import logging
import os
import socket
import stat
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from plugwarden.address import address_fault
from plugwarden.contract import name_fault
from plugwarden.contract.attributes import ENVIRONMENT, HOST_NAME, SERVICE_INSTANCE_ID, SERVICE_NAME
from plugwarden.contract.value import value
from plugwarden.errors import ConfigurationError
from plugwarden.nearest import hint

__all__ = ["PROTOCOLS", "Settings", "pairs_of"]

PROTOCOLS = ("grpc", "http/protobuf", "http/json")
"""The values of OTEL_EXPORTER_OTLP_PROTOCOL."""
MAX_TOKEN_BYTES = 16 * 1024
"""Bytes of a token's file; servers refuse a header that is longer."""
_TRUE = frozenset({"1", "true", "yes", "on"})
_log = logging.getLogger(__name__)


@value
class Settings:
    """Everything a sidecar can be told. OTLP endpoints and headers are read from OTEL_EXPORTER_OTLP_* when it sends."""

    service: str = "unknown_service"
    """`service.name`. From OTEL_SERVICE_NAME, or `service.name` in OTEL_RESOURCE_ATTRIBUTES."""
    instance_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """`service.instance.id`, unique per process; made anew after a fork. From OTEL_RESOURCE_ATTRIBUTES."""
    environment: str | None = None
    """`deployment.environment.name`. From PLUGWARDEN_ENVIRONMENT, or OTEL_RESOURCE_ATTRIBUTES."""
    collector_url: str | None = None
    """Base address of the collector's HTTP API, for directives. From PLUGWARDEN_COLLECTOR_URL; none: no directives."""
    token: str | None = field(default=None, repr=False)
    """Bearer token for the collector: one with the scopes `ingest,directives`, never one that may operate. From PLUGWARDEN_TOKEN, or the
    file that PLUGWARDEN_TOKEN_FILE names, which no program that is started inherits."""
    trace_ratio: float = 0.1
    """Share of ordinary traces kept, in [0, 1]; beside it what failed, and the slowest while there is room. From PLUGWARDEN_TRACE_RATIO."""
    traces_per_second: float = 5.0
    """The most that are kept for that share of an operation's calls that call nothing observed themselves: they are examples, and
    every call is counted. From PLUGWARDEN_TRACES_PER_SECOND. With a `trace_ratio` of 1 all are kept."""
    state_dir: Path | None = None
    """Where directives are kept across restarts. From PLUGWARDEN_STATE_DIR; none: only in memory."""
    export_interval_seconds: float = 5.0
    """How often telemetry is sent when nothing is wrong. From PLUGWARDEN_EXPORT_INTERVAL. Trouble is sent at once."""
    protocol: str = "http/protobuf"
    """`http/protobuf`, `http/json` or `grpc`. From OTEL_EXPORTER_OTLP_PROTOCOL and its forms for one signal;
    OpenTelemetry's own default is http/protobuf."""
    protocol_given: bool = False
    """Whether `protocol` was said in code, which then holds for all signals."""
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
    breakers: bool = True
    """Operations that do not say otherwise have a breaker. From PLUGWARDEN_BREAKERS (on or off)."""
    disabled: bool = False
    """Wrapping returns the function unchanged. From PLUGWARDEN_DISABLED (1, true, yes or on) or OTEL_SDK_DISABLED (true)."""
    resource: Mapping[str, str] = field(default_factory=dict)
    """Further resource attributes, over those of OTEL_RESOURCE_ATTRIBUTES."""
    host_name: str = field(default_factory=socket.gethostname)
    """`host.name`. From OTEL_RESOURCE_ATTRIBUTES, or the machine's."""
    exit_seconds: float = 1.0
    """The most that the end of the process waits for what is left to be sent, all its sidecars together. From
    PLUGWARDEN_EXIT_SECONDS. What is not sent by then goes to the spool, if there is one."""
    sigterm: bool = True
    """Whether SIGTERM may be handled under uvicorn, which raises it again at its end and so skips exit handlers. From
    PLUGWARDEN_SIGTERM (0, false, no or off)."""

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
        known = sorted(set(cls.__match_args__) - {"protocol_given"})
        for name in values:
            if name not in known:
                raise ConfigurationError(f"{name}: no such setting; {hint(name, known)}")
        values = _checked(values)
        values["protocol_given"] = "protocol" in values
        for name, variable in _VARIABLES:
            text = env.get(variable, "").strip()
            if name not in values and text:
                try:
                    values |= _checked({name: text})
                except ConfigurationError as error:
                    # A mistake in the environment is no reason for a host not to run.
                    _log.warning("%s is left out: %s", variable, error)
        if "token" not in values and env.get("PLUGWARDEN_TOKEN_FILE"):
            try:
                values["token"] = _token_of(env["PLUGWARDEN_TOKEN_FILE"])
            except ConfigurationError as error:
                _log.warning("%s; no token is sent", error)
        _take_resource(values, env)
        if env.get("PLUGWARDEN_WORKER"):
            values["disabled"] = True  # a plugin's worker process, which imports what the host wraps
        elif "disabled" not in values:
            values["disabled"] = (
                env.get("PLUGWARDEN_DISABLED", "").strip().lower() in _TRUE
                or env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
            )
        return cls(**values)


def _token_of(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would be waited for
        try:
            found = os.fstat(descriptor)
            text = os.read(descriptor, MAX_TOKEN_BYTES + 1) if stat.S_ISREG(found.st_mode) else None
        finally:
            os.close(descriptor)
        if text is None:
            raise ConfigurationError("is no file")
        if found.st_mode & stat.S_IWOTH:
            raise ConfigurationError(f"may be written by every user: `chmod o= {path}`")
        words = text.decode("utf-8").split()
        if len(words) != 1 or len(text) > MAX_TOKEN_BYTES:
            raise ConfigurationError("must hold one token")
        token = str(_checked({"token": words[0]})["token"])
        if found.st_mode & stat.S_IROTH:
            # Said, and no more: Kubernetes mounts a secret with 0644 and Docker with 0444 where nobody chose a mode.
            _log.warning(
                "PLUGWARDEN_TOKEN_FILE: %s: every user may read it; mount it with mode 0440, or `chmod o= %s`",
                path,
                path,
            )
        return token
    except (OSError, ValueError) as error:  # a `ConfigurationError` is one
        raise ConfigurationError(f"PLUGWARDEN_TOKEN_FILE: {path}: {error}") from None


_VARIABLES = (
    ("service", "OTEL_SERVICE_NAME"),
    ("environment", "PLUGWARDEN_ENVIRONMENT"),
    ("collector_url", "PLUGWARDEN_COLLECTOR_URL"),
    ("token", "PLUGWARDEN_TOKEN"),
    ("state_dir", "PLUGWARDEN_STATE_DIR"),
    ("protocol", "OTEL_EXPORTER_OTLP_PROTOCOL"),
    ("trace_ratio", "PLUGWARDEN_TRACE_RATIO"),
    ("traces_per_second", "PLUGWARDEN_TRACES_PER_SECOND"),
    ("export_interval_seconds", "PLUGWARDEN_EXPORT_INTERVAL"),
    ("spool_bytes", "PLUGWARDEN_SPOOL_BYTES"),
    ("loop_lag_seconds", "PLUGWARDEN_LOOP_LAG"),
    ("breakers", "PLUGWARDEN_BREAKERS"),
    ("exit_seconds", "PLUGWARDEN_EXIT_SECONDS"),
    ("sigterm", "PLUGWARDEN_SIGTERM"),
)
_NUMBERS = {
    "trace_ratio": (0.0, 1.0),
    "traces_per_second": (0.001, 1e9),
    "export_interval_seconds": (0.1, 300.0),
    "spool_bytes": (0.0, 2.0**40),
    "loop_lag_seconds": (0.0, 60.0),
    "exit_seconds": (0.0, 60.0),
}
"""Name -> the least and the most."""


def pairs_of(text: str, *, lower: bool = False) -> Iterator[tuple[str, str]]:
    """The pairs of a `key=value,key=value` variable, percent-decoded; what is no pair is left out (W3C baggage's form)."""
    for part in text.split(","):
        key, equals, value = part.partition("=")
        key = urllib.parse.unquote(key.strip())
        value = urllib.parse.unquote(value.strip())
        if equals and key and value:
            yield key.lower() if lower else key, value


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the settings hold them; raises `ConfigurationError` naming the one that is wrong."""
    values = dict(given)
    for name, (low, high) in _NUMBERS.items():
        if values.get(name) is not None:
            values[name] = _number(name, values[name], low, high)
    if "spool_bytes" in values:
        values["spool_bytes"] = int(values["spool_bytes"])
    if "loop_lag_seconds" in values:
        values["loop_lag_seconds"] = values["loop_lag_seconds"] or None
    if not callable(values.get("redact", True)) and not isinstance(values.get("redact", True), bool):
        raise ConfigurationError("redact: must be True, False or a function from text to text")
    for name in ("breakers", "sigterm"):
        if name in values:
            values[name] = _switch(values, name)
    if "protocol" in values:
        protocol = str(values["protocol"]).lower()
        if protocol not in PROTOCOLS:
            raise ConfigurationError(f"protocol: {values['protocol']!r} is none of {', '.join(PROTOCOLS)}")
        values["protocol"] = protocol
    url = values.get("collector_url")
    if url is not None:
        values["collector_url"] = _address("collector_url", str(url))
    token = values.get("token")
    if token is not None and not (str(token).isascii() and str(token).isprintable() and len(str(token).split()) == 1):
        # It is shown to nobody.
        raise ConfigurationError("token: must be one word of visible ASCII characters; no request can carry another")
    for name in ("service", "environment", "host_name"):
        if isinstance(values.get(name), str):
            values[name] = _sendable(values[name])
    fault = name_fault("instance", values["instance_id"]) if "instance_id" in values else None
    if fault is not None:
        raise ConfigurationError(f"instance_id: {fault}, got {values['instance_id']!r:.300}")
    if values.get("state_dir") is not None:
        values["state_dir"] = Path(values["state_dir"])
    return values


def _address(name: str, url: str) -> str:
    """Return the address of an HTTP API, without the slash at its end."""
    fault = address_fault(url)
    if fault is None and "@" in urllib.parse.urlsplit(url).netloc:
        fault = "must not have a name or password in it; there is `token`"
    if fault is not None:
        raise ConfigurationError(f"{name}: {fault}")
    return url.rstrip("/")


def _sendable(text: str) -> str:
    """What is not UTF-8 in a variable comes as lone surrogates, which neither a request nor a query can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _take_resource(values: dict[str, Any], env: Mapping[str, str]) -> None:
    """OTEL_RESOURCE_ATTRIBUTES: what has a setting of its own becomes that one where it is not given."""
    found = dict(pairs_of(_sendable(env.get("OTEL_RESOURCE_ATTRIBUTES", ""))))
    for name, attribute in _ATTRIBUTES:
        text = found.pop(attribute, None)
        if text is not None and name not in values:
            try:
                values |= _checked({name: text})
            except ConfigurationError as error:
                _log.warning("OTEL_RESOURCE_ATTRIBUTES: %s is left out: %s", attribute, error)
    values["resource"] = {**found, **values.get("resource", {})}


_ATTRIBUTES = (
    ("service", SERVICE_NAME),
    ("instance_id", SERVICE_INSTANCE_ID),
    ("environment", ENVIRONMENT),
    ("host_name", HOST_NAME),
)


def _guarded(redact: Callable[[str], str]) -> Callable[[str], str]:
    def guarded(text: str) -> str:
        try:
            return str(redact(text))
        except Exception:  # noqa: BLE001 - a text that could not be looked at does not leave
            return "[redaction failed]"

    return guarded


def _switch(values: Mapping[str, Any], name: str) -> bool:
    word = str(values[name]).strip().lower()
    if word in _TRUE:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ConfigurationError(f"{name}: {values[name]!r} is neither on nor off")


def _number(name: str, raw: Any, low: float, high: float) -> float:
    try:
        number = float(raw)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name}: {raw!r} is not a number") from error
    if not low <= number <= high:
        raise ConfigurationError(f"{name}: {number} is outside {low} to {high}")
    return number
