"""The sender of each signal, as its target needs it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from plugwarden.settings import Settings

from .provided import provider_name
from .sender import SIGNALS, Sender
from .variables import Target, read_target

__all__ = ["make_senders"]


def make_senders(settings: Settings) -> dict[str, Sender]:
    """Signal -> its sender. Everything that sending will need is imported here; nothing is connected."""
    return {signal: _sender(read_target(settings, signal), signal) for signal in SIGNALS}


def _sender(target: Target, signal: str) -> Sender:
    if target.protocol == "grpc":
        from .grpc import GrpcSender

        return GrpcSender(target, signal)
    if target.protocol == "http/json":
        from .json_form import to_json
        from .plain import PlainSender

        return PlainSender(target, content_type="application/json", convert=to_json(signal))
    if _needs_exporter(target, signal, os.environ):
        from .exporters import ExporterSender

        return ExporterSender(target, signal)
    from .plain import PlainSender

    return PlainSender(target)


def _needs_exporter(target: Target, signal: str, env: Mapping[str, str]) -> bool:
    """Whether a variable asks for what only OpenTelemetry's exporter, and requests below it, can do."""
    if provider_name("HTTP", signal, env) is not None:
        return True
    if not any(name.lower() in {"http_proxy", "https_proxy", "all_proxy"} and value for name, value in env.items()):
        return False
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(target.url)
    return bool({parts.scheme, "all"} & set(getproxies())) and not proxy_bypass(parts.hostname or "")
