"""Tells receivers what is due: the loop around the pipeline. Delivers, tries again, and has what is owed and every attempt recorded."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

from plugwarden_collector.clock import Clock
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.errors import CollectorError
from plugwarden_collector.rules.receiver import Receiver, ReceiverKind
from plugwarden_collector.store.ledger import Delivery, EndingRow, TellingGone, TellingRow

from .attempt import Notebook, attempted
from .message import Ending, Key, Known, Message, Telling
from .notice import Notice
from .pipeline import due
from .receivers.answer import Verdict
from .receivers.sender import Occasion, Sender
from .receivers.senders import open_senders
from .stages.group import group, group_of
from .stages.retry import Attempts, retry
from .stored import row_of, telling_in
from .subject import Subject, active_at
from .tellings import GONE, Owed, given_up, just_over, owed_now, owing, settled, taken

__all__ = ["Notifier"]

LOOK_SECONDS = 1.0
"""Time itself makes things due: a silence ends, a receiver may be asked again."""
RECKON_SECONDS = 5.0
"""What is due is worked out at news, and otherwise this often."""
SOON_SECONDS = 0.1
"""After deliveries it is worked out this often at most: each of thousands would look at all of them."""
_log = logging.getLogger(__name__)


class Log(Protocol):
    """The part of the ledger that says what receivers know, and how things ended."""

    def tellings(self) -> Sequence[TellingRow]:
        """Return what receivers hold for open, or are owed."""

    def endings(self, keys: Sequence[str]) -> Sequence[EndingRow]:
        """Return how subjects ended."""


class Notifier:
    """Knows what each receiver was told and is owed. Delivers in the event loop; `report` may be called from any thread."""

    def __init__(self, clock: Clock, ledger: Log, notes: Notebook, public_url: str = "") -> None:
        """`public_url` is where people reach the dashboards, for links; empty where nobody said."""
        self._clock, self._ledger, self._notes, self._public_url = clock, ledger, notes, public_url
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._lock = threading.Lock()
        """Held by whoever reckons: what a report makes due is on its way to disk when the report returns."""
        self._active: dict[str, Sequence[Subject]] = {}
        """By source."""
        self._how: dict[str, Ending] = {}
        """How subjects ended of which that was not told yet."""
        self._tellings: dict[Key, Telling] = dict(filter(None, map(telling_in, ledger.tellings())))
        self._due: list[Message] = []
        self._notices: list[Notice] = []
        self._reckoned = float("-inf")
        self._attempts: dict[str, Attempts] = {}
        """By receiver. Read and changed under the lock: the judge's thread forgets what waits no more."""
        self._as_told: dict[str, Receiver] = {}
        """Receivers as the rules had them last."""
        self._apart: set[tuple[str, str]] = set()
        """Receivers and groups that are told one message at a time since the receiver refused several at once."""
        self._receivers: Callable[[], Sequence[Receiver]] | None = None
        self._silences: Callable[[], Sequence[Silence]] = tuple
        self._seen: tuple[Any, Any] = (None, None)
        self.counts: Counter[tuple[str, str]] = Counter()
        """(receiver, `sent`, `failed` or `given_up`) -> deliveries."""
        self.tolder = ""
        """Which collector tells it (`decide.labels.TOLDER`)."""
        self.stamp: Callable[[], Mapping[str, Any]] = dict
        """What every notification carries beside its alert."""

    def follow(self, receivers: Callable[[], Sequence[Receiver]], silences: Callable[[], Sequence[Silence]]) -> None:
        """Look here for receivers and silences, each time; before that nothing is due."""
        self._receivers, self._silences = receivers, silences

    def report(self, source: str, subjects: Iterable[Subject]) -> None:
        """Take all that is active of a source, from now on. May be called from any thread."""
        found, at = tuple(subjects), self._clock()
        with self._lock:
            over = just_over(self._known({**self._active, source: found}, at))
        endings = self._endings(over)  # without the lock: what delivers waits for no disk
        with self._lock:
            self._active[source] = found
            self._how |= endings
            self._reckon(at)
        self._loop.call_soon_threadsafe(self._news.set)

    @property
    def waiting(self) -> dict[str, int]:
        """Receiver -> messages that it has not got yet."""
        found = Counter(item.receiver for item in self._due)
        return {receiver.name: found[receiver.name] for receiver in self._told()}

    @property
    def owed(self) -> list[Owed]:
        """What receivers are owed, the oldest first."""
        at, now = self._clock(), self._loop.time()

        def tried(receiver: str, subject: Subject) -> tuple[int, datetime | None]:
            attempts, group = self._attempts_at(receiver), self._group_of(receiver, subject)
            wait = attempts.offered_at(group) - now
            return attempts.of(group), at + timedelta(seconds=wait) if wait > 0 else None

        return owed_now(self._tellings, tried)

    def untold_seconds(self, at: datetime) -> dict[str, float]:
        """Return for how long each receiver has been owed something, beyond what its groups wait for; 0 where it is owed nothing."""
        receivers = {item.name: item for item in self._told()}
        found = dict.fromkeys(receivers, 0.0)
        for item in self.owed:
            receiver = receivers.get(item.receiver)
            if receiver is not None:
                grouped = receiver.group_by is not None
                waits = max(receiver.group_wait, receiver.group_interval) if grouped else timedelta(0)
                found[receiver.name] = max(found[receiver.name], (at - item.since - waits).total_seconds())
        return found

    def give_up(self, receiver: str, fingerprint: str | None, by: str, why: str) -> list[str]:
        """Give up what a receiver is owed, of one subject or of all, as a person said. Return the keys of the subjects. May be called
        from any thread."""
        at = self._clock()
        with self._lock:
            owed = [
                key
                for key, item in self._tellings.items()
                if key[0] == receiver and fingerprint in (None, key[1]) and item.owed is not None
            ]
            after: Mapping[Key, Telling] = self._tellings
            records = []
            for key in owed:
                records.append(self._given_up(key, self._tellings[key], f"given up by {by}: {why}", at))
                after = given_up(after, key, by)
            if owed:
                self._keep(after, *records)
                self._reckon(at)
        self._loop.call_soon_threadsafe(self._news.set)
        return [fingerprint for _, fingerprint in owed]

    async def run_notifier(self) -> None:
        """Deliver, for as long as the collector runs."""
        async with open_senders() as senders, asyncio.TaskGroup() as tasks:
            while True:
                self._look(senders, tasks)
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._news.wait()
                except TimeoutError:
                    pass
                self._news.clear()

    def _told(self) -> list[Receiver]:
        """Those that are told what people must know of; others are sent events."""
        receivers = () if self._receivers is None else self._receivers()
        return [item for item in receivers if item.is_told]

    def _look(self, senders: Mapping[ReceiverKind, Sender], tasks: asyncio.TaskGroup) -> None:
        if self._receivers is None:
            return
        now, seen = self._loop.time(), (self._receivers(), self._silences())
        with self._lock:
            if now - self._reckoned >= RECKON_SECONDS or any(a is not b for a, b in zip(seen, self._seen, strict=True)):
                self._seen, self._reckoned = seen, now
                self._reckon(self._clock())
            notices = self._notices
        waiting: dict[str, list[Notice]] = {}
        for notice in notices:
            waiting.setdefault(notice.receiver, []).append(notice)
        for receiver in self._told():
            with self._lock:
                ready = retry(waiting.get(receiver.name, ()), self._attempts_at(receiver.name), now)
            for notice in ready:
                if self._notes.full:
                    return
                with self._lock:
                    self._attempts[receiver.name] = self._attempts_at(receiver.name).begun(notice.group)
                tasks.create_task(self._deliver(senders[receiver.kind], receiver, notice))

    def _reckon(self, at: datetime) -> None:
        """Work out anew what is due and owed. The caller holds the lock."""
        if self._receivers is None:
            return
        receivers = self._told()
        names = {receiver.name for receiver in receivers}
        for receiver in receivers:  # one that is another now, such as of a mended address, is asked at once
            if self._as_told.get(receiver.name, receiver) != receiver:
                under_way = self._attempts_at(receiver.name).under_way
                self._attempts[receiver.name] = Attempts(under_way=under_way)
        self._as_told = {receiver.name: receiver for receiver in receivers}
        self._let_go([key for key in self._tellings if key[0] not in names], GONE, at)
        known = replace(self._known(self._active, at), receivers=receivers, silences=self._silences())
        known = replace(known, tellings=settled(known, self._how, at))
        self._how = {}
        messages = due(known, at)
        after = owing(known, messages, at)
        self._keep(after)
        self._due = [item for item in messages if item.key in after]
        if self._apart:  # of which nothing is due any more, the next several are offered at once again
            by_name = {item.name: item for item in receivers}
            self._apart &= {(item.receiver, group_of(by_name[item.receiver], item.subject)) for item in self._due}
        self._notices = group(self._due, replace(known, tellings=after), at)
        for name, found in list(self._attempts.items()):
            if name not in names:
                del self._attempts[name]
                continue
            self._attempts[name] = found.keeping({item.group for item in self._notices if item.receiver == name})

    def _known(self, active: Mapping[str, Sequence[Subject]], at: datetime) -> Known:
        """What stages look at, but for receivers and silences."""
        subjects = active_at((item for found in active.values() for item in found), at)
        return Known(subjects, active.keys(), self._tellings, (), (), self._apart)

    def _endings(self, keys: set[str]) -> dict[str, Ending]:
        """Return how subjects ended, by key; the ends alone where the store does not answer."""
        if not keys:
            return {}
        try:
            rows = self._ledger.endings(sorted(keys))
        except CollectorError as error:
            _log.warning("how %d subjects ended is not told: %s", len(keys), error)
            return {}
        return {row.fingerprint: Ending(row.time, row.kind, row.actor, row.reason) for row in rows}

    def _keep(self, after: Mapping[Key, Telling], *besides: Delivery) -> None:
        """Take over what receivers hold for open and are owed, and have what changed of it stored, all at once."""
        before, self._tellings = self._tellings, dict(after)
        gone = [TellingGone(*key) for key in before.keys() - after.keys()]
        kept = [row_of(key, item) for key, item in after.items() if before.get(key) is not item]
        if besides or gone or kept:
            self._notes.add(*besides, *gone, *kept)

    def _let_go(self, keys: Sequence[Key], why: str, at: datetime) -> None:
        """Forget what some receivers hold for open, and record what they were owed."""
        if not keys:
            return
        owed = [(key, self._tellings[key]) for key in keys if self._tellings[key].owed is not None]
        records = [self._given_up(key, item, why, at) for key, item in owed]
        self._keep({key: item for key, item in self._tellings.items() if key not in set(keys)}, *records)

    def _given_up(self, key: Key, item: Telling, why: str, at: datetime) -> Delivery:
        receiver, fingerprint = key
        self.counts[receiver, "given_up"] += 1
        body = json.dumps({"status": item.owed, "summary": item.subject.summary})
        attempts = self._attempts_at(receiver).of(self._group_of(receiver, item.subject))
        return Delivery(at, receiver, fingerprint, "given_up", attempts, why, body, uuid4().hex, at)

    def _group_of(self, receiver: str, subject: Subject) -> str:
        """Return the group of a subject at a receiver, of the rules or gone from them."""
        told = next((found for found in self._told() if found.name == receiver), Receiver(receiver))
        return group_of(told, subject)

    def _delivered(self, notice: Notice) -> None:
        """Take a notice away until what is due is worked out anew, which is soon; or now, where that was done meanwhile."""
        left = [item for item in self._notices if item is not notice]
        soon = self._loop.time() - RECKON_SECONDS + SOON_SECONDS
        self._reckoned = min(self._reckoned, soon) if len(left) < len(self._notices) else float("-inf")
        self._notices = left

    def _attempts_at(self, receiver: str) -> Attempts:
        return self._attempts.get(receiver, Attempts())

    async def _deliver(self, sender: Sender, receiver: Receiver, notice: Notice) -> None:
        name, at = receiver.name, self._clock()
        form = sender.form(receiver, notice, Occasion(at, self.stamp(), self._public_url, self.tolder))
        attempt = self._attempts_at(name).of(notice.group) + 1
        draft = Delivery(at, name, notice.keys, "begun", attempt, None, json.dumps(form), uuid4().hex)
        answer, result = await attempted(self._notes, draft, lambda: sender.send(receiver, form, draft.id), self._clock)
        now = self._loop.time()
        with self._lock:
            after: Mapping[Key, Telling] = self._tellings
            if answer.verdict is Verdict.TAKEN:
                for message in notice.messages:
                    after = taken(after, message, result.finished_at or at)
            self._keep(after, result)
            found = self._attempts_at(name)
            match answer.verdict:
                case Verdict.TAKEN:
                    self._attempts[name] = found.delivered(notice.group)
                case Verdict.REFUSED:
                    self._attempts[name] = found.refused(notice.group, now)
                    if len(notice.messages) > 1:
                        self._apart.add((name, notice.group))
                case Verdict.MISSED:
                    self._attempts[name] = found.missed(notice.group, now, answer.wait_seconds)
            self._delivered(notice)
        self.counts[name, result.status] += 1
        self._news.set()
