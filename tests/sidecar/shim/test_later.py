"""What a plain function answers and what runs later belongs to its call: time, failure and deadline."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import gc
import inspect
import time
import types
import unittest.mock
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from plugwarden import CallNotPermitted, Fallback, LastGood, Sidecar, Value
from plugwarden.contract import Outcome
from plugwarden.gate import BulkheadPolicy

WORK_SECONDS = 0.02


def retrying(function: Callable[..., Any]) -> Callable[..., Any]:
    """As decorators of other people's are: plain, whatever they decorate."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


class Calls:
    """The finished invocations of a sidecar, as they are handed to its drain."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self.ended: list[Any] = []

    def wrap(self, function: Any, operation: str = "x", **terms: Any) -> Any:
        wrapped = self._sidecar.wrap(function, plugin="p", version="1", operation=operation, breaker=False, **terms)
        self.operation = next(known for known in self._sidecar.operations if known.scope.operation == operation)
        self.operation.append = self.ended.append  # read when a call ends
        return wrapped

    def only(self) -> Any:
        assert len(self.ended) == 1, self.ended
        assert self.operation.running == set()
        assert self.operation.faults == 0
        return self.ended[0]


@pytest.fixture
def calls(sidecar: Sidecar) -> Calls:
    return Calls(sidecar)


async def slow(fails: bool = False) -> str:
    await asyncio.sleep(WORK_SECONDS)
    if fails:
        raise ValueError("late")
    return "done"


def ways() -> list[Any]:
    """Name, and a plain function that answers something to await."""

    class Called:
        async def __call__(self, fails: bool = False) -> str:
            return await slow(fails)

    class Static:
        @staticmethod
        async def work(fails: bool = False) -> str:
            return await slow(fails)

    return [
        pytest.param(retrying(slow), id="a plain decorator"),
        pytest.param(lambda fails=False: slow(fails), id="a lambda"),
        pytest.param(lambda fails=False: asyncio.ensure_future(slow(fails)), id="a task"),
        pytest.param(functools.partial(slow), id="partial"),
        pytest.param(Called(), id="async __call__"),
        pytest.param(retrying(Static.work), id="async static method"),
        pytest.param(Static.__dict__["work"], id="staticmethod object"),
        pytest.param(unittest.mock.AsyncMock(side_effect=slow), id="AsyncMock"),
    ]


@pytest.mark.parametrize("function", ways())
def test_the_time_and_the_failure_of_what_is_awaited_are_the_calls(calls: Calls, function: Any) -> None:
    wrapped = calls.wrap(function)
    if isinstance(wrapped, staticmethod):
        wrapped = wrapped.__func__

    async def main(fails: bool) -> Any:
        made = wrapped(fails)
        assert inspect.isawaitable(made)
        return await made

    assert asyncio.run(main(False)) == "done"
    assert calls.only().duration_ns >= WORK_SECONDS * 0.9e9
    calls.ended.clear()
    with pytest.raises(ValueError, match="late"):
        asyncio.run(main(True))
    assert (calls.only().outcome, calls.only().error_type) == (Outcome.ERROR, "ValueError")


def test_a_hook_that_answers_a_coroutine_function_is_over_when_that_is(calls: Calls) -> None:
    def hook(n: int) -> Callable[[], Awaitable[int]]:
        async def inner() -> int:
            await asyncio.sleep(WORK_SECONDS)
            return n

        return inner

    async def main() -> list[int]:
        made = calls.wrap(hook)(3)
        assert inspect.iscoroutinefunction(made)
        assert made.__name__ == "inner"
        assert calls.ended == []
        return [await made(), await made()]

    assert asyncio.run(main()) == [3, 3]
    assert calls.only().duration_ns >= WORK_SECONDS * 0.9e9


def test_a_coroutine_from_a_plain_function_is_cancelled_at_its_deadline(calls: Calls) -> None:
    @retrying
    async def hang() -> None:
        await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        asyncio.run(calls.wrap(hang, timeout=0.02)())
    assert calls.only().outcome is Outcome.TIMEOUT


def test_an_async_generator_is_cancelled_when_its_own_steps_take_too_long(calls: Calls) -> None:
    async def items() -> AsyncIterator[int]:
        yield 1
        yield 2
        await asyncio.sleep(60)

    taken = []

    async def main() -> None:
        async for item in calls.wrap(items, timeout=0.3)():
            taken.append(item)
            await asyncio.sleep(0.2)  # the consumer's own time is not the plugin's

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert taken == [1, 2]
    assert calls.only().outcome is Outcome.TIMEOUT


def test_a_fallback_and_a_last_good_result_look_at_what_was_awaited(calls: Calls) -> None:
    wrapped = calls.wrap(retrying(slow), fallback=Fallback(LastGood(), Value("none")))

    async def main() -> list[str]:
        return [await wrapped(True), await wrapped(), await wrapped(True)]

    assert asyncio.run(main()) == ["none", "done", "done"]


def test_places_are_held_while_it_runs_and_waited_for_without_blocking_the_loop(calls: Calls) -> None:
    most = 0

    @retrying
    async def work() -> None:
        nonlocal most
        most = max(most, len(calls.operation.running))
        await asyncio.sleep(0.001)

    wrapped = calls.wrap(work, bulkhead=BulkheadPolicy(2, queue=20, wait_seconds=30))

    async def main() -> None:
        await asyncio.gather(*(wrapped() for _ in range(12)))

    asyncio.run(main())
    assert most == 2
    assert [found.outcome for found in calls.ended] == [Outcome.SUCCESS] * 12
    full = calls.wrap(work, "full", bulkhead=1)

    async def crowd() -> list[Any]:
        return await asyncio.gather(*(full() for _ in range(3)), return_exceptions=True)

    assert [type(found) for found in asyncio.run(crowd())] == [type(None), CallNotPermitted, CallNotPermitted]
    assert calls.operation.running == set()


@pytest.mark.parametrize("fails", [False, True])
def test_a_generator_that_a_function_answers_is_the_call(calls: Calls, fails: bool) -> None:
    def lazily() -> Iterator[float]:
        return (1 / (n - (2 if fails else 9)) for n in range(5))

    made = calls.wrap(lazily)()
    assert isinstance(made, types.GeneratorType)
    assert made.__name__ == "<genexpr>"
    assert calls.ended == []
    with pytest.raises(ZeroDivisionError) if fails else contextlib.nullcontext():
        collections.deque(made, 0)
    assert calls.only().outcome is (Outcome.ERROR if fails else Outcome.SUCCESS)


@pytest.mark.parametrize("fails", [False, True])
def test_an_async_generator_that_a_function_answers_is_the_call(calls: Calls, fails: bool) -> None:
    async def items() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(WORK_SECONDS)
        if fails:
            raise ValueError

    async def main() -> list[int]:
        made = calls.wrap(lambda: items())()
        assert isinstance(made, types.AsyncGeneratorType)
        return [item async for item in made]

    with pytest.raises(ValueError) if fails else contextlib.nullcontext():
        assert asyncio.run(main()) == [1]
    assert calls.only().duration_ns >= WORK_SECONDS * 0.9e9
    assert calls.only().outcome is (Outcome.ERROR if fails else Outcome.SUCCESS)


@contextlib.contextmanager
def managed(fails: bool = False) -> Iterator[int]:
    time.sleep(WORK_SECONDS)
    yield 7
    if fails:
        raise ValueError("on leaving")


@contextlib.asynccontextmanager
async def managed_async(fails: bool = False) -> AsyncIterator[int]:
    await asyncio.sleep(WORK_SECONDS)
    yield 7
    if fails:
        raise ValueError("on leaving")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_a_context_manager_is_the_call_and_the_hosts_block_is_not(calls: Calls, fails: bool, is_async: bool) -> None:
    wrapped = calls.wrap(managed_async if is_async else managed)
    began_ns, block_ns = time.perf_counter_ns(), 0

    async def main() -> None:
        nonlocal block_ns
        made = wrapped(fails)
        assert type(made) is type((managed_async if is_async else managed)())
        async with contextlib.AsyncExitStack() as stack:
            got = await stack.enter_async_context(made) if is_async else stack.enter_context(made)
            assert got == 7
            entered_ns = time.perf_counter_ns()
            time.sleep(3 * WORK_SECONDS)
            block_ns = time.perf_counter_ns() - entered_ns

    with pytest.raises(ValueError, match="on leaving") if fails else contextlib.nullcontext():
        asyncio.run(main())
    assert WORK_SECONDS * 0.9e9 <= calls.only().duration_ns <= time.perf_counter_ns() - began_ns - block_ns
    assert calls.only().outcome is (Outcome.ERROR if fails else Outcome.SUCCESS)


@pytest.mark.parametrize("lazily", [managed_async, lambda: slow(), lambda: (n for n in "ab")])
def test_what_a_coroutine_function_answers_and_runs_later_is_the_call_too(calls: Calls, lazily: Any) -> None:
    async def answers() -> Any:
        return lazily()

    async def main() -> None:
        made = await calls.wrap(answers)()
        assert calls.ended == []
        if inspect.isgenerator(made):
            assert list(made) == ["a", "b"]
        elif inspect.iscoroutine(made):
            assert await made == "done"
        else:
            async with made as got:
                assert got == 7

    asyncio.run(main())
    assert calls.only().outcome is Outcome.SUCCESS


def test_an_error_of_the_block_that_a_manager_lets_through_is_the_callers(calls: Calls) -> None:
    with pytest.raises(LookupError), calls.wrap(managed)():
        raise LookupError
    assert calls.only().source == "caller"


def test_what_nobody_wants_any_more_is_counted_as_it_was_when_the_function_returned(calls: Calls) -> None:
    for function in (managed, managed_async, lambda: (n for n in "abc"), retrying(slow)):
        made = calls.wrap(function)()
        if inspect.iscoroutine(made):
            made.close()
        del made
        gc.collect()
        assert calls.only().outcome is Outcome.SUCCESS
        calls.ended.clear()


def test_a_future_is_counted_once_when_it_is_done(calls: Calls) -> None:
    with ThreadPoolExecutor(1) as pool:
        made = calls.wrap(lambda: pool.submit(lambda: 1 / 0))()
        with pytest.raises(ZeroDivisionError):
            made.result()
    assert calls.only().error_type == "ZeroDivisionError"


def test_one_future_that_is_answered_often_is_waited_for_once(calls: Calls) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        wrapped = calls.wrap(lambda: future)
        for _ in range(5):
            assert wrapped() is future
        assert len(calls.ended) == 4
        future.set_result(None)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert [found.outcome for found in calls.ended] == [Outcome.SUCCESS] * 5


def test_what_is_forgotten_takes_no_lock_when_memory_is_tidied_up(calls: Calls) -> None:
    wrapped = calls.wrap(lambda: (n for n in "abc"), bulkhead=BulkheadPolicy(1, queue=1))
    made = wrapped()
    bulkhead = calls.operation.bulkhead
    bulkhead.waiting.append("somebody")  # for whom a place would be looked for
    with bulkhead._lock:
        del made
        gc.collect()
    bulkhead.waiting.clear()
    assert calls.only().outcome is Outcome.SUCCESS


def test_a_failed_task_that_nobody_asks_is_still_told_by_asyncio(calls: Calls) -> None:
    told: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["message"]))
        task = calls.wrap(lambda: asyncio.ensure_future(slow(True)))()
        await asyncio.wait([task])
        del task
        gc.collect()

    asyncio.run(main())
    assert told == ["Task exception was never retrieved"]


def test_what_somebody_else_holds_or_could_tell_apart_is_never_exchanged(calls: Calls) -> None:
    class Rows:
        def __iter__(self) -> Iterator[int]:
            return iter((1, 2))

    class Later:
        def __await__(self) -> Any:
            return iter(())

    kept: list[Any] = [(n for n in "abc"), slow(), [1], Rows(), iter([1]), map(str, "ab"), Later(), slow, managed()]
    for number, thing in enumerate(kept):
        assert calls.wrap(lambda number=number: kept[number])() is thing
        assert calls.wrap(lambda given: given)(thing) is thing
    kept[1].close()


def test_a_span_that_a_generator_leaves_open_is_current_in_its_next_step(calls: Calls) -> None:
    tracer = TracerProvider().get_tracer("plugin")
    seen: list[bool] = []

    def steps() -> Iterator[None]:
        with tracer.start_as_current_span("own") as span:
            yield
            seen.append(trace.get_current_span() is span)

    before = trace.get_current_span()
    for _ in calls.wrap(steps)():
        assert trace.get_current_span() is before
    assert seen == [True]


def test_a_generator_left_early_says_nothing_in_the_hosts_log(
    sidecar: Sidecar, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    troubles: list[Any] = []

    async def items() -> AsyncIterator[int]:
        with sidecar.tenant("t"):
            async with sidecar.downstream("db"):
                for n in range(10):
                    await asyncio.sleep(0)
                    yield n

    async def main(leave: bool) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: troubles.append(context))
        made = calls.wrap(items)()
        async for _ in made:
            break
        if not leave:
            del made  # the loop closes it, in a task of its own
        gc.collect()
        await asyncio.sleep(0.01)

    for leave in (True, False):
        asyncio.run(main(leave))
    assert [record.getMessage() for record in caplog.records] == []
    assert troubles == []
    assert calls.operation.running == set()
