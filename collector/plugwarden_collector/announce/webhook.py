"""The body of a notification: Alertmanager's webhook payload, version 4, and what it tells us when we read it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .outbox import RESOLVED, Message
from .subject import Subject

__all__ = ["payload", "subject_in"]

_ZERO = "0001-01-01T00:00:00Z"
"""Alertmanager's time for "not ended"."""


def payload(message: Message, at: datetime) -> dict[str, Any]:
    """The webhook body for one message; `at` is when it is sent."""
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
        "groupLabels": {name: labels[name] for name in ("plugin", "component") if name in labels},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [entry],
    }


def subject_in(body: str) -> Subject | None:
    """The subject that a stored body told of; None where it is not one of ours."""
    try:
        (entry,) = json.loads(body)["alerts"]
        labels, notes = _texts(entry["labels"]), _texts(entry["annotations"])
        at = datetime.fromisoformat(entry["startsAt"]).astimezone(UTC).replace(tzinfo=None)
        if "severity" not in labels:
            return None
        return Subject(str(entry["fingerprint"]), labels, notes.get("summary", ""), notes.get("description", ""), at)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _texts(found: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in found.items()}


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds") + "Z"
