"""Webhooks: Alertmanager's payload, version 4."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx2

from plugwarden_collector.decide.labels import TOLD_BY, TOLDER
from plugwarden_collector.rules.receiver import Receiver

from ..message import RESOLVED, Message
from ..notice import Notice
from ..signs import unmarked
from ..text import describe, link_to
from .answer import Answer
from .post import post
from .sender import Occasion

__all__ = ["Webhook", "annotations_of", "labels_for", "payload", "timestamp"]

_ZERO = "0001-01-01T00:00:00Z"
"""Alertmanager's time for "not ended"."""


class Webhook:
    """What a webhook is sent, and how."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    def form(self, receiver: Receiver, notice: Notice, occasion: Occasion) -> dict[str, Any]:
        """Return Alertmanager's payload, with the head of the decision log beside it."""
        return {**payload(notice, occasion), **occasion.stamp}

    async def send(self, receiver: Receiver, form: Mapping[str, Any], attempt: str) -> Answer:
        """Post it."""
        return await post(self._client, receiver.url, json.dumps(form), attempt)


def payload(notice: Notice, occasion: Occasion) -> dict[str, Any]:
    """Return the webhook body of a notice."""
    entries = [_entry(message, occasion) for message in notice.messages]
    return {
        "version": "4",
        "groupKey": notice.group,
        "truncatedAlerts": 0,
        "status": notice.status,
        "receiver": notice.receiver,
        "groupLabels": dict(notice.labels),
        "commonLabels": _common([entry["labels"] for entry in entries]),
        "commonAnnotations": _common([entry["annotations"] for entry in entries]),
        "externalURL": occasion.public_url,
        "alerts": entries,
    }


def annotations_of(message: Message) -> dict[str, str]:
    """Return what Alertmanager calls annotations: the summary, each part of the text that is known, `runbook_url` as others name it, and
    who tells it."""
    subject = message.subject
    parts = {
        name: unmarked(getattr(subject, name)) for name in ("scope", "sure", "error", "trace", "done", "until", "todo")
    }
    if message.ended is not None:
        parts = {name: value for name, value in parts.items() if name not in ("done", "until", "todo")}
    told = {
        "summary": unmarked(subject.summary),
        "description": describe(message, unmarked),
        "runbook_url": subject.runbook,
    }
    found = {**told, **parts, **dict([TOLD_BY])}
    return {name: value for name, value in found.items() if value}


def labels_for(message: Message, occasion: Occasion) -> dict[str, str]:
    """Return the labels of a message, with who tells it."""
    return {**message.subject.labels, **({TOLDER: occasion.tolder} if occasion.tolder else {})}


def _entry(message: Message, occasion: Occasion) -> dict[str, Any]:
    subject = message.subject
    ended = occasion.at if message.ended is None else message.ended.at
    return {
        "status": message.status,
        "labels": labels_for(message, occasion),
        "annotations": annotations_of(message),
        "startsAt": timestamp(subject.started_at),
        "endsAt": timestamp(ended) if message.status == RESOLVED else _ZERO,
        "generatorURL": link_to(occasion.public_url, subject.path),
        "fingerprint": subject.key,
    }


def _common(found: list[dict[str, str]]) -> dict[str, str]:
    return {name: value for name, value in found[0].items() if all(other.get(name) == value for other in found)}


def timestamp(at: datetime) -> str:
    """Return a time as Alertmanager writes it, to the millisecond."""
    return at.isoformat(timespec="milliseconds") + "Z"
