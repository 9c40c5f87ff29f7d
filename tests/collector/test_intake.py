"""How requests travel between the loop and the threads: when decoders start, and how results come back."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import pytest
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
