"""PagerDuty: events, version 2. It joins what has one key, and repeats and escalates by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx2

from plugwarden_collector.rules.receiver import Receiver

from ..message import FIRING
from ..notice import Notice
from ..signs import unlinked
from ..text import text_of
from .answer import Answer
from .post import post
from .sender import Occasion
from .webhook import timestamp

__all__ = ["PagerDuty"]

MAX_SUMMARY = 1_024
"""Characters of a summary (PagerDuty, Events API v2)."""
_SEVERITIES = {"page": "critical", "ticket": "warning"}


class PagerDuty:
    """What PagerDuty is sent, and how."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    def form(self, receiver: Receiver, notice: Notice, occasion: Occasion) -> dict[str, Any]:
        """Return the event of a subject, without the key of the service."""
        (message,) = notice.messages  # its rules know no groups
        subject, text = message.subject, text_of(message, occasion.public_url, unlinked)
        links = [{"href": text.link, "text": "Plugwarden"}] if text.link else []
        shown = {
            name: unlinked(value) for name, value in subject.labels.items()
        }  # people read them here, and nothing matches them
        event: dict[str, Any] = {
            "event_action": "trigger" if message.status == FIRING else "resolve",
            "dedup_key": subject.key,
            "payload": {
                "summary": text.title[:MAX_SUMMARY],
                "source": unlinked(subject.scope or subject.labels.get("plugin") or "plugwarden"),
                "severity": _SEVERITIES.get(subject.severity, "warning"),
                "timestamp": timestamp(subject.started_at),
                "class": unlinked(subject.labels.get("alertname", "")),
                "custom_details": {**dict(text.lines), "labels": shown},
            },
            "client": "Plugwarden",
            "links": links,
        }
        if text.link:
            event["client_url"] = text.link
        return {"status": message.status, "event": event}

    async def send(self, receiver: Receiver, form: Mapping[str, Any], attempt: str) -> Answer:
        """Post it, with the key."""
        body = json.dumps({"routing_key": receiver.routing_key, **form["event"]})
        return await post(self._client, receiver.url, body, attempt)
