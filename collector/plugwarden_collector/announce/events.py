"""Tells receivers of every transition: the loop around `announce.progress`. At least once, and in order for each subject.

What is due is what the decision log holds beyond where a receiver has got; that place is kept, and so a restart goes on there.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Protocol
from uuid import uuid4

import httpx2

from plugwarden_collector.clock import Clock
from plugwarden_collector.durations import duration
from plugwarden_collector.errors import CollectorError
from plugwarden_collector.rules.receiver import Receiver
from plugwarden_collector.store.ledger import Delivery
from plugwarden_collector.store.ledger_rows import DecisionRow

from .attempt import Notebook, attempted
from .event import Event
from .progress import Progress, ready
from .receivers.answer import Answer, Verdict
from .receivers.cloudevents import CONTENT_TYPE, event_of
from .receivers.post import http_client, post
from .stages.retry import RESOLVED_FOR

__all__ = ["EventSender", "Log"]

LOOK_SECONDS = 0.5
"""Seconds between two looks at the log's head, which is in memory."""
_log = logging.getLogger(__name__)


class Log(Protocol):
    """The part of the ledger that events come from."""

    def decisions_after(self, sequence: int, limit: int) -> Sequence[DecisionRow]:
        """Return entries of the decision log after a sequence, oldest first."""

    def events_sent(self, receiver: str) -> int | None:
        """Return up to which sequence a receiver has got all events; None where it is new."""

    def keep_events_sent(self, receiver: str, sequence: int) -> Future[None]:
        """Store that."""


class EventSender:
    """Knows how far each receiver of events has got. Lives in the event loop."""

    def __init__(
        self,
        log: Log,
        head: Callable[[], int],
        receivers: Callable[[], Sequence[Receiver]],
        source: str,
        clock: Clock,
        notes: Notebook,
    ) -> None:
        """`head` is the sequence of the newest decision that is committed; a new receiver begins after the one at its first look."""
        self._ledger, self._head, self._receivers = log, head, receivers
        self._source, self._clock, self._notes = source, clock, notes
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._progress: dict[str, Progress] = {}
        """By receiver."""
        self._kept: dict[str, int] = {}
        """Receiver -> place that is stored, or is being stored."""
        self.counts: Counter[tuple[str, str]] = Counter()
        """(receiver, `sent`, `failed` or `given_up`) -> deliveries."""

    @property
    def waiting(self) -> dict[str, int]:
        """Receiver -> decisions that it has not got yet, those that are no events included."""
        head = self._head()
        return {name: max(0, head - found.sent_to) for name, found in list(self._progress.items())}

    async def run_events(self) -> None:
        """Deliver, for as long as the collector runs."""
        said = ""
        async with http_client() as client, asyncio.TaskGroup() as group:
            while True:
                try:
                    await self._look(client, group)
                    said = ""
                except CollectorError as error:  # the store is busy, or in trouble that others tell of
                    if said != str(error):
                        said = str(error)
                        _log.warning("events wait: %s", error)
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._news.wait()
                except TimeoutError:
                    pass
                self._news.clear()

    async def _look(self, client: httpx2.AsyncClient, group: asyncio.TaskGroup) -> None:
        receivers = {item.name: item for item in self._receivers() if not item.is_told}
        for name in self._progress.keys() - receivers.keys():
            del self._progress[name]  # gone from the rules; its place stays kept
        for name, receiver in receivers.items():
            head = self._head()
            if name not in self._progress:
                place = await asyncio.to_thread(self._ledger.events_sent, name)
                self._progress[name] = Progress(head if place is None else min(place, head))
            await self._read(name, head)
            self._keep(name)
            event = ready(self._progress[name], self._loop.time())
            if event is not None and not self._notes.full:
                self._progress[name] = self._progress[name].begun(event)
                group.create_task(self._deliver(client, receiver, event))

    async def _read(self, name: str, head: int) -> None:
        progress = self._progress[name]
        if progress.read_to >= head or progress.room <= 0:
            return
        rows = await asyncio.to_thread(self._ledger.decisions_after, progress.read_to, progress.room)
        events = [event for event in (event_of(row, self._source) for row in rows) if event is not None]
        if rows:
            self._progress[name] = self._progress[name].read(events, rows[-1].sequence)  # deliveries went on meanwhile

    def _keep(self, name: str) -> None:
        place = self._progress[name].sent_to
        if self._kept.get(name) == place:
            return
        self._kept[name] = place
        self._ledger.keep_events_sent(name, place).add_done_callback(lambda done: self._not_kept(name, done))

    def _not_kept(self, name: str, done: Future[None]) -> None:
        """What the store did not take is tried again at the next look; until then a restart would repeat a few."""
        if done.cancelled() or done.exception() is not None:
            self._kept.pop(name, None)

    async def _deliver(self, client: httpx2.AsyncClient, receiver: Receiver, event: Event) -> None:
        name = receiver.name
        attempt = self._progress[name].attempts.of(event.subject) + 1
        draft = Delivery(self._clock(), name, f"e-{event.sequence}", "begun", attempt, None, event.body, uuid4().hex)

        async def send() -> Answer:
            return await post(client, receiver.url, event.body, draft.id, content_type=CONTENT_TYPE)

        answer, result = await attempted(self._notes, draft, send, self._clock)
        at, now = result.finished_at or draft.at, self._loop.time()
        given_up: tuple[Delivery, ...] = ()
        progress = self._progress.get(name)
        if progress is not None:  # else it is gone from the rules meanwhile
            match answer.verdict:
                case Verdict.TAKEN:
                    progress = progress.taken(event)
                case Verdict.MISSED:
                    progress = progress.missed(event, now, answer.wait_seconds)
                case Verdict.REFUSED:
                    progress = progress.refused(event, now, at)
                    if progress.gives_up(event, at):
                        progress = progress.given_up(event)
                        why = f"{answer.error}, and has for {duration(RESOLVED_FOR.total_seconds())}"
                        given_up = (replace(draft, status="given_up", error=why, id=uuid4().hex, finished_at=at),)
            self._progress[name] = progress
        self._notes.add(result, *given_up)
        for item in (result, *given_up):
            self.counts[name, item.status] += 1
        self._news.set()
