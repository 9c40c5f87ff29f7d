"""Receivers: where notifications go, and in which form."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Receiver", "ReceiverKind"]


class ReceiverKind(StrEnum):
    """What a receiver is sent, and in which form."""

    WEBHOOK = "webhook"
    """What people must know of, from its beginning to its end: Alertmanager's webhook payload, version 4."""
    CLOUDEVENTS = "cloudevents"
    """Every transition, once: CloudEvents 1.0 in structured JSON."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where notifications go."""

    name: str
    url: str
    severities: tuple[str, ...] = ("page", "ticket")
    """Severities that a webhook is told of; events have none."""
    kind: ReceiverKind = ReceiverKind.WEBHOOK
