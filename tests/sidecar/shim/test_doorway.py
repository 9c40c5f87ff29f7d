"""The way of a plain call in C: it is taken, it leaves to Python what is not for it, and nobody can tell the two apart."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context as otel_context
from plugwarden import CallNotPermitted, Sidecar, settlement
from plugwarden.contract import Outcome
from plugwarden.invocation import current_invocation
from plugwarden.operation import CPU_SAMPLE_MASK, Operation
from plugwarden.shim import doorway

ROOT = Path(__file__).parents[3]
WITHOUT = (
    "test_shim",
    "test_callables",
    "test_copies",
    "test_plain_calls",
    "test_counted",
    "test_later",
    "test_form",
    "test_rollback",
    "test_rollback_kinds",
    "test_attempt",
)
"""Tests of the shim that hold for a package without C as well."""

built = pytest.mark.skipif(not doorway.BUILT, reason="no C compiler: there is no doorway")


def operation_of(wrapped: Any) -> Operation:
    found: Operation = wrapped.__plugwarden__
    return found


def while_handling(error: Exception, action: Callable[[], Any]) -> tuple[Any, pytest.ExceptionInfo[ValueError]]:
    """What is handled after `action` has raised a `ValueError` while `error` was, and what it raised."""
    try:
        raise error
    except type(error):
        with pytest.raises(ValueError, match=r"\d+") as caught:
            action()
        return sys.exc_info()[1], caught


def test_a_package_without_c_does_the_same() -> None:
    files = [str(Path(__file__).parent / f"{name}.py") for name in WITHOUT]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "tests.sidecar.support.without_native",
        "-p",
        "no:cacheprovider",
        *files,
    ]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    told = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths}
    )
    assert told.returncode == 0, told.stdout[-4_000:] + told.stderr[-2_000:]
    assert "sidecar: all of it in Python" in told.stdout or "passed" in told.stdout


@built
def test_most_calls_take_it_and_are_all_counted(sidecar: Sidecar) -> None:
    passed: list[bool] = []
    call = sidecar.wrap(lambda: passed.append(True), plugin="p", version="1", operation="x")
    operation = operation_of(call)
    seen: list[str] = []
    settle = settlement.settle

    def counted(*args: Any, **named: Any) -> Any:
        seen.append("settled")
        return settle(*args, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settlement, "settle", counted)
        for _ in range(640):
            call()
    assert operation.calls == len(passed) == 640
    assert len(seen) == 640 / (CPU_SAMPLE_MASK + 1)  # the others never came to Python
    assert not operation.running
    assert operation.faults == 0


@built
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_context_and_the_running_set_are_as_they_were(sidecar: Sidecar, depth: int) -> None:
    def inner(n: int) -> Any:
        found = current_invocation()
        assert found is not None
        assert found.operation is operation
        assert found in operation.running
        if n > 1:
            below = call(n - 1)
            assert below.parent is found
            assert current_invocation() is found
        return found

    call: Callable[[int], Any] = sidecar.wrap(inner, plugin="p", version="1", operation="x")
    operation = operation_of(call)
    for _ in range(200):
        before = otel_context.get_current()
        call(depth)
        assert otel_context.get_current() is before
    assert operation.calls == 200 * depth
    assert not operation.running
    assert operation.faults == 0


@built
def test_who_keeps_the_span_keeps_it_whole(sidecar: Sidecar) -> None:
    kept: list[Any] = []
    call = sidecar.wrap(lambda: kept.append(current_invocation()), plugin="p", version="1", operation="x")
    for _ in range(100):
        call()
    assert len({id(one) for one in kept}) == 100
    assert all(one.duration_ns > 0 for one in kept)


@built
def test_who_keeps_the_context_keeps_its_span(sidecar: Sidecar) -> None:
    kept: list[contextvars.Context] = []
    call = sidecar.wrap(lambda: kept.append(contextvars.copy_context()), plugin="p", version="1", operation="x")
    for _ in range(100):
        call()
    found = {id(one.run(current_invocation)) for one in kept}
    assert len(found) == 100


@built
def test_an_exception_is_the_plugins_own_with_its_trace_and_its_context(sidecar: Sidecar) -> None:
    def fail(n: int) -> None:
        raise ValueError(n)

    call = sidecar.wrap(fail, plugin="p", version="1", operation="x", breaker=False)
    for n in range(100):
        handled, caught = while_handling(before := KeyError("before"), lambda n=n: call(n))  # type: ignore[misc]
        assert handled is before
        assert caught.value.__context__ is before
        assert caught.value.__cause__ is None
        assert str(caught.value) == str(n)
        names = [entry.name for entry in caught.traceback]
        assert names[-2:] == ["call", "fail"]
    operation = operation_of(call)
    assert operation.calls == 100
    assert not operation.running
    assert operation.faults == 0


@built
def test_a_fallback_answers_for_what_failed(sidecar: Sidecar) -> None:
    def fail(n: int, *, more: int = 0) -> int:
        raise ValueError

    call = sidecar.wrap(
        fail, plugin="p", version="1", operation="x", breaker=False, fallback=lambda n, more=0: (n, more)
    )
    assert [call(n, more=1) for n in range(100)] == [(n, 1) for n in range(100)]


@built
def test_an_interrupt_goes_through_and_leaves_no_place_taken(sidecar: Sidecar) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    call = sidecar.wrap(stop, plugin="p", version="1", operation="x")
    before = otel_context.get_current()
    for _ in range(100):
        with pytest.raises(KeyboardInterrupt):
            call()
    assert not operation_of(call).running
    assert otel_context.get_current() is before


@built
def test_a_result_that_runs_later_is_taken_over(sidecar: Sidecar) -> None:
    async def later() -> int:
        return 1

    call: Any = sidecar.wrap(lambda: later(), plugin="p", version="1", operation="x")

    async def main() -> int:
        answers = [call() for _ in range(100)]
        assert all(answer.cr_code is not later.__code__ for answer in answers)  # ours, around the plugin's
        return sum([await answer for answer in answers])

    assert asyncio.run(main()) == 100
    assert operation_of(call).calls == 100
    assert not operation_of(call).running


@built
def test_results_of_many_kinds_are_all_counted(sidecar: Sidecar) -> None:
    kinds = [int, str, dict, list, set, tuple, float, bytes]
    call = sidecar.wrap(lambda n: kinds[n % 8](), plugin="p", version="1", operation="x")
    assert [type(call(n)) for n in range(400)] == [kinds[n % 8] for n in range(400)]
    assert operation_of(call).calls == 400
    assert operation_of(call).faults == 0


@built
def test_a_clock_of_the_hosts_own_is_asked(sidecar: Sidecar) -> None:
    found: list[int] = []
    call: Any = sidecar.wrap(lambda: None, plugin="p", version="1", operation="x")
    operation = operation_of(call)

    def clock() -> int:
        found.append(len(found))
        return len(found)

    operation.clock = clock
    timed: Any = sidecar.wrap(lambda: None, plugin="p", version="1", operation="x")
    timed()
    before = len(found)
    timed()
    assert len(found) == before + 2


@built
def test_threads_share_an_operation_and_none_is_lost(sidecar: Sidecar) -> None:
    made: list[int] = []
    call = sidecar.wrap(lambda: made.append(1), plugin="p", version="1", operation="x")
    threads = [threading.Thread(target=lambda: [call() for _ in range(5_000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 20_000
    assert not operation_of(call).running
    assert operation_of(call).faults == 0


@built
def test_what_is_wrapped_can_be_let_go_of(sidecar: Sidecar) -> None:
    class Held:
        def __call__(self) -> None:
            pass

    held = Held()
    call: Any = sidecar.wrap(held, plugin="p", version="1", operation="x")
    for _ in range(100):
        call()
    gone = weakref.ref(held)
    del held, call
    gc.collect()
    assert gone() is None


@built
def test_a_stand_in_answers_as_its_original_does(sidecar: Sidecar) -> None:
    class Marked:
        """Its text."""

        mark = 1

        def __call__(self) -> int:
            return self.mark

    original = Marked()
    stand_in: Any = sidecar.wrap(original, plugin="p", version="1", operation="x")
    assert stand_in.mark == 1
    assert not hasattr(stand_in, "other")
    original.mark = 2
    assert stand_in.mark == 2 == stand_in()
    stand_in.mark = 3
    assert original.mark == 3
    with pytest.raises(AttributeError, match="'Marked' object has no attribute 'other'"):
        _ = stand_in.other
    assert weakref.ref(stand_in)() is stand_in


@built
def test_a_call_with_a_deadline_and_a_place_takes_it_as_well(sidecar: Sidecar) -> None:
    seen: list[Any] = []

    def work() -> None:
        found = current_invocation()
        assert found is not None
        seen.append((found, found.deadline_ns - found.started_ns, len(operation.running)))

    call: Any = sidecar.wrap(work, plugin="p", version="1", operation="x", timeout=60.0, bulkhead=2)
    operation = operation_of(call)
    for _ in range(100):
        call()
    assert {(left, running) for _, left, running in seen} == {(60_000_000_000, 1)}
    assert all(one.deadline_ns == 0 for one, _, _ in seen)
    assert operation.faults == 0


@built
def test_a_call_within_itself_takes_no_place_and_a_full_bulkhead_refuses(sidecar: Sidecar) -> None:
    def work(depth: int) -> int:
        return call(depth - 1) + 1 if depth else len(operation.running)

    call: Any = sidecar.wrap(work, plugin="p", version="1", operation="x", bulkhead=1)
    operation = operation_of(call)
    assert [call(3) for _ in range(100)] == [4] * 100  # one place, for all that are within each other
    operation.running.add("another")
    for _ in range(100):
        with pytest.raises(CallNotPermitted):
            call(0)
    operation.running.clear()
    assert call(0) == 1


@built
def test_a_success_that_took_longer_than_its_deadline_is_a_timeout(sidecar: Sidecar) -> None:
    settled: list[Any] = []
    call: Any = sidecar.wrap(
        lambda n: time.sleep(n), plugin="p", version="1", operation="x", timeout=0.001, breaker=False
    )
    operation = operation_of(call)
    operation.append = settled.append
    call(0)
    call(0)
    call(0.002)
    assert settled[-1].outcome is Outcome.TIMEOUT
