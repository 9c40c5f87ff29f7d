"""Webhooks: Alertmanager's payload, version 4, what it tells us when we read it again, and its delivery over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx2

from ..message import RESOLVED, Message
from ..stages.group import group_labels
from ..subject import Subject
from .answer import Answer, Verdict

__all__ = ["TIMEOUT_SECONDS", "deliver", "payload", "subject_in"]

TIMEOUT_SECONDS = 5.0
"""Longest wait for a connection, and for each piece of an answer."""
WHOLE_SECONDS = 10.0
"""Longest time of one delivery in all: a receiver that answers a byte at a time must not hold its place for ever."""

_AGAIN = frozenset({408, 425, 429})
"""Answers that say "later", beside those of 500 and above."""
_ZERO = "0001-01-01T00:00:00Z"
"""Alertmanager's time for "not ended"."""


def payload(message: Message, at: datetime) -> dict[str, Any]:
    """Return the webhook body for one message; `at` is when it is sent."""
    subject = message.subject
    labels = dict(subject.labels)
    annotations = {"summary": subject.summary, "description": subject.description}
    entry = {
        "status": message.status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": _text(subject.started_at),
        "endsAt": _text(at) if message.status == RESOLVED else _ZERO,
        "generatorURL": "",
        "fingerprint": subject.key,
    }
    return {
        "version": "4",
        "groupKey": f"{{}}:{{fingerprint={subject.key}}}",
        "truncatedAlerts": 0,
        "status": message.status,
        "receiver": message.receiver,
        "groupLabels": group_labels(labels),
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [entry],
    }


def subject_in(body: str) -> Subject | None:
    """Return the subject that a stored body told of; None where it is not one of ours."""
    try:
        (entry,) = json.loads(body)["alerts"]
        labels, notes = _texts(entry["labels"]), _texts(entry["annotations"])
        at = datetime.fromisoformat(entry["startsAt"]).astimezone(UTC).replace(tzinfo=None)
        if "severity" not in labels:
            return None
        return Subject(str(entry["fingerprint"]), labels, notes.get("summary", ""), notes.get("description", ""), at)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


async def deliver(client: httpx2.AsyncClient, url: str, body: str, content_type: str = "application/json") -> Answer:
    """Post a body, and return what the receiver made of it. Whatever goes wrong is an answer, for a receiver may be anything."""
    try:
        async with asyncio.timeout(WHOLE_SECONDS):
            # Streamed, so that an answer without an end is not read.
            async with client.stream("POST", url, content=body, headers={"content-type": content_type}) as answer:
                status = answer.status_code
    except Exception as problem:  # noqa: BLE001 - told to whoever asked, and the others want their alerts
        return Answer(Verdict.MISSED, f"{type(problem).__name__}: {problem}")
    if 200 <= status < 300:
        return Answer(Verdict.TAKEN)
    later = status >= 500 or status in _AGAIN
    return Answer(Verdict.MISSED if later else Verdict.REFUSED, f"the receiver answered {status}")


def _texts(found: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in found.items()}


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds") + "Z"
