"""Bulkhead, deadline and cancellation are the same on trio, on anyio over either loop, and on asyncio."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import anyio.abc
import pytest
from plugwarden import CallNotPermitted, Sidecar
from plugwarden.gate import Bulkhead, BulkheadPolicy

HAS_TRIO = importlib.util.find_spec("trio") is not None


@pytest.fixture(
    params=["asyncio", pytest.param("trio", marks=pytest.mark.skipif(not HAS_TRIO, reason="trio is not installed"))]
)
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return functools.partial(anyio.run, backend=request.param)


class Ended:
    """A wrapped operation, and what became of its calls: (outcome, source)."""

    def __init__(self, sidecar: Sidecar, function: Any, **terms: Any) -> None:
        self.call: Any = sidecar.wrap(function, plugin="p", version="1", operation="x", breaker=False, **terms)
        self.operation = next(iter(sidecar.operations))
        self.invocations: list[Any] = []
        self.operation.append = self.invocations.append

    @property
    def told(self) -> list[tuple[str, str | None]]:
        assert self.operation.faults == 0
        assert self.operation.running == set()
        return [(found.outcome.value, found.source and found.source.value) for found in self.invocations]


def test_queued_calls_get_their_places_one_after_the_other(sidecar: Sidecar, run: Any) -> None:
    most = 0

    async def work() -> None:
        nonlocal most
        most = max(most, len(ended.operation.running))
        await anyio.sleep(0.001)

    ended = Ended(sidecar, work, bulkhead=BulkheadPolicy(2, queue=18, wait_seconds=30))

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ended.call)

    run(main)
    assert ended.told == [("success", None)] * 20
    assert most == 2


def test_a_call_that_waits_too_long_for_a_place_is_refused(sidecar: Sidecar, run: Any) -> None:
    async def work() -> None:
        with pytest.raises(CallNotPermitted):
            await other.call()

    async def nothing() -> None: ...

    other = Ended(sidecar, nothing, bulkhead=BulkheadPolicy(1, queue=5, wait_seconds=0.01))
    other.operation.running.add("somebody")
    run(work)
    other.operation.running.clear()
    assert [outcome for outcome, _ in other.told] == ["rejected"]


@pytest.mark.parametrize("as_generator", [False, True])
def test_a_call_is_cancelled_at_its_deadline(sidecar: Sidecar, run: Any, as_generator: bool) -> None:
    async def hang() -> None:
        await anyio.sleep(60)

    async def items() -> AsyncIterator[int]:
        yield 1
        await anyio.sleep(60)

    ended = Ended(sidecar, items if as_generator else hang, timeout=0.05)

    async def main() -> None:
        if as_generator:
            async for _ in ended.call():
                pass
        else:
            await ended.call()

    with pytest.raises(TimeoutError):
        run(main)
    assert ended.told == [("timeout", "plugin")]


def test_a_cancellation_is_the_callers_and_a_time_out_of_the_hosts_the_plugins(sidecar: Sidecar, run: Any) -> None:
    async def hang() -> None:
        await anyio.sleep(60)

    ended = Ended(sidecar, hang)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(ended.call)
            await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        with anyio.move_on_after(0.05):
            await ended.call()

    run(main)
    assert ended.told == [("cancelled", "caller"), ("timeout", "plugin")]


def test_a_call_that_is_cancelled_while_it_waits_for_a_place_leaves_none_taken(sidecar: Sidecar, run: Any) -> None:
    async def hang() -> None:
        await anyio.sleep(60)

    ended = Ended(sidecar, hang, bulkhead=BulkheadPolicy(1, queue=5, wait_seconds=60))

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ended.call)
            await anyio.sleep(0.02)
            group.cancel_scope.cancel()

    run(main)
    assert ended.told == [("cancelled", "caller")] * 3
    assert len(ended.operation.waiting) == 0


def test_nested_calls_inherit_what_is_left_of_a_deadline(sidecar: Sidecar, run: Any) -> None:
    async def hang() -> None:
        await anyio.sleep(60)

    inner = sidecar.wrap(hang, plugin="p", version="1", operation="inner", breaker=False)

    async def outer() -> None:
        await inner()

    wrapped = sidecar.wrap(outer, plugin="p", version="1", operation="outer", breaker=False, timeout=0.05)
    told: list[Any] = []
    for operation in sidecar.operations:
        operation.append = told.append
    with pytest.raises(TimeoutError):
        run(wrapped)
    assert [(call.operation.scope.operation, call.outcome.value) for call in told] == [
        ("inner", "timeout"),
        ("outer", "timeout"),
    ]


def test_on_a_loop_that_is_not_known_nobody_waits_for_a_place() -> None:
    bulkhead = Bulkhead(BulkheadPolicy(1, queue=5, wait_seconds=60), running := {"first", "second"})
    entering = bulkhead.enter_async("second", 60.0)
    with pytest.raises(StopIteration) as stop:
        entering.send(None)
    assert stop.value.value is False
    assert running == {"first"}
    assert not bulkhead.waiting
