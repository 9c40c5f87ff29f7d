"""Where the collector's token may go: to the collector, and neither to another endpoint nor to a program that a plugin is."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

__all__ = ["carries_token", "without_tokens"]

_TOKENS = ("PLUGWARDEN_TOKEN", "PLUGWARDEN_INGEST_TOKEN", "OTEL_EXPORTER_OTLP_HEADERS")
"""Beginnings of variables that hold a token or its file, such as PLUGWARDEN_TOKEN_FILE and PLUGWARDEN_TOKENS_FILE."""
_HEADERS_OF_A_SIGNAL = ("OTEL_EXPORTER_OTLP_", "_HEADERS")


def without_tokens(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without what opens a collector, for a program that is a plugin."""
    return {name: value for name, value in environ.items() if not _is_token(name)}


def _is_token(name: str) -> bool:
    start, end = _HEADERS_OF_A_SIGNAL
    return name.startswith(_TOKENS) or (name.startswith(start) and name.endswith(end))


def carries_token(endpoint: str, collector_url: str | None) -> bool:
    """Whether an OTLP endpoint is the collector's: the same host, and encrypted where the collector's address is.

    Loopback's names are one host. Ports differ by design. Without a collector's address nobody knows whose the token is.
    """
    if collector_url is None:
        return False
    theirs, ours = _split(endpoint), _split(collector_url)
    if not theirs.hostname or _host(theirs) != _host(ours):
        return False
    return ours.scheme != "https" or theirs.scheme == "https" or _host(theirs) == "localhost"


def _split(address: str) -> SplitResult:
    """gRPC takes `host:port` too."""
    try:
        return urlsplit(address if "://" in address else f"//{address}")
    except ValueError:
        return urlsplit("")


def _host(parts: SplitResult) -> str:
    name = (parts.hostname or "").rstrip(".").lower()
    try:
        return "localhost" if ip_address(name).is_loopback else name
    except ValueError:
        return name
