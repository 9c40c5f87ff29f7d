"""Receivers: where notifications go, and in which form."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
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
    url: str = field(repr=False)
    """Its address, which is often its secret."""
    severities: tuple[str, ...] = ("page", "ticket")
    """Severities that it is told of; events have none."""
    kind: ReceiverKind = ReceiverKind.WEBHOOK
    group_by: tuple[str, ...] | None = None
    """Labels by which what belongs together is told at once; None: each subject by itself, and without waiting."""
    group_wait: timedelta = timedelta(seconds=30)
    """How long a new group waits for more of it."""
    group_interval: timedelta = timedelta(minutes=5)
    """How long after a notice of a group the next one of it comes at the soonest."""
    repeat: timedelta = timedelta(hours=4)
    """How long after it was told last what still lasts is told again."""
