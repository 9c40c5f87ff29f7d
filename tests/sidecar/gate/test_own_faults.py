"""A fault of ours is not the plugin's: probes and places that it holds are given back, and calls go on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from plugwarden import (
    BreakerPolicy,
    BulkheadPolicy,
    CallNotPermitted,
    Sidecar,
    admission,
)
from plugwarden.contract import BreakerState, RejectionReason
from plugwarden.gate import Breaker


def test_a_security_plugin_fails_closed_and_all_others_open(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = sidecar.wrap(lambda: "allowed", plugin="guard", version="1", operation="x", criticality="security")
    other = sidecar.wrap(lambda: "ran", plugin="other", version="1", operation="x")
    for operation in sidecar.operations:
        operation.calls = 0

    def broken(*args: object) -> None:
        raise RuntimeError("a bug in the gate")

    monkeypatch.setattr("plugwarden.admission.decide", broken)
    with pytest.raises(CallNotPermitted) as caught:
        guard()
    assert caught.value.reason is RejectionReason.GATE_FAULT
    assert other() == "ran"


def _half_open(sidecar: Sidecar, function: Callable[..., Any], **terms: Any) -> tuple[Any, Breaker]:
    """An observed function whose breaker lets one probe through."""
    policy = BreakerPolicy(open_seconds=0.001, open_max_seconds=0.001, jitter_ratio=0, half_open_calls=1)
    wrapped = sidecar.wrap(function, plugin="p", version="1", operation="x", breaker=policy, **terms)
    breaker = sidecar.breaker("p", "1", "x")
    assert breaker is not None
    with breaker._lock:
        breaker._open(time.perf_counter() - 1, "a test")
    return wrapped, breaker


def _as_plain(ran: list[str]) -> Callable[..., Any]:
    return lambda: ran.append("ran")


def _as_coroutine(ran: list[str]) -> Callable[..., Any]:
    async def run() -> None:
        ran.append("ran")

    return run


def _as_generator(ran: list[str]) -> Callable[..., Any]:
    def run() -> Iterator[None]:
        ran.append("ran")
        yield

    return run


def _as_async_generator(ran: list[str]) -> Callable[..., Any]:
    async def run() -> AsyncIterator[None]:
        ran.append("ran")
        yield

    return run


def _to_its_end(answer: Any) -> None:
    async def exhaust() -> None:
        async for _ in answer:
            pass

    if hasattr(answer, "__anext__"):
        asyncio.run(exhaust())
    elif hasattr(answer, "__await__"):

        async def main() -> None:
            await answer

        asyncio.run(main())
    else:
        list(answer or ())


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("form", [_as_plain, _as_coroutine, _as_generator, _as_async_generator])
def test_a_probe_that_our_own_fault_keeps_from_running_is_given_back(
    sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch, form: Callable[..., Any], fault: type[BaseException]
) -> None:
    ran: list[str] = []
    wrapped, breaker = _half_open(sidecar, form(ran), capture=lambda: {})

    def broken(*args: object) -> None:
        raise fault("after the gate, before the plugin")

    with monkeypatch.context() as patch:
        patch.setattr("plugwarden.admission.look_at", broken)
        with suppress(KeyboardInterrupt):
            _to_its_end(wrapped())
    assert breaker.state is BreakerState.HALF_OPEN
    assert not next(iter(sidecar.operations)).running
    ran.clear()
    _to_its_end(wrapped())  # nobody holds the probe any more
    assert ran == ["ran"]
    assert breaker.state is BreakerState.CLOSED


def test_a_place_that_our_own_fault_lets_go_is_given_to_who_waits(
    sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped = sidecar.wrap(
        lambda: "ran", plugin="p", version="1", operation="x", capture=lambda: {}, bulkhead=BulkheadPolicy(1, 1, 30.0)
    )
    (operation,) = sidecar.operations
    answers: list[str] = []
    waiting = threading.Thread(target=lambda: answers.append(wrapped()))
    look_at = admission.look_at

    def broken_while_one_waits(*args: Any) -> None:
        monkeypatch.setattr(admission, "look_at", look_at)
        waiting.start()
        while not operation.waiting:
            time.sleep(0.001)
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(admission, "look_at", broken_while_one_waits)
    assert wrapped() == "ran"
    waiting.join(10)
    assert answers == ["ran"]


def test_our_own_fault_while_a_coroutine_waits_for_a_place_is_not_the_plugins(
    sidecar: Sidecar, outbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> str:
        await asyncio.sleep(0.01)
        return "ran"

    wrapped = sidecar.wrap(work, plugin="p", version="1", operation="x", bulkhead=BulkheadPolicy(1, 1, 30.0))

    async def broken(*args: object) -> bool:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("plugwarden.gate.Bulkhead.enter_async", broken)

    async def main() -> list[str]:
        return await asyncio.gather(wrapped(), wrapped())

    assert asyncio.run(main()) == ["ran", "ran"]
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="error") == 0


def test_a_call_cancelled_while_it_waits_for_a_place_gives_its_probe_back_once(sidecar: Sidecar, outbox: Any) -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    wrapped, breaker = _half_open(sidecar, work, bulkhead=BulkheadPolicy(1, 1, 30.0))
    (operation,) = sidecar.operations

    async def main() -> None:
        operation.running.add(holder := object())
        task = asyncio.create_task(wrapped())
        while not operation.waiting:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        operation.running.discard(holder)

    asyncio.run(main())
    assert (breaker._probes_left, breaker._probes_out) == (1, 0)
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="cancelled", plugin_error_source="caller") == 1
