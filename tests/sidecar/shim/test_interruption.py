"""Calls that the host cuts short, and exceptions that cannot be looked at: each counts, against whom it should."""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import os
import signal
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import anyio
import greenlet
import pytest
from plugwarden import Sidecar
from plugwarden.gate import BreakerPolicy
from plugwarden.inspection import is_a, is_or_comes_from, leaves_of, message_of, type_name

HOST_SECONDS = 0.5
"""Long enough that the first call of a process, which loads what sends, begins in its first half on a busy machine too."""


class Ended:
    """A wrapped operation, and what became of its calls: (outcome, source)."""

    def __init__(self, sidecar: Sidecar, function: Any, **terms: Any) -> None:
        self.call = sidecar.wrap(function, plugin="p", version="1", operation="x", **{"breaker": False, **terms})
        self.operation = next(iter(sidecar.operations))
        self.invocations: list[Any] = []
        self.operation.append = self.invocations.append

    @property
    def told(self) -> list[tuple[str, str | None]]:
        assert self.operation.faults == 0
        return [(found.outcome.value, found.source and found.source.value) for found in self.invocations]


async def hang() -> None:
    await asyncio.sleep(60)


async def by_wait_for(call: Any) -> None:
    await asyncio.wait_for(call(), HOST_SECONDS)


async def by_wait_for_deep_inside(call: Any) -> None:
    async def outer() -> None:
        await call()

    await asyncio.wait_for(asyncio.wait_for(outer(), 60), HOST_SECONDS)


async def by_timeout(call: Any) -> None:
    async with asyncio.timeout(60), asyncio.timeout(HOST_SECONDS):
        await call()


async def by_wait_for_gather(call: Any) -> None:
    await asyncio.wait_for(asyncio.gather(call(), asyncio.sleep(60)), HOST_SECONDS)


async def by_timeout_around_a_group(call: Any) -> None:
    async with asyncio.timeout(HOST_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(call())


async def by_anyio(call: Any) -> None:
    with anyio.fail_after(HOST_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(call)


TIME_OUTS = [
    by_wait_for,
    by_wait_for_deep_inside,
    by_timeout,
    by_wait_for_gather,
    by_timeout_around_a_group,
    by_anyio,
]


@pytest.mark.parametrize("host", TIME_OUTS)
def test_a_hang_under_the_hosts_time_out_is_the_plugins(sidecar: Sidecar, host: Callable[[Any], Any]) -> None:
    ended = Ended(sidecar, hang)
    with pytest.raises(TimeoutError):
        asyncio.run(host(ended.call))
    assert ended.told == [("timeout", "plugin")]
    assert ended.invocations[0].error_type == "timeout"


def test_a_breaker_opens_on_hangs_that_the_host_cuts_short(sidecar: Sidecar) -> None:
    ended = Ended(sidecar, hang, breaker=BreakerPolicy(minimum_calls=5))

    async def main() -> None:
        await asyncio.gather(*(asyncio.wait_for(ended.call(), HOST_SECONDS) for _ in range(10)), return_exceptions=True)

    asyncio.run(main())
    breaker = sidecar.breaker("p", "1", "x")
    assert breaker is not None
    assert breaker.state.word == "open"


async def by_cancel(call: Any) -> None:
    task = asyncio.ensure_future(call())
    await asyncio.sleep(HOST_SECONDS)
    task.cancel()
    await task


async def by_cancel_within_a_time_out(call: Any) -> None:
    async def patient() -> None:
        async with asyncio.timeout(60):
            await asyncio.wait_for(call(), 60)

    await by_cancel(patient)


async def by_a_sibling(call: Any) -> None:
    async def fails() -> None:
        await asyncio.sleep(HOST_SECONDS)
        raise LookupError

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(call())
        group.create_task(fails())


@pytest.mark.parametrize("host", [by_cancel, by_cancel_within_a_time_out, by_a_sibling])
def test_a_call_that_is_cancelled_for_other_reasons_says_nothing_about_the_plugin(
    sidecar: Sidecar, host: Callable[[Any], Any]
) -> None:
    ended = Ended(sidecar, hang)
    with pytest.raises((asyncio.CancelledError, ExceptionGroup)):
        asyncio.run(host(ended.call))
    assert ended.told == [("cancelled", "caller")]


def test_a_call_that_began_when_the_time_was_nearly_over_is_not_to_blame(sidecar: Sidecar) -> None:
    ended = Ended(sidecar, hang)

    async def late() -> None:
        time.sleep(0.8)
        await ended.call()

    async def main() -> None:
        await asyncio.wait_for(late(), 0.9)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert ended.told == [("timeout", "caller")]


def test_a_time_out_that_strikes_in_a_downstream_is_the_downstreams(sidecar: Sidecar) -> None:
    async def asks() -> None:
        async with sidecar.downstream("db"):
            await asyncio.sleep(60)

    ended = Ended(sidecar, asks)
    with pytest.raises(TimeoutError):
        asyncio.run(by_wait_for(ended.call))
    assert ended.told[-1] == ("timeout", "downstream")


@pytest.mark.parametrize("leave", [sys.exit, lambda: argparse.ArgumentParser().parse_args(["--no-such"])])
def test_a_plugin_that_ends_the_process_has_failed(sidecar: Sidecar, leave: Callable[[], Any]) -> None:
    ended = Ended(sidecar, lambda: leave())
    with pytest.raises(SystemExit):
        ended.call()
    assert ended.told == [("error", "plugin")]


@pytest.mark.parametrize(
    ("number", "told"), [(signal.SIGTERM, ("cancelled", "host")), (signal.SIGABRT, ("error", "plugin"))]
)
def test_a_signal_that_ends_the_host_is_told_from_one_that_ends_a_hang(
    sidecar: Sidecar, number: signal.Signals, told: tuple[str, str]
) -> None:
    def handler(*_: Any) -> None:
        sys.exit(1)

    def plugin() -> None:
        os.kill(os.getpid(), number)
        time.sleep(5)

    ended = Ended(sidecar, plugin)
    before = signal.signal(number, handler)
    try:
        with pytest.raises(SystemExit):
            ended.call()
    finally:
        signal.signal(number, before)
    assert ended.told == [told]


def raised_by_a_plugin(sidecar: Sidecar, kind: type[BaseException]) -> list[tuple[str, str | None]]:
    def plugin() -> None:
        raise kind

    ended = Ended(sidecar, plugin)
    with pytest.raises(kind):
        ended.call()
    return ended.told


@pytest.mark.parametrize(
    "name", ["gevent.timeout.Timeout", "eventlet.timeout.Timeout", "func_timeout.exceptions.FunctionTimedOut"]
)
def test_a_green_threads_time_out_is_the_plugins(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module, _, short = name.rpartition(".")
    monkeypatch.setitem(sys.modules, module, loaded := types.ModuleType(module))
    monkeypatch.setattr(loaded, short, kind := type(short, (BaseException,), {}), raising=False)
    assert raised_by_a_plugin(sidecar, kind) == [("timeout", "plugin")]
    assert raised_by_a_plugin(sidecar, type("Longer", (kind,), {})) == [("timeout", "plugin")]


@pytest.mark.parametrize("kind", [asyncio.CancelledError, greenlet.GreenletExit, GeneratorExit, KeyboardInterrupt])
def test_a_cancellation_is_one_whatever_the_name_of_its_class(sidecar: Sidecar, kind: type[BaseException]) -> None:
    assert raised_by_a_plugin(sidecar, kind) == [("cancelled", "caller")]
    assert raised_by_a_plugin(sidecar, type("Stopped", (kind,), {})) == [("cancelled", "caller")]


NAMES_OF_OTHERS = ["CancelledError", "Cancelled", "GeneratorExit", "GreenletExit", "KeyboardInterrupt"]


@pytest.mark.parametrize("name", [*NAMES_OF_OTHERS, "Timeout", "OrderTimedOut", "TimeLimitExceeded"])
def test_a_failure_with_the_name_of_a_cancellation_or_time_out_is_none(sidecar: Sidecar, name: str) -> None:
    own = type(name, (BaseException,), {"__module__": "trio"})
    assert raised_by_a_plugin(sidecar, own) == [("error", "host")]


def test_a_failure_at_its_deadline_with_the_name_of_a_cancellation_is_no_time_out(sidecar: Sidecar) -> None:
    class Cancelled(BaseException):
        pass

    async def plugin() -> None:
        time.sleep(2 * HOST_SECONDS)
        raise Cancelled

    ended = Ended(sidecar, plugin, timeout=HOST_SECONDS)
    with pytest.raises(Cancelled):
        asyncio.run(ended.call())
    assert ended.told == [("error", "host")]


def test_a_future_of_a_pool_that_was_cancelled_says_nothing_about_the_plugin(sidecar: Sidecar) -> None:
    ended = Ended(sidecar, lambda: concurrent.futures.Future())
    future = ended.call()
    assert future.cancel()
    future.set_running_or_notify_cancel()
    assert ended.told == [("cancelled", "caller")]


class Delegates(Exception):
    def __getattr__(self, name: str) -> Any:
        return getattr(self.response, name)


class HasAll(Exception):
    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


class LiesOfItsClass(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError


class LiesOfItsClassToo(BaseException):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError


class OddKind(type):
    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise RuntimeError

    def __instancecheck__(cls, other: object) -> bool:
        raise RuntimeError

    def __subclasscheck__(cls, other: object) -> bool:
        raise RuntimeError


class Odd(Exception, metaclass=OddKind): ...


class ExitsWhenPrinted(Exception):
    def __str__(self) -> str:
        raise SystemExit


class PrintsOddly(Exception):
    class Text(str):
        def __getitem__(self, key: Any) -> str:
            raise RuntimeError

    def __str__(self) -> str:
        return PrintsOddly.Text("odd")


class NoTruth(Exception):
    def __bool__(self) -> bool:
        raise RuntimeError


class NoTraceback(Exception):
    @property
    def __traceback__(self) -> Any:  # type: ignore[override]
        raise RuntimeError

    def with_traceback(self, trace: Any) -> Any:
        raise RuntimeError


class OddGroup(ExceptionGroup[Exception]):
    @property
    def exceptions(self) -> Any:
        raise RuntimeError


def nested() -> Exception:
    error = ValueError("outer")
    error.__cause__ = NoTruth()
    return error


MAKERS: list[Callable[[], BaseException]] = [
    Delegates,
    HasAll,
    LiesOfItsClass,
    LiesOfItsClassToo,
    Odd,
    ExitsWhenPrinted,
    PrintsOddly,
    NoTraceback,
    nested,
    lambda: OddGroup("group", [NoTruth()]),
    lambda: type("NoModule", (Exception,), {"__module__": None})("x"),
]


@pytest.mark.parametrize("runner", ["inline", "thread"])
@pytest.mark.parametrize("make", MAKERS)
def test_an_exception_that_cannot_be_looked_at_is_counted_and_raised_as_it_is(
    sidecar: Sidecar, make: Callable[[], BaseException], runner: str
) -> None:
    error = make()

    def plugin() -> None:
        try:
            raise LookupError("an earlier one")
        except LookupError:
            raise error  # noqa: B904 - the context is what is wanted

    ended = Ended(
        sidecar, plugin, runner=runner, caller_errors=[Odd], downstream_errors=[KeyError], fallback=lambda: "instead"
    )
    if issubclass(type(error), Exception):
        assert ended.call() == "instead"
    else:
        with pytest.raises(BaseException) as caught:
            ended.call()
        assert caught.value is error
    assert [outcome for outcome, _ in ended.told] == ["error"]
    assert ended.invocations[0].error_type


def test_what_is_read_of_an_exception_is_what_the_interpreter_keeps() -> None:
    cause, context = ValueError("cause"), NoTruth()
    error = Odd("said")
    error.__context__, context.__cause__ = context, cause
    assert type_name(type(error)) == f"{__name__}.Odd"
    assert message_of(ValueError("\udcff")) == "?"
    assert is_or_comes_from(error, cause)
    assert not is_or_comes_from(cause, error)
    assert is_a(LiesOfItsClass(), Exception)
    assert not is_a(ValueError(), Odd)
    assert list(leaves_of(OddGroup("group", [error, cause]))) == [error, cause]
