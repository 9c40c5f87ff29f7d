"""Notifications to people: Alertmanager's webhook payload (version 4), delivered by a loop of its own with retries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2

from plugwarden_collector.clock import Clock
from plugwarden_collector.decide.standing import AlertRecord
from plugwarden_collector.judge.rules import Receiver

__all__ = ["Delivery", "Notifier", "payload"]

MAX_WAITING = 1_000
MAX_AT_ONCE = 16
ATTEMPTS = 5
TIMEOUT_SECONDS = 5.0
_ZERO = "0001-01-01T00:00:00Z"
"""Alertmanager's time for "not ended"."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt, for the `notifications` table."""

    at: datetime
    receiver: str
    fingerprint: str
    status: str
    """`sent`, `failed` or `given_up`."""
    attempt: int
    error: str | None
    body: str


def payload(record: AlertRecord, status: str) -> dict[str, Any]:
    """The webhook body for one alert."""
    labels = record.labels()
    annotations = {"summary": record.summary, "description": record.description}
    alert = record.alert
    entry = {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": _time(alert.firing_at),
        "endsAt": _time(alert.resolved_at) if status == "resolved" else _ZERO,
        "generatorURL": "",
        "fingerprint": alert.fingerprint,
    }
    return {
        "version": "4",
        "groupKey": f"{{}}:{{fingerprint={alert.fingerprint}}}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "",
        "groupLabels": {name: labels[name] for name in ("plugin", "component") if name in labels},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [entry],
    }


class Notifier:
    """A bounded queue and the loop that empties it."""

    def __init__(self, clock: Clock, record: Any) -> None:
        self._clock = clock
        self._record = record
        """Takes a `Delivery`."""
        self._queue: asyncio.Queue[tuple[Receiver, AlertRecord, str]] = asyncio.Queue(MAX_WAITING)
        self._loop = asyncio.get_running_loop()
        self.dropped = 0

    def announce(self, receivers: tuple[Receiver, ...], record: AlertRecord, status: str) -> None:
        """Queue a notification for every receiver that wants it. May be called from any thread."""
        for receiver in receivers:
            if record.severity in receiver.severities:
                self._loop.call_soon_threadsafe(self._put, (receiver, record, status))

    async def run_notifier(self) -> None:
        """Deliver, for as long as the collector runs."""
        places = asyncio.Semaphore(MAX_AT_ONCE)  # so that one dead receiver does not keep the others waiting
        async with httpx2.AsyncClient(timeout=TIMEOUT_SECONDS) as client, asyncio.TaskGroup() as group:
            while True:
                receiver, record, status = await self._queue.get()
                await places.acquire()
                body = payload(record, status)
                task = group.create_task(self._deliver(client, receiver, body, record.alert.fingerprint))
                task.add_done_callback(lambda _: places.release())

    async def _deliver(
        self, client: httpx2.AsyncClient, receiver: Receiver, body: Mapping[str, Any], fingerprint: str
    ) -> None:
        text = json.dumps({**body, "receiver": receiver.name})
        for attempt in range(1, ATTEMPTS + 1):
            error: str | None = None
            try:
                answer = await client.post(receiver.url, content=text, headers={"content-type": "application/json"})
                if answer.status_code >= 300:
                    error = f"the receiver answered {answer.status_code}"
            except Exception as problem:  # noqa: BLE001 - a receiver may be anything, and the others want their alerts
                error = f"{type(problem).__name__}: {problem}"
            status = "sent" if error is None else ("given_up" if attempt == ATTEMPTS else "failed")
            self._record(Delivery(self._clock(), receiver.name, fingerprint, status, attempt, error, text))
            if error is None or attempt == ATTEMPTS:
                return
            await asyncio.sleep(min(2.0**attempt, 30.0))

    def _put(self, item: tuple[Receiver, AlertRecord, str]) -> None:
        try:
            self._queue.put_nowait(item)
        except asyncio.QueueFull:
            self.dropped += 1


def _time(at: datetime | None) -> str:
    return _ZERO if at is None else at.isoformat(timespec="milliseconds") + "Z"
