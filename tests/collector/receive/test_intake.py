"""How requests travel between the loop and the threads: when decoders start, and how results come back."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from plugwarden_collector.errors import (
    BusyError,
    CollectorError,
    MalformedTelemetryError,
    StoreError,
    UnreadableTelemetryError,
)
from plugwarden_collector.receive import intake as intake_module
from plugwarden_collector.receive.decode import requests
from plugwarden_collector.receive.decode.batch import Signal
from plugwarden_collector.receive.intake import MAX_UNPACKED_BYTES, Intake, Receipt
from plugwarden_collector.receive.lane import CROWD, ENOUGH_BYTES, MAX_DECODERS, MAX_TOGETHER, PACE_SECONDS, Lane
from plugwarden_collector.receive.mailbox import Mailbox


@dataclass(frozen=True)
class Item:
    body: bytes = b"small"


def filled(*items: Item) -> Lane[Item]:
    lane: Lane[Item] = Lane()
    for item in items:
        lane.put(item)
    return lane


def test_a_lone_request_is_decoded_at_once_however_soon_after_another() -> None:
    lane = filled(Item())
    assert lane.due(10.0, in_hand=1) == 0
    assert lane.take() == [Item()]
    assert not lane.again()
    lane.put(Item())
    assert lane.due(10.001, in_hand=1) == 0


def test_small_requests_of_a_crowd_are_fetched_together() -> None:
    lane = filled(Item())
    assert lane.due(10.0, in_hand=CROWD) == 0  # nothing was fetched lately
    lane.take()
    assert not lane.again()
    lane.put(Item())
    assert lane.due(10.01, in_hand=CROWD) == pytest.approx(PACE_SECONDS - 0.01)
    lane.put(Item())
    assert lane.due(10.02, in_hand=CROWD) is None  # the promise will do
    assert lane.keep_promise(10.05)
    assert len(lane.take()) == 2


def test_a_decoder_at_work_leaves_what_is_promised_to_the_promise() -> None:
    lane = filled(Item())
    assert lane.due(10.0, in_hand=CROWD) == 0
    lane.take()
    lane.put(Item())
    assert lane.due(10.01, in_hand=CROWD) is not None
    assert not lane.again()
    assert lane.keep_promise(10.05)
    assert lane.take() == [Item()]


def test_much_or_many_do_not_wait() -> None:
    large = Item(b"x" * ENOUGH_BYTES)
    lane = filled(large)
    assert lane.due(10.0, in_hand=CROWD) == 0
    lane.put(large)
    assert lane.due(10.0, in_hand=CROWD) == 0
    lane.put(large)
    assert lane.due(10.0, in_hand=CROWD) is None, f"{MAX_DECODERS} are at it"
    assert [len(lane.take()) for _ in range(4)] == [1, 1, 1, 0]
    lane = filled(Item())
    assert lane.due(10.0, in_hand=CROWD) == 0
    lane.take()
    for _ in range(MAX_TOGETHER):
        lane.put(Item())
    assert lane.due(10.001, in_hand=CROWD) == 0
    assert len(lane.take()) == MAX_TOGETHER


def test_decoders_go_on_until_nothing_waits() -> None:
    lane = filled(*[Item()] * (MAX_TOGETHER + 1))
    assert lane.due(10.0, in_hand=1) == 0
    assert len(lane.take()) == MAX_TOGETHER
    assert lane.again()
    assert len(lane.take()) == 1
    assert not lane.again()
    lane.put(Item())
    assert lane.due(20.0, in_hand=1) == 0, "the one that ended is not counted any more"


def test_a_promise_that_others_have_kept_starts_nobody() -> None:
    lane = filled(Item())
    assert lane.due(10.0, in_hand=CROWD) == 0
    lane.take()
    lane.again()
    lane.put(Item())
    assert lane.due(10.01, in_hand=CROWD) is not None
    assert len(lane.take()) == 1
    assert not lane.keep_promise(10.05)


def test_letters_of_many_threads_arrive_each_once_and_in_order() -> None:
    threads, each = 8, 500
    got: list[tuple[int, int]] = []
    rounds = 0

    async def main() -> None:
        complete = asyncio.Event()

        def deliver(letters: list[tuple[int, int]]) -> None:
            nonlocal rounds
            rounds += 1
            got.extend(letters)
            if len(got) == threads * each:
                complete.set()

        mailbox: Mailbox[tuple[int, int]] = Mailbox(asyncio.get_running_loop(), deliver)

        def send(name: int) -> None:
            for number in range(each):
                mailbox.post((name, number))

        senders = [threading.Thread(target=send, args=(name,)) for name in range(threads)]
        for sender in senders:
            sender.start()
        async with asyncio.timeout(60):
            await complete.wait()
        for sender in senders:
            sender.join()

    asyncio.run(main())
    for name in range(threads):
        assert [number for sender, number in got if sender == name] == list(range(each))
    assert rounds < threads * each


def test_a_letter_for_a_loop_that_has_ended_harms_nobody() -> None:
    loop = asyncio.new_event_loop()
    mailbox: Mailbox[int] = Mailbox(loop, lambda letters: None)
    loop.close()
    mailbox.post(1)
    mailbox.post(2)


class Store:
    """A writer that stores at once, when it is let."""

    def __init__(self) -> None:
        self.stored: list[int] = []
        self.busy = False
        self.waiting: list[Future[bool]] | None = None
        """Where futures are kept that do not end by themselves."""

    def append(self, digest: int, tables: Mapping[str, pa.Table], nbytes: int) -> Future[bool]:
        if self.busy:
            raise BusyError("full")
        done: Future[bool] = Future()
        if self.waiting is None:
            done.set_result(digest not in self.stored)
            self.stored.append(digest)
        else:
            self.waiting.append(done)
        return done


def in_a_crowd(check: Callable[[Intake, Store], Coroutine[Any, Any, None]], store: Store | None = None) -> Store:
    """Run a check with an intake whose requests are all in the lane before the first is decoded."""
    store = store or Store()

    async def main() -> None:
        intake = Intake(store)  # type: ignore[arg-type]
        held = threading.Event()
        for _ in range(2):
            intake._threads.submit(held.wait, 30)
        asyncio.get_running_loop().call_later(0.2, held.set)
        async with asyncio.timeout(60):
            await check(intake, store)

    asyncio.run(main())
    return store


def metrics(number: int) -> bytes:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    metric.gauge.data_points.add(time_unix_nano=time.time_ns(), as_int=number)
    return message.SerializeToString()


def test_requests_of_a_group_are_each_stored_and_told_by_themselves() -> None:
    async def check(intake: Intake, store: Store) -> None:
        bodies = [metrics(number) for number in range(20)]
        receipts = await asyncio.gather(*(intake.take(Signal.METRICS, body) for body in [*bodies, bodies[0]]))
        assert [receipt.accepted for receipt in receipts] == [1] * 21
        assert [receipt.repeated for receipt in receipts] == [False] * 20 + [True]
        assert intake.items["metrics", "accepted"] == 20

    in_a_crowd(check)


@pytest.mark.parametrize("bad", [b"\xff\xff", None], ids=["malformed", "unforeseen"])
def test_one_bad_request_does_not_take_its_group_along(bad: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if bad is None:  # a fault of ours, which nothing foresees

        def break_down(*_: Any, **__: Any) -> Any:
            raise ValueError("unforeseen")

        monkeypatch.setattr(intake_module, "read_many", break_down)

    async def check(intake: Intake, store: Store) -> None:
        bodies = [metrics(number) for number in range(10)]
        taken = [intake.take(Signal.METRICS, body) for body in [*bodies, bad or metrics(10)]]
        outcomes = await asyncio.gather(*taken, return_exceptions=True)
        assert [outcome.accepted for outcome in outcomes[:10] if isinstance(outcome, Receipt)] == [1] * 10
        assert isinstance(outcomes[10], MalformedTelemetryError if bad else Receipt)

    in_a_crowd(check)


def test_what_is_small_only_as_long_as_it_is_packed_is_not_unpacked_together(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    read_many = requests.read_many

    def noting(signal: Signal, bodies: Sequence[bytes], **more: Any) -> Any:
        sizes.append(sum(map(len, bodies)))
        return read_many(signal, bodies, **more)

    monkeypatch.setattr(intake_module, "read_many", noting)
    unknown = b"\x7a\x80\x80\xc0\x02" + bytes(5 * 1024**2)  # a field of 5 MiB that no receiver knows

    async def check(intake: Intake, store: Store) -> None:
        bodies = [unknown + metrics(number) for number in range(6)]
        packed = [gzip.compress(body, 1) for body in bodies]
        taken = (intake.take(Signal.METRICS, body, lambda data: gzip.decompress(data)) for body in packed)
        assert [receipt.accepted for receipt in await asyncio.gather(*taken)] == [1] * 6

    in_a_crowd(check)
    assert all(size <= MAX_UNPACKED_BYTES for size in sizes)


def test_who_gave_up_before_it_was_begun_with_is_neither_kept_nor_stored() -> None:
    async def check(intake: Intake, store: Store) -> None:
        taken = [asyncio.create_task(intake.take(Signal.METRICS, metrics(number))) for number in range(10)]
        await asyncio.sleep(0)
        for task in taken[1:]:
            task.cancel()
        assert (await taken[0]).accepted == 1
        await asyncio.gather(*taken, return_exceptions=True)
        assert not intake._lanes[Signal.METRICS].take()

    assert len(in_a_crowd(check).stored) == 1


def test_a_commit_that_does_not_come_is_a_time_out_and_one_that_comes_later_harms_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake_module, "TAKE_TIMEOUT_SECONDS", 0.5)
    store = Store()
    store.waiting = []

    async def check(intake: Intake, store: Store) -> None:
        with pytest.raises(TimeoutError):
            await intake.take(Signal.METRICS, metrics(1))
        assert store.waiting
        store.waiting[0].set_result(True)
        await asyncio.sleep(0.05)
        assert intake.items["metrics", "accepted"] == 1, "it is stored, whoever heard of it"

    in_a_crowd(check, store)


def test_a_full_writer_is_told_to_each_and_what_listens_may_fail() -> None:
    store = Store()

    def fail(batches: Sequence[Any]) -> None:
        raise ValueError("a listener's fault")

    async def check(intake: Intake, store: Store) -> None:
        intake.on_read = fail
        assert (await intake.take(Signal.METRICS, metrics(1))).accepted == 1
        store.busy = True
        with pytest.raises(BusyError):
            await intake.take(Signal.METRICS, metrics(2))
        assert not (await intake.take(Signal.METRICS, b"")).accepted, "nothing to store, nothing to wait for"

    in_a_crowd(check, store)


class Poisoned(Store):
    """One at which appending fails for one request."""

    def __init__(self, at: int, error: BaseException) -> None:
        super().__init__()
        self._at, self._error, self._asked = at, error, 0

    def append(self, digest: int, tables: Mapping[str, pa.Table], nbytes: int) -> Future[bool]:
        self._asked += 1
        if self._asked == self._at:
            raise self._error
        return super().append(digest, tables, nbytes)


class PanicException(BaseException):
    """As Rust raises it into Python."""


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PanicException("slice index starts at 10 but ends at 9"), UnreadableTelemetryError),
        (ValueError("unforeseen"), UnreadableTelemetryError),
        (MemoryError(), BusyError),
        (StoreError("the disk"), StoreError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_rows_that_cannot_be_passed_on_are_refused_by_themselves(
    together: bool, error: BaseException, told: type[CollectorError], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not together:
        monkeypatch.setattr(intake_module, "read_many", lambda *_, **__: None)

    async def check(intake: Intake, store: Store) -> None:
        taken = [intake.take(Signal.METRICS, metrics(number)) for number in range(10)]
        outcomes = await asyncio.gather(*taken, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes].count(Receipt) == 9
        assert [type(outcome) for outcome in outcomes].count(told) == 1

    in_a_crowd(check, Poisoned(4, error))


@pytest.mark.parametrize("good", [True, False])
def test_a_request_that_takes_longer_to_decode_than_its_sender_waits_is_told_at_its_next_try(
    good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "TAKE_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(intake_module, "SLOW_SECONDS", 0.5)
    decoded = threading.Event()

    def slow(body: bytes) -> bytes:
        assert not decoded.is_set(), "it is not decoded twice"
        time.sleep(1)
        decoded.set()
        if not good:
            raise MalformedTelemetryError("no good", "resourceLogs[0]")
        return metrics(1)

    async def check(intake: Intake, store: Store) -> None:
        with pytest.raises(TimeoutError):
            await intake.take(Signal.METRICS, b"slow", slow)
        while not intake._slow:
            await asyncio.sleep(0.01)
        for _ in range(2):
            if good:
                receipt = await intake.take(Signal.METRICS, b"slow", slow)
                assert (receipt.accepted, receipt.repeated) == (1, True)
            else:
                with pytest.raises(MalformedTelemetryError, match="no good") as found:
                    await intake.take(Signal.METRICS, b"slow", slow)
                assert found.value.field == "resourceLogs[0]"
        assert intake.items["metrics", "accepted"] == len(store.stored) == int(good)

    in_a_crowd(check)
