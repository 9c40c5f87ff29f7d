"""Every kind of receiver and what sends to it, over connections that are kept for as long as the block lasts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from plugwarden_collector.rules.receiver import ReceiverKind

from .alertmanager import Alertmanager
from .apprise import Apprise
from .email import Email
from .pagerduty import PagerDuty
from .post import http_client
from .sender import Sender
from .slack import Slack
from .webhook import Webhook

__all__ = ["open_senders"]


@asynccontextmanager
async def open_senders() -> AsyncIterator[Mapping[ReceiverKind, Sender]]:
    """Give a sender for each kind of receiver that people are told by; of events, `announce.events` knows more than a sender would."""
    async with http_client() as client:
        yield {
            ReceiverKind.WEBHOOK: Webhook(client),
            ReceiverKind.ALERTMANAGER: Alertmanager(client),
            ReceiverKind.SLACK: Slack(client),
            ReceiverKind.PAGERDUTY: PagerDuty(client),
            ReceiverKind.EMAIL: Email(),
            ReceiverKind.APPRISE: Apprise(),
        }
