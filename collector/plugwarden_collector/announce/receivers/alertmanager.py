"""Alertmanager: alerts for its API, version 2. It groups, routes, silences and repeats them itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx2

from plugwarden_collector.rules.receiver import Receiver

from ..message import FIRING, Message
from ..notice import Notice
from ..text import link_to
from .answer import Answer, Verdict
from .post import post
from .sender import Occasion
from .webhook import annotations_of, labels_for, timestamp

__all__ = ["Alertmanager"]

LASTS = timedelta(minutes=15)
"""An alert ends by itself this long after it was told last, three times as long as it takes until it is told again
(`rules.receiver_keys.REFRESH`): a collector that is away for a few minutes ends none."""
LATE = timedelta(minutes=5)
"""What was over before it could be told fires for so long: of what ends before `group_wait` is over, Alertmanager tells nobody."""


class Alertmanager:
    """What an Alertmanager is sent, and how."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    def form(self, receiver: Receiver, notice: Notice, occasion: Occasion) -> dict[str, Any]:
        """Return the alerts of its API."""
        return {"status": notice.status, "alerts": [_alert(item, occasion) for item in notice.messages]}

    async def send(self, receiver: Receiver, form: Mapping[str, Any], attempt: str) -> Answer:
        """Post them to every server of it; one that took them is enough, for they tell each other."""
        body = json.dumps(form["alerts"])
        urls = [f"{url.rstrip('/')}/api/v2/alerts" for url in (receiver.url, *receiver.others)]
        answers = await asyncio.gather(*(post(self._client, url, body, attempt) for url in urls))
        order = (Verdict.TAKEN, Verdict.MISSED, Verdict.REFUSED)
        return min(answers, key=lambda answer: order.index(answer.verdict))


def _alert(message: Message, occasion: Occasion) -> dict[str, Any]:
    if message.status == FIRING:
        ends = occasion.at + (LASTS if message.ended is None else LATE)
    else:
        ended = occasion.at if message.ended is None else message.ended.at
        told_at = None if message.ended is None else message.ended.told_at
        ends = ended if told_at is None else told_at + LATE
    return {
        "labels": labels_for(message, occasion),
        "annotations": annotations_of(message),
        "startsAt": timestamp(message.subject.started_at),
        "endsAt": timestamp(ends),
        "generatorURL": link_to(occasion.public_url, message.subject.path),
    }
