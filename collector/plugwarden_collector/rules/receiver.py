"""Receivers: where notifications go, and in which form."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from plugwarden_collector.matcher import Matcher

__all__ = ["Mail", "Receiver", "ReceiverKind", "Tls"]


class ReceiverKind(StrEnum):
    """What a receiver is sent, and in which form. All but `cloudevents` are told what people must know of, with its end."""

    WEBHOOK = "webhook"
    """Alertmanager's webhook payload, version 4."""
    CLOUDEVENTS = "cloudevents"
    """Every transition, once: CloudEvents 1.0 in structured JSON."""
    ALERTMANAGER = "alertmanager"
    """Alerts for Alertmanager's API, version 2, which groups, routes and repeats them itself."""
    SLACK = "slack"
    """A message for an incoming webhook of Slack, or of what speaks as it does."""
    PAGERDUTY = "pagerduty"
    """Events for PagerDuty, version 2."""
    EMAIL = "email"
    """A message by SMTP."""
    APPRISE = "apprise"
    """A message by any service that the library Apprise knows, where it is installed."""


class Tls(StrEnum):
    """How a connection to a mail server is encrypted."""

    STARTTLS = "starttls"
    TLS = "tls"
    """From the first byte."""
    NONE = "none"
    """It is not: for a server on this machine."""


@dataclass(frozen=True, slots=True)
class Mail:
    """How a message goes by SMTP."""

    host: str
    port: int
    sender: str
    to: tuple[str, ...]
    tls: Tls = Tls.STARTTLS
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where notifications go."""

    name: str
    url: str = field(default="", repr=False)
    """Its address, which is often its secret; of one by mail, none."""
    severities: tuple[str, ...] = ("page", "ticket")
    """Severities that it is told of; events have none."""
    kind: ReceiverKind = ReceiverKind.WEBHOOK
    group_by: tuple[str, ...] | None = None
    """Labels by which what belongs together is told at once; None: each subject by itself, and without waiting."""
    group_wait: timedelta = timedelta(seconds=30)
    """How long a new group waits for more of it (Alertmanager's default)."""
    group_interval: timedelta = timedelta(minutes=5)
    """How long after a notice of a group the next one of it comes at the soonest (Alertmanager's default)."""
    repeat: timedelta = timedelta(hours=4)
    """How long after it was told last what still lasts is told again (Alertmanager's default)."""
    others: tuple[str, ...] = field(default=(), repr=False)
    """Addresses of further servers of one Alertmanager."""
    routing_key: str = field(default="", repr=False)
    """PagerDuty's secret."""
    mail: Mail | None = None
    escalate_after: timedelta | None = None
    """For how long others must have been told, and nobody have acknowledged it, before this one is; None: it waits for nobody."""
    matchers: tuple[Matcher, ...] = ()
    """What it is told of: all of them must match; none: of everything of its severities."""

    @property
    def is_told(self) -> bool:
        """Whether it is told what people must know of; others are sent events."""
        return self.kind is not ReceiverKind.CLOUDEVENTS

    @property
    def expires(self) -> bool:
        """Whether what it is not told of again is over to it."""
        return self.kind is ReceiverKind.ALERTMANAGER
