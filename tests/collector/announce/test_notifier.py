"""The loop that delivers, and the judge's thread that reports to it: what both change, they change one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from plugwarden_collector.announce import notify
from plugwarden_collector.announce.notify import Notifier
from plugwarden_collector.announce.receivers.answer import Answer, Verdict
from plugwarden_collector.announce.stages import retry
from plugwarden_collector.announce.stages.retry import Attempts
from plugwarden_collector.announce.subject import Subject
from plugwarden_collector.rules.receiver import Receiver, ReceiverKind
from plugwarden_collector.store.ledger import Delivery, EndingRow, Note, TellingRow


class Nothing:
    """A ledger without entries."""

    def tellings(self) -> Sequence[TellingRow]:
        return ()

    def endings(self, keys: Sequence[str]) -> Sequence[EndingRow]:
        return ()


class Kept:
    """Notes that are on disk at once."""

    full = False

    def __init__(self) -> None:
        self.all: list[Note] = []

    def add(self, *notes: Note) -> Future[None]:
        self.all += notes
        done = Future[None]()
        done.set_result(None)
        return done

    def hold(self, attempt: Delivery) -> None:
        raise AssertionError("it is on disk")


class Sender:
    """Answers as it is told to."""

    verdict = Verdict.TAKEN

    def form(self, *_: Any) -> dict[str, Any]:
        return {}

    async def send(self, *_: Any) -> Answer:
        return Answer(self.verdict)


def subjects(count: int) -> list[Subject]:
    return [Subject(f"q-{n}", {"severity": "page", "plugin": f"p{n}"}, "it fails", "", now()) for n in range(count)]


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def played(
    monkeypatch: pytest.MonkeyPatch, scene: Callable[[Notifier, Kept, Sender], Any], receiver: Receiver | None = None
) -> None:
    """Let a scene happen to a notifier that runs."""
    sender, notes = Sender(), Kept()

    @asynccontextmanager
    async def senders() -> AsyncIterator[Mapping[ReceiverKind, Sender]]:
        yield dict.fromkeys(ReceiverKind, sender)

    monkeypatch.setattr(notify, "open_senders", senders)

    async def run() -> None:
        notifier, receivers, silences = Notifier(now, Nothing(), notes), [receiver or Receiver("r")], ()
        notifier.follow(lambda: receivers, lambda: silences)
        task = asyncio.create_task(notifier.run_notifier())
        try:
            async with asyncio.timeout(30):
                await scene(notifier, notes, sender)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(run())


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def test_attempts_change_under_the_lock_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, a report in the middle of a delivery's end left its group under way for ever: its end was never sent."""
    changed = []

    async def scene(notifier: Notifier, _: Kept, sender: Sender) -> None:
        class Guarded(dict[str, Attempts]):
            def __setitem__(self, name: str, value: Attempts) -> None:
                changed.append(notifier._lock.locked())
                super().__setitem__(name, value)

        notifier._attempts = Guarded()
        for verdict in (Verdict.MISSED, Verdict.TAKEN):
            sender.verdict = verdict
            await asyncio.to_thread(notifier.report, "judging", subjects(3))
            await until(lambda: notifier._attempts.get("r", Attempts()).failures or not notifier.owed)
        await until(lambda: not notifier.owed)

    played(monkeypatch, scene)
    assert changed
    assert all(changed)


@pytest.mark.parametrize("group_by", [None, ("plugin",)])
def test_what_a_person_gives_up_says_how_often_it_was_tried(
    group_by: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, it said 0."""
    receiver = Receiver("r", group_by=group_by, **({"group_wait": now() - now()} if group_by else {}))

    async def scene(notifier: Notifier, notes: Kept, sender: Sender) -> None:
        sender.verdict = Verdict.REFUSED
        notifier.report("judging", subjects(1))
        await until(lambda: notifier.counts["r", "failed"] >= 2)
        tried = notifier.counts["r", "failed"]
        notifier.give_up("r", None, "ann", "enough")
        (given_up,) = [item for item in notes.all if isinstance(item, Delivery) and item.status == "given_up"]
        assert given_up.attempt == tried

    played(monkeypatch, scene, receiver)


def test_nothing_waits_for_the_store_to_say_how_something_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, the judge's thread held the lock while it asked, and the loop that takes telemetry waited for it."""
    held = []

    async def scene(notifier: Notifier, _: Kept, sender: Sender) -> None:
        class Asked(Nothing):
            def endings(self, keys: Sequence[str]) -> Sequence[EndingRow]:
                held.append(notifier._lock.locked())
                return [EndingRow(key, now(), "released", "ann", "enough") for key in keys]

        notifier._ledger = Asked()
        sender.verdict = Verdict.MISSED
        notifier.report("judging", subjects(2))
        await until(lambda: notifier.counts["r", "failed"])
        notifier.report("judging", ())
        assert [item.ended.actor for item in notifier._tellings.values() if item.ended is not None] == ["ann", "ann"]

    played(monkeypatch, scene)
    assert held == [False]


def test_a_group_whose_several_were_refused_is_offered_several_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, it was told one by one for as long as the collector ran."""
    receiver = Receiver("r", group_by=("severity",), group_wait=timedelta(0), group_interval=timedelta(0))

    async def scene(notifier: Notifier, notes: Kept, sender: Sender) -> None:
        sender.verdict = Verdict.REFUSED
        notifier.report("judging", subjects(2))
        await until(lambda: notifier.counts["r", "failed"])
        sender.verdict = Verdict.TAKEN
        await until(lambda: not notifier.owed)
        await until(lambda: not notifier._apart)
        sent = [item.fingerprint for item in notes.all if isinstance(item, Delivery) and item.status == "sent"]
        assert sorted(sent) == ["q-0", "q-1"]

    played(monkeypatch, scene, receiver)


def test_a_receiver_whose_address_was_mended_is_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, what it had refused waited for up to an hour after the rules were read again."""
    monkeypatch.setattr(retry, "_pause", lambda *_: 3600.0)

    async def scene(notifier: Notifier, _: Kept, sender: Sender) -> None:
        sender.verdict = Verdict.REFUSED
        notifier.report("judging", subjects(1))
        await until(lambda: notifier.counts["r", "failed"])
        (owed,) = notifier.owed
        assert owed.attempts == 1
        assert owed.next_attempt_at is not None
        assert timedelta(seconds=3500) < owed.next_attempt_at - now() <= timedelta(seconds=3600)
        sender.verdict = Verdict.TAKEN
        mended = [Receiver("r", "http://mended/")]
        notifier.follow(lambda: mended, tuple)
        await until(lambda: not notifier.owed)

    played(monkeypatch, scene)


def test_many_deliveries_do_not_each_work_out_anew_what_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, each of 4,000 looked at all of them: 44 s of the loop that takes telemetry."""
    looked = 0
    reckon = Notifier._reckon

    def counted(self: Notifier, at: datetime) -> None:
        nonlocal looked
        looked += 1
        reckon(self, at)

    monkeypatch.setattr(Notifier, "_reckon", counted)
    monkeypatch.setattr(notify, "SOON_SECONDS", notify.RECKON_SECONDS)

    async def scene(notifier: Notifier, notes: Kept, _: Sender) -> None:
        notifier.report("judging", subjects(200))
        await until(lambda: not notifier.owed)
        sent = [item for item in notes.all if isinstance(item, Delivery) and item.status == "sent"]
        assert len({item.fingerprint for item in sent}) == len(sent) == 200

    played(monkeypatch, scene)
    assert looked < 20
