"""Credential providers: what a package of the host's gives OpenTelemetry's exporters to identify themselves with.

(Entry points of the group `opentelemetry_otlp_credential_provider`, named by OTEL_PYTHON_EXPORTER_OTLP_*_CREDENTIAL_PROVIDER.)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .sender import SIGNALS

__all__ = ["provided", "provider_name"]


def provider_name(transport: str, signal: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The provider for `HTTP` or `GRPC`; None when none is named."""
    env = os.environ if environ is None else environ
    head = f"OTEL_PYTHON_EXPORTER_OTLP_{transport}"
    named = env.get(f"{head}_CREDENTIAL_PROVIDER") or env.get(f"{head}_{SIGNALS[signal].upper()}_CREDENTIAL_PROVIDER")
    return named or None


def provided(name: str) -> Any:
    """A `requests.Session`, or `grpc.ChannelCredentials`. Raises `LookupError` when nobody provides it."""
    from importlib.metadata import entry_points

    for entry in entry_points(group="opentelemetry_otlp_credential_provider", name=name):
        return entry.load()()
    raise LookupError(f"no package provides the OTLP credentials {name!r}")
