"""Tells receivers what is due: the loop around the pipeline. Delivers, tries again, and has every delivery recorded."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx2

from plugwarden_collector.clock import Clock
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.durations import duration
from plugwarden_collector.rules.receiver import Receiver, ReceiverKind
from plugwarden_collector.store.ledger import Delivery, ToldSubject

from .certificates import certificates
from .message import FIRING, RESOLVED, Key, Known, Message, Told
from .pipeline import due
from .receivers.answer import Verdict
from .receivers.webhook import TIMEOUT_SECONDS, deliver, payload, subject_in
from .stages.retry import RESOLVED_FOR, Attempts, given_up, retry
from .subject import Subject

__all__ = ["Notifier"]

LOOK_SECONDS = 1.0
"""Time itself makes things due: a silence ends, a receiver may be asked again."""
RECKON_SECONDS = 5.0
"""What is due is worked out at news, and otherwise this often."""
MAX_TOLD = 10_000
"""Subjects that receivers hold for open; beyond, further ones wait until others end."""
_log = logging.getLogger(__name__)


Record = Callable[[Delivery], None]
"""Sees to it that a delivery is recorded, and does not wait for that."""


class Notifier:
    """Knows what each receiver was told. Lives in the event loop; `report` may be called from any thread."""

    def __init__(self, clock: Clock, record: Record, told: Iterable[ToldSubject] = ()) -> None:
        """`told` is what the ledger knows of deliveries: every subject that a receiver still holds for open."""
        self._clock, self._record = clock, record
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._active: dict[str, dict[str, Subject]] = {}
        """By source."""
        self._told: dict[Key, Told] = {}
        for item in told:
            subject = subject_in(item.body)
            if subject is not None:
                self._told[item.receiver, subject.key] = Told(item.at, subject)
        self._over: dict[Key, datetime] = {}
        """Since when an end has been due."""
        self._due: list[Message] = []
        self._reckoned = float("-inf")
        self._attempts: dict[str, Attempts] = {}
        """By receiver."""
        self._receivers: Callable[[], Sequence[Receiver]] = tuple
        self._silences: Callable[[], Sequence[Silence]] = tuple
        self._seen: tuple[Any, Any] = (None, None)
        self.counts: Counter[tuple[str, str]] = Counter()
        """(receiver, `sent`, `failed` or `given_up`) -> deliveries."""
        self.stamp: Callable[[], Mapping[str, Any]] = dict
        """What every notification carries beside its alert."""

    def follow(self, receivers: Callable[[], Sequence[Receiver]], silences: Callable[[], Sequence[Silence]]) -> None:
        """Where to look for receivers and silences, each time."""
        self._receivers, self._silences = receivers, silences

    def report(self, source: str, subjects: Iterable[Subject]) -> None:
        """All that is active of a source, from now on. May be called from any thread."""
        found = {item.key: item for item in subjects}
        self._loop.call_soon_threadsafe(self._take, source, found)

    @property
    def waiting(self) -> dict[str, int]:
        """Receiver -> messages that it has not got yet."""
        found = Counter(item.receiver for item in self._due)
        return {receiver.name: found[receiver.name] for receiver in _webhooks(self._receivers())}

    async def run_notifier(self) -> None:
        """Deliver, for as long as the collector runs."""
        made = httpx2.AsyncClient(timeout=TIMEOUT_SECONDS, verify=certificates())
        async with made as client, asyncio.TaskGroup() as group:
            while True:
                self._look(client, group)
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._news.wait()
                except TimeoutError:
                    pass
                self._news.clear()

    def _take(self, source: str, subjects: dict[str, Subject]) -> None:
        self._active[source] = subjects
        self._wake()

    def _wake(self) -> None:
        self._reckoned = float("-inf")
        self._news.set()

    def _look(self, client: httpx2.AsyncClient, group: asyncio.TaskGroup) -> None:
        now, receivers = self._loop.time(), self._receivers()
        seen = (receivers, self._silences())
        if now - self._reckoned >= RECKON_SECONDS or any(a is not b for a, b in zip(seen, self._seen, strict=True)):
            self._seen, self._reckoned = seen, now
            self._reckon(self._clock())
        waiting: dict[str, list[Message]] = {}
        full = len(self._told) >= MAX_TOLD
        for message in self._due:
            if not full or message.status == RESOLVED or message.key in self._told:
                waiting.setdefault(message.receiver, []).append(message)
        for receiver in receivers:
            for message in retry(waiting.get(receiver.name, ()), self._attempts_at(receiver.name), now):
                self._attempts[receiver.name] = self._attempts_at(receiver.name).begun(message.subject.key)
                group.create_task(self._deliver(client, receiver, message))

    def _reckon(self, at: datetime) -> None:
        """Work out anew what is due."""
        everybody, silences = self._seen
        receivers = _webhooks(everybody)
        names = {receiver.name for receiver in receivers}
        for key in [key for key in self._told if key[0] not in names]:
            del self._told[key]  # a receiver that is gone from the rules
        self._attempts = {name: found for name, found in self._attempts.items() if name in names}
        active = {key: item for found in self._active.values() for key, item in found.items()}
        self._due = due(Known(active, self._active.keys(), self._told, receivers, silences), at)
        ends = {item.key: item for item in self._due if item.status == RESOLVED}
        self._over = {key: self._over.get(key, at) for key in ends}
        for key in given_up(self._over, at):
            self._give_up(ends[key], at)
        self._due = [item for item in self._due if item.status == FIRING or item.key in self._told]
        for name, found in self._attempts.items():
            self._attempts[name] = found.keeping({item.subject.key for item in self._due if item.receiver == name})

    def _attempts_at(self, receiver: str) -> Attempts:
        return self._attempts.get(receiver, Attempts())

    def _give_up(self, message: Message, at: datetime) -> None:
        del self._told[message.key]
        self.counts[message.receiver, "given_up"] += 1
        attempts = self._attempts_at(message.receiver).of(message.subject.key)
        body = json.dumps(payload(message, at))
        error = f"not taken within {duration(RESOLVED_FOR.total_seconds())}"
        self._record(Delivery(at, message.receiver, message.subject.key, "given_up", attempts, error, body))

    async def _deliver(self, client: httpx2.AsyncClient, receiver: Receiver, message: Message) -> None:
        key, name = message.subject.key, receiver.name
        at = self._clock()
        text = json.dumps({**payload(message, at), **self.stamp()})
        attempt = self._attempts_at(name).of(key) + 1
        answer = await deliver(client, receiver.url, text)
        error, now = answer.error, self._loop.time()
        match answer.verdict:
            case Verdict.TAKEN:
                self._attempts[name] = self._attempts_at(name).delivered(key)
                if message.status == FIRING:
                    self._told[message.key] = Told(at, message.subject)
                else:
                    self._told.pop(message.key, None)
            case Verdict.REFUSED:
                self._attempts[name] = self._attempts_at(name).refused(key, now)
            case Verdict.MISSED:
                self._attempts[name] = self._attempts_at(name).missed(key, now)
        result = "sent" if error is None else "failed"
        self.counts[message.receiver, result] += 1
        if (
            error is None or attempt & (attempt - 1) == 0
        ):  # the first, second, fourth, eighth, ...: weeks of absence are few rows
            self._record(Delivery(at, receiver.name, key, result, attempt, error, text))
        self._wake()


def _webhooks(receivers: Sequence[Receiver]) -> list[Receiver]:
    """Those that are told what people must know of; others are sent events."""
    return [item for item in receivers if item.kind is ReceiverKind.WEBHOOK]
