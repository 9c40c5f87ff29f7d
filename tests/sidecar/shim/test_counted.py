"""Every call is counted as what it was, whatever odd thing a plugin answers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from plugwarden import CallNotPermitted, LastGood, QuotaExceeded, QuotaPolicy, Sidecar
from plugwarden.contract import BreakerState, Outcome
from plugwarden.testing import Clock, recording


class Fails(type):
    """Whose classes answer no question."""

    def __getattr__(cls, name: str) -> Any:
        raise KeyError(name)


class Agrees(type):
    """Whose classes have every attribute."""

    def __getattr__(cls, name: str) -> Any:
        return True


class Unhashable(type):
    def __eq__(cls, other: object) -> bool:
        return cls is other

    __hash__ = None  # type: ignore[assignment]


def _of(kind: type[type]) -> type:
    return kind("Answer", (), {"__hash__": None})


@pytest.mark.parametrize("kind", [Fails, Agrees, Unhashable])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_call_counts_though_the_type_of_its_result_answers_as_it_likes(kind: type[type], is_async: bool) -> None:
    made = _of(kind)()

    async def later() -> Any:
        return made

    with recording() as recorder:
        call: Callable[[], Any] = recorder.sidecar.wrap(lambda: made, plugin="p", version="1", operation="x")
        wait = recorder.sidecar.wrap(later, plugin="p", version="1", operation="x")
        for _ in range(2):
            assert (asyncio.run(wait()) if is_async else call()) is made
        assert [one.outcome for one in recorder.invocations] == [Outcome.SUCCESS] * 2
        assert next(iter(recorder.sidecar.operations)).faults == 0


class Pending:
    """A future of somebody's own, broken."""

    _asyncio_future_blocking = False

    def __init__(self, broken: str) -> None:
        self._broken = broken

    def done(self) -> bool:
        if self._broken == "done":
            raise KeyError
        return False

    def add_done_callback(self, callback: Any) -> None:
        raise KeyError


@pytest.mark.parametrize("broken", ["done", "add_done_callback"])
def test_a_future_that_cannot_be_asked_is_counted_once_as_it_was_returned(broken: str) -> None:
    with recording() as recorder:
        call = recorder.sidecar.wrap(lambda: Pending(broken), plugin="p", version="1", operation="x")
        assert type(call()) is Pending
        assert [one.outcome for one in recorder.invocations] == [Outcome.SUCCESS]


class Sizeless(bytes):
    def __len__(self) -> int:
        raise KeyError


@pytest.mark.parametrize(
    ("answer", "fits"),
    [
        (memoryview(b"x").cast("B", shape=[]), True),
        (memoryview(b"12345678" * 2).cast("d"), False),
        (Sizeless(b"123456789"), False),
        (bytearray(b"1234"), True),
        (memoryview(b"123456789"), False),
        ("123456789", False),
    ],
    ids=["no dimension", "numbers", "no length", "fits", "a view", "text"],
)
def test_a_result_is_as_large_as_its_bytes_are(answer: Any, fits: bool) -> None:
    with recording() as recorder:
        call = recorder.sidecar.wrap(
            lambda: answer, plugin="p", version="1", operation="x", quota=QuotaPolicy(output_bytes=8)
        )
        if fits:
            assert call() is answer
        else:
            with pytest.raises(QuotaExceeded):
                call()
        assert recorder.last.outcome is (Outcome.SUCCESS if fits else Outcome.ERROR)


def test_what_a_future_holds_is_judged_and_a_good_one_is_not_kept_as_an_answer() -> None:
    futures: list[Future[str]] = []
    judged: list[Any] = []

    def ask() -> Future[str]:
        if len(futures) == 1:
            raise OSError("away")
        futures.append(Future())
        return futures[-1]

    with recording() as recorder:
        call = recorder.sidecar.wrap(
            ask, plugin="p", version="1", operation="x", fallback=LastGood(), failed_result=judged.append
        )
        call().set_result("good")
        assert judged == ["good"]
        with pytest.raises(LookupError):  # None, of which nobody said that it is good, would be no future
            call()
        again: Future[str] = Future()
        call = recorder.sidecar.wrap(
            lambda: again, plugin="p", version="1", operation="y", failed_result=lambda text: text == "bad"
        )
        call().set_result("bad")
        assert recorder.last.error_type == "failed_result"
        assert [one.outcome for one in recorder.of("x")] == [Outcome.SUCCESS, Outcome.ERROR]


def test_nothing_is_judged_where_nothing_is_returned() -> None:
    def count() -> Iterator[int]:
        yield 1

    async def count_later() -> AsyncIterator[int]:
        yield 1

    async def main() -> list[int]:
        return [number async for number in later()]

    with recording() as recorder:
        terms: dict[str, Any] = {"plugin": "p", "version": "1", "failed_result": lambda result: not result}
        now, later = recorder.sidecar.wrap(count, **terms), recorder.sidecar.wrap(count_later, **terms)
        assert list(now()) == asyncio.run(main()) == [1]
        with recorder.sidecar.invocation("p", version="1", operation="count"):
            pass
        assert [one.outcome for one in recorder.invocations] == [Outcome.SUCCESS] * 3


def test_a_probe_whose_generator_nobody_wants_lets_another_probe() -> None:
    clock, well = Clock(), False

    def rows() -> Any:
        if not well:
            raise OSError
        return (number for number in range(3))

    with recording(clock) as recorder:
        call = recorder.sidecar.wrap(rows, plugin="p", version="1", operation="x")
        for _ in range(10):
            with pytest.raises((OSError, CallNotPermitted)):
                call()
        well = True
        clock.advance(10)
        for _ in range(4):
            call()  # thrown away, which says nothing
            assert recorder.last.probe
        breaker = recorder.sidecar.breaker("p", "1", "x")
        assert breaker is not None
        assert breaker.state is BreakerState.HALF_OPEN
        for _ in range(3):
            assert list(call()) == [0, 1, 2]
        assert breaker.state is BreakerState.CLOSED


def test_a_wait_that_ended_keeps_nothing_of_what_was_raised_in_it(sidecar: Sidecar) -> None:
    class Held:
        """Something in a frame."""

    known: list[weakref.ref[Held]] = []

    def fail() -> None:
        held = Held()
        known.append(weakref.ref(held))
        raise OSError

    def work() -> None:
        with contextlib.suppress(OSError), sidecar.downstream("api"), sidecar.downstream("its cache"):
            fail()

    ended: list[Any] = []
    call = sidecar.wrap(work, plugin="p", version="1")
    next(iter(sidecar.operations)).append = ended.append
    call()
    assert len(ended) == 3
    gc.collect()
    assert known[0]() is None
