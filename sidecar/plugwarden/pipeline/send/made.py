"""The sender of each signal, as its target needs it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from plugwarden.admittance import Admittance
from plugwarden.settings import Settings

from .provided import provider_name
from .sender import SIGNALS, Sender, Verdict
from .variables import Target, read_target

__all__ = ["make_senders"]


def make_senders(settings: Settings) -> dict[str, Sender]:
    """Signal -> its sender. Everything that sending will need is imported here; nothing is connected."""
    admittances: dict[object, Admittance] = {}
    senders: dict[str, Sender] = {}
    for signal in SIGNALS:
        target = read_target(settings, signal)
        shown = target.address, target.credential, *sorted(target.headers.items())
        if shown not in admittances:  # signals that show the same to the same are let in together, and said of together
            admittances[shown] = Admittance("telemetry", target.address, target.credential)
        senders[signal] = _Admitted(_sender(target, signal), admittances[shown])
    return senders


class _Admitted:
    """A sender whose being denied is told to people; what was denied is tried again."""

    def __init__(self, sender: Sender, admittance: Admittance) -> None:
        self._sender = sender
        self._admittance = admittance
        self.shutdown = sender.shutdown

    def send(self, data: bytes) -> Verdict:
        """Send one request."""
        verdict = self._sender.send(data)
        if verdict is Verdict.TAKEN or verdict is Verdict.DENIED:
            self._admittance.note(verdict is Verdict.TAKEN)
        return Verdict.RETRY if verdict is Verdict.DENIED else verdict


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
