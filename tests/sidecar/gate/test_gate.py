"""Deadlines, bulkheads, rates, quotas and slow calls, through the wrapper and by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden import (
    BreakerPolicy,
    BulkheadPolicy,
    CallNotPermitted,
    QuotaExceeded,
    QuotaPolicy,
    RatePolicy,
    Sidecar,
)
from plugwarden.contract import BreakerState, RejectionReason
from plugwarden.gate import Breaker, CpuQuota, RateLimit
from plugwarden.pipeline.processors import allowed

from tests.sidecar.support.crowd import call_from_threads


def test_a_deadline_is_handed_down_and_refuses_what_comes_too_late(sidecar: Sidecar, outbox: Any) -> None:
    ran = []
    inner = sidecar.wrap(lambda: ran.append(1), plugin="inner", version="1", operation="x", timeout=60.0)

    def work() -> None:
        inner()
        time.sleep(0.05)
        inner()

    outer = sidecar.wrap(work, plugin="outer", version="1", timeout=0.03)
    with pytest.raises(CallNotPermitted) as caught:
        outer()
    assert caught.value.reason is RejectionReason.DEADLINE_EXCEEDED
    assert ran == [1]


def test_a_nested_coroutine_gets_what_is_left_of_the_deadline(sidecar: Sidecar, outbox: Any) -> None:
    async def hang() -> None:
        await asyncio.sleep(60)

    inner = sidecar.wrap(hang, plugin="inner", version="1", timeout=60.0)

    async def work() -> None:
        await inner()

    outer = sidecar.wrap(work, plugin="outer", version="1", timeout=0.05)
    with pytest.raises(TimeoutError):
        asyncio.run(outer())
    assert sidecar.flush()
    assert outbox.calls(plugin_id="inner", plugin_outcome="timeout", plugin_error_source="plugin") == 1
    assert outbox.calls(plugin_id="outer", plugin_outcome="timeout", plugin_error_source="downstream") == 1


def test_a_bulkhead_refuses_when_its_places_are_taken_and_says_so(sidecar: Sidecar, outbox: Any) -> None:
    inside, release = threading.Semaphore(0), threading.Event()

    def work() -> None:
        inside.release()
        release.wait(30)

    wrapped = sidecar.wrap(work, plugin="csv", version="1", bulkhead=2)
    threads = [threading.Thread(target=wrapped) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        inside.acquire(timeout=10)
    with pytest.raises(CallNotPermitted) as caught:
        wrapped()
    assert caught.value.reason is RejectionReason.BULKHEAD_FULL
    release.set()
    for thread in threads:
        thread.join()
    wrapped()
    assert sidecar.flush()
    assert outbox.calls(plugin_rejection_reason="bulkhead_full") == 1
    assert outbox.calls(plugin_outcome="success") == 3


def test_calls_wait_in_the_queue_of_a_bulkhead_in_order(sidecar: Sidecar) -> None:
    most, lock, running = 0, threading.Lock(), 0

    def work() -> None:
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1

    wrapped = sidecar.wrap(work, plugin="csv", version="1", bulkhead=BulkheadPolicy(2, queue=100, wait_seconds=30))
    call_from_threads(8, wrapped, calls=20)
    assert most == 2
    (operation,) = sidecar.operations
    assert not operation.running
    assert not operation.waiting


def test_coroutines_wait_without_blocking_their_loop_and_cancelled_ones_leave_the_queue(sidecar: Sidecar) -> None:
    async def work(n: int) -> int:
        await asyncio.sleep(0.01)
        return n

    wrapped = sidecar.wrap(work, plugin="geo", version="1", bulkhead=BulkheadPolicy(1, queue=10, wait_seconds=30))
    (operation,) = sidecar.operations

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(wrapped(n)) for n in range(6)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = asyncio.run(main())
    assert [a for a in answers if isinstance(a, int)] == [0, 1, 2, 4, 5]
    assert isinstance(answers[3], asyncio.CancelledError)
    assert not operation.running
    assert not operation.waiting


def test_a_recursive_plugin_does_not_wait_for_itself(sidecar: Sidecar) -> None:
    def count(n: int) -> int:
        return 0 if n == 0 else 1 + int(wrapped(n - 1))

    wrapped: Any = sidecar.wrap(count, plugin="csv", version="1", bulkhead=1)
    assert wrapped(5) == 5


def test_a_rate_limit_refuses_and_says_when_to_try_again(sidecar: Sidecar, outbox: Any) -> None:
    wrapped = sidecar.wrap(lambda: 1, plugin="csv", version="1", operation="x", rate=RatePolicy(0.01, burst=2))
    assert [wrapped(), wrapped()] == [1, 1]
    with pytest.raises(CallNotPermitted) as caught:
        wrapped()
    assert caught.value.reason is RejectionReason.RATE_LIMITED
    assert caught.value.retry_after_seconds == pytest.approx(100, rel=0.1)
    assert "try again in" in str(caught.value)
    assert sidecar.flush()
    assert outbox.calls(plugin_rejection_reason="rate_limited") == 1


@given(st.lists(st.floats(0, 5), min_size=1, max_size=60), st.floats(0.5, 20), st.integers(1, 10))
def test_a_rate_limit_never_lets_more_through_than_it_says(gaps: list[float], rate: float, burst: int) -> None:
    limit, now, let_through = RateLimit(RatePolicy(rate, burst)), 0.0, 0
    for gap in gaps:
        now += gap
        let_through += limit.take(now) == 0.0
    assert let_through <= burst + rate * now + 1e-6


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 2)), max_size=60))
def test_a_cpu_quota_opens_again_when_it_said_so(spent: list[tuple[float, float]]) -> None:
    quota, now = CpuQuota(0.5), 100.0
    for gap, seconds in spent:
        now += gap
        wait = quota.exceeded(now)
        if wait:
            assert 0 < wait <= 11.0
            assert quota.exceeded(now + wait + 1e-3) == 0.0
            now += wait + 1e-3
        quota.spend(seconds, now)


def test_cpu_used_up_refuses_until_the_window_has_passed(sidecar: Sidecar) -> None:
    def burn() -> None:
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass

    wrapped = sidecar.wrap(burn, plugin="csv", version="1", quota=QuotaPolicy(cpu_share=0.001))
    wrapped()
    with pytest.raises(CallNotPermitted) as caught:
        wrapped()
    assert caught.value.reason is RejectionReason.QUOTA_EXCEEDED


def test_a_result_above_its_quota_is_an_error_of_the_quota(sidecar: Sidecar, outbox: Any) -> None:
    wrapped = sidecar.wrap(
        lambda n: b"x" * n, plugin="csv", version="1", operation="x", quota=QuotaPolicy(output_bytes=10)
    )
    assert wrapped(10) == b"x" * 10
    with pytest.raises(QuotaExceeded):
        wrapped(11)
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="error", plugin_error_source="quota") == 1


# -- results and slow calls ---------------------------------------------------------------------------------------------


def test_a_result_that_says_failure_counts_as_one_and_is_handed_on(sidecar: Sidecar, outbox: Any) -> None:
    answer = {"isError": True}
    wrapped = sidecar.wrap(
        lambda: answer,
        plugin="tool",
        version="1",
        operation="x",
        failed_result=lambda result: result["isError"],
        breaker=BreakerPolicy(minimum_calls=5),
    )
    for _ in range(5):
        assert wrapped() is answer
    with pytest.raises(CallNotPermitted):
        wrapped()
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="error", error_type="failed_result") == 5


def test_a_predicate_that_fails_changes_nothing(sidecar: Sidecar) -> None:
    wrapped = sidecar.wrap(lambda: 7, plugin="tool", version="1", operation="x", failed_result=lambda r: r["no"])
    assert wrapped() == 7
    assert next(iter(sidecar.operations)).faults == 1


def test_what_is_ignored_does_not_open_a_breaker_and_what_is_recorded_does(sidecar: Sidecar) -> None:
    def fail(kind: type[Exception]) -> None:
        raise kind

    policy = BreakerPolicy(
        minimum_calls=3, ignore=lambda outcome: isinstance(outcome, KeyError), record=lambda o: isinstance(o, OSError)
    )
    wrapped = sidecar.wrap(fail, plugin="p", version="1", operation="x", breaker=policy)
    for kind in [KeyError, ValueError] * 10:
        with pytest.raises(kind):
            wrapped(kind)
    breaker = sidecar.breaker("p", "1", "x")
    assert breaker is not None
    assert breaker.state is BreakerState.CLOSED
    for _ in range(12):
        with pytest.raises((OSError, CallNotPermitted)):
            wrapped(OSError)
    assert breaker.state is BreakerState.OPEN


def test_slow_calls_open_a_breaker() -> None:
    breaker = Breaker(BreakerPolicy(minimum_calls=4, slow_call_rate=0.5, slow_call_seconds=1.0))
    for number in range(4):
        breaker.record(False, 1.0, slow=number % 2 == 0)
    breaker.record(False, 1.0, slow=True)
    assert breaker.state is BreakerState.OPEN


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 30))
def test_a_window_of_calls_is_judged_by_its_last_calls(outcomes: list[bool], window: int) -> None:
    policy = BreakerPolicy(window_calls=window, minimum_calls=min(5, window), failure_rate=0.5, sudden=False)
    assert policy.minimum_calls is not None
    breaker = Breaker(policy)
    for number, failed in enumerate(outcomes, start=1):
        last = outcomes[max(0, number - window) : number]
        expected = failed and len(last) >= policy.minimum_calls and sum(last) / len(last) >= 0.5
        if failed:
            breaker.record(True, float(number))
        else:
            breaker.calls += 1  # as the hot path does
        assert (breaker.state is BreakerState.OPEN) == expected
        if expected:
            break


def test_metrics_only_measures_and_never_opens(sidecar: Sidecar) -> None:
    def fail() -> None:
        raise OSError

    wrapped = sidecar.wrap(fail, plugin="p", version="1", operation="x")
    breaker = sidecar.breaker("p", "1", "x")
    assert breaker is not None
    breaker.force(BreakerState.METRICS_ONLY, "a trial")
    for _ in range(50):
        with pytest.raises(OSError):
            wrapped()
    breaker.force(BreakerState.FORCED_OPEN, "by hand")
    with pytest.raises(CallNotPermitted):
        wrapped()
    breaker.force(BreakerState.CLOSED, "back")
    with pytest.raises(OSError):
        wrapped()


def test_arguments_are_kept_only_on_request_and_without_secrets(sidecar: Sidecar, outbox: Any) -> None:
    sidecar.wrap(lambda user, password: 1, plugin="p", version="1", operation="not")("ann", "hunter2")
    sidecar.wrap(
        lambda user, password: 1,
        plugin="p",
        version="1",
        operation="kept",
        capture=lambda user, password: {"user": user, "password": password, "note": f"token={password}"},
    )("ann", "hunter2")
    assert sidecar.flush()
    spans = {span.attributes["plugin.operation"]: span.attributes for span in outbox.spans_sent}
    assert "user" not in spans["not"]
    assert spans["kept"]["user"] == "ann"
    assert "hunter2" not in str(spans)


def test_what_was_declared_is_told_beside_what_was_seen(sidecar: Sidecar, outbox: Any) -> None:
    sidecar.wrap(
        lambda: time.sleep(0.01), plugin="p", version="1", operation="x", timeout=5.0, concurrency=3, owner="team-a"
    )()
    sidecar._pipeline.drain.cut(everything=True, heartbeat=True)
    assert sidecar.flush()
    declared = {p.attributes["plugin.term"]: p for p in outbox.named("plugin.terms.declared")}
    observed = {p.attributes["plugin.term"]: p for p in outbox.named("plugin.terms.observed")}
    assert declared["timeout"].point.as_double == 5.0
    assert declared["timeout"].attributes["plugin.owner"] == "team-a"
    assert 0.01 <= observed["timeout"].point.as_double < 5.0
    assert declared["concurrency"].point.as_int == 3


def test_what_an_operation_is_held_to_is_told(sidecar: Sidecar, outbox: Any) -> None:
    sidecar.wrap(
        lambda: None, plugin="p", version="1", operation="x", owner="team-a", bulkhead=3, rate=50,
        quota=QuotaPolicy(cpu_share=0.5, output_bytes=1000),
    )()  # fmt: skip
    sidecar._pipeline.drain.cut(everything=True, heartbeat=True)
    assert sidecar.flush()
    held = {p.attributes["plugin.term"]: p for p in outbox.named("plugin.terms.enforced")}
    values = {term: found.point.as_int or found.point.as_double for term, found in held.items()}
    assert values.pop("processors") > 0
    assert values == {"concurrency": 3, "rate": 50, "cpu": 0.5, "output": 1000}
    assert held["rate"].attributes["plugin.owner"] == "team-a"


def test_what_is_used_of_a_limit_is_told_beside_it(sidecar: Sidecar, outbox: Any) -> None:
    """Calls that were refused say that a bulkhead was full, whoever looked; a rate is a mean over a minute."""
    outer: list[Callable[[], object]] = []

    def refused() -> None:
        with contextlib.suppress(CallNotPermitted):
            outer[0]()

    def holding() -> None:
        call_from_threads(1, refused, calls=1)

    outer.append(sidecar.wrap(holding, plugin="p", version="1", operation="outer", bulkhead=BulkheadPolicy(1)))
    idle = sidecar.wrap(lambda: None, plugin="p", version="1", operation="idle", bulkhead=BulkheadPolicy(3))
    limited = sidecar.wrap(lambda: None, plugin="p", version="1", operation="limited", rate=RatePolicy(0.5, burst=2))
    outer[0]()
    idle()
    for _ in range(3):
        with contextlib.suppress(CallNotPermitted):
            limited()
    sidecar._pipeline.drain.cut(everything=True, heartbeat=True)
    assert sidecar.flush()
    told = {
        (p.attributes["plugin.operation"], p.attributes["plugin.term"]): p.point.as_int or p.point.as_double
        for p in outbox.named("plugin.terms.observed")
    }
    assert told["idle", "concurrency"] <= 1
    assert told["outer", "concurrency"] == 1, "one place, and a call that found none"
    assert told["limited", "rate"] == 3 / 60, "two tokens, and a call that found none"


@pytest.mark.parametrize(
    ("quota", "usable", "expected"),
    [("max 100000\n", 4, 4.0), ("150000 100000\n", 4, 1.5), ("900000 100000", 4, 4.0), ("", 2, 2.0), ("0 0", 2, 2.0), ("x y", 2, 2.0)],
)  # fmt: skip
def test_processors_are_those_that_a_container_may_use(quota: str, usable: int, expected: float) -> None:
    assert allowed(quota, usable) == expected


@pytest.mark.parametrize(("said", "limit"), [(True, BulkheadPolicy().concurrent), (3, 3), (False, sys.maxsize)])
def test_a_bulkhead_can_be_switched_on_like_a_breaker(sidecar: Sidecar, said: Any, limit: int) -> None:
    sidecar.wrap(lambda: None, plugin="p", version="1", operation="x", bulkhead=said)
    assert next(iter(sidecar.operations)).limit == limit
    assert type(next(iter(sidecar.operations)).limit) is int


def test_what_a_call_left_running_is_not_bound_by_its_deadline(sidecar: Sidecar) -> None:
    async def quick() -> str:
        return "ran"

    inner = sidecar.wrap(quick, plugin="inner", version="1")
    tasks: list[asyncio.Task[str]] = []

    async def later() -> str:
        await asyncio.sleep(0.1)
        return await inner()

    async def start() -> None:
        tasks.append(asyncio.create_task(later()))

    async def main() -> str:
        await sidecar.wrap(start, plugin="outer", version="1", timeout=0.05)()
        return await tasks[0]

    assert asyncio.run(main()) == "ran"


def test_an_async_generator_waits_for_its_place_without_holding_up_the_loop(sidecar: Sidecar) -> None:
    async def items() -> Any:
        await asyncio.sleep(0.05)
        yield 1

    wrapped = sidecar.wrap(items, plugin="g", version="1", bulkhead=BulkheadPolicy(1, queue=5, wait_seconds=10))

    async def main() -> list[list[int]]:
        async def use() -> list[int]:
            return [item async for item in wrapped()]

        return await asyncio.gather(use(), use(), use())

    assert asyncio.run(main()) == [[1], [1], [1]]


def test_nested_calls_of_one_operation_take_one_place(sidecar: Sidecar) -> None:

    refused: list[bool] = []

    def other() -> None:
        try:
            wrapped(0)
            refused.append(False)
        except CallNotPermitted:
            refused.append(True)

    def deep(n: int) -> None:
        if n:
            wrapped(n - 1)
        elif not refused and threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

    wrapped: Any = sidecar.wrap(deep, plugin="p", version="1", bulkhead=2)
    wrapped(5)
    assert refused == [False]
