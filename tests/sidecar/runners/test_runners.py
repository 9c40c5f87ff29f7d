"""Threads that are given up on, and worker processes that are killed, for real."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import pickle
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path, PurePath
from typing import Any

import anyio
import pytest
from plugwarden import (
    BreakerPolicy,
    CallNotPermitted,
    Codec,
    ConfigurationError,
    DeadlineExceeded,
    Fallback,
    PluginFailed,
    PlugwardenError,
    QuotaExceeded,
    QuotaPolicy,
    ResultRefused,
    Sidecar,
    Touches,
    Value,
    WorkerDied,
)
from plugwarden.contract import RejectionReason

from tests.sidecar.support import worker_plugins as plugins


def in_process(sidecar: Sidecar, function: Callable[..., Any], **terms: Any) -> Any:
    return sidecar.wrap(function, plugin="p", version="1", runner="process", **{"timeout": 20.0, **terms})


# -- threads ----------------------------------------------------------------------------------------------------------


def test_a_thread_has_the_callers_context_and_answers_as_the_function_would(sidecar: Sidecar, outbox: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("v", default="none")
    ran_in = []

    def work(number: int) -> tuple[str, int]:
        ran_in.append(threading.current_thread())
        return variable.get(), number

    wrapped = sidecar.wrap(work, plugin="csv", version="1", runner="thread", timeout=5.0)
    variable.set("mine")
    assert [wrapped(1), wrapped(2)] == [("mine", 1), ("mine", 2)]
    assert threading.current_thread() not in ran_in
    assert sidecar.flush()
    assert {span.attributes["plugin.runtime"] for span in outbox.spans_sent} == {"thread"}


def test_an_exception_of_a_thread_is_the_plugins_own(sidecar: Sidecar) -> None:
    error = ValueError("mine")

    def fail() -> None:
        raise error

    with pytest.raises(ValueError) as caught:
        sidecar.wrap(fail, plugin="csv", version="1", runner="thread")()
    assert caught.value is error
    assert caught.traceback[-1].name == "fail"


def test_past_its_deadline_a_thread_is_abandoned_and_keeps_its_place(sidecar: Sidecar, outbox: Any) -> None:
    release = threading.Event()

    def hang() -> None:
        release.wait(30)

    wrapped = sidecar.wrap(hang, plugin="csv", version="1", runner="thread", timeout=0.05, bulkhead=2)
    (operation,) = sidecar.operations
    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            wrapped()
    assert len(operation.running) == 2
    with pytest.raises(CallNotPermitted, match="2 calls run"):
        wrapped()
    sidecar._pipeline.drain.cut(everything=True, heartbeat=True)
    assert sidecar.flush()
    release.set()
    deadline = time.monotonic() + 10
    while operation.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not operation.running
    wrapped()  # there is room again
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="timeout", plugin_error_source="plugin") == 2
    assert max(found.point.as_int for found in outbox.named("plugin.invocation.abandoned")) == 2


def test_a_thread_that_waits_for_a_downstream_at_its_deadline_is_not_to_blame(sidecar: Sidecar, outbox: Any) -> None:
    release = threading.Event()

    def ask() -> None:
        with sidecar.downstream("geo-api"):
            release.wait(30)

    with pytest.raises(TimeoutError):
        sidecar.wrap(ask, plugin="geo", version="1", runner="thread", timeout=0.05)()
    release.set()
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="timeout", plugin_error_source="downstream") == 1


@contextlib.contextmanager
def no_thread_to_be_had() -> Iterator[None]:
    """The kernel refuses every thread that is started, for want of room for a stack as large as asked for."""
    before = threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(before)


def test_a_call_that_the_host_has_no_thread_for_is_rejected_and_says_nothing_about_the_plugin(
    sidecar: Sidecar, outbox: Any
) -> None:
    ran: list[str] = []

    def work() -> str:
        ran.append("ran")
        return "ran"

    policy = BreakerPolicy(minimum_calls=1, window_calls=1)
    wrapped = sidecar.wrap(work, plugin="csv", version="1", runner="thread", timeout=20.0, breaker=policy)
    with no_thread_to_be_had(), pytest.raises(CallNotPermitted, match="no thread") as caught:
        wrapped()
    assert caught.value.reason is RejectionReason.CAPACITY
    assert caught.value.retry_after_seconds == 1.0
    assert ran == []
    (operation,) = sidecar.operations
    assert not operation.running
    assert operation.breaker is not None
    assert operation.breaker.calls == 0  # it was no call of the plugin's
    assert wrapped() == "ran"  # as soon as there is one
    assert sidecar.flush()
    told = outbox.named("plugin.invocation.duration", plugin_outcome="rejected", error_type="capacity")
    assert [found.attributes["plugin.error.source"] for found in told] == ["host"]
    assert [found.point.as_int for found in outbox.named("plugin.rejections", plugin_rejection_reason="capacity")] == [
        1
    ]
    assert outbox.calls(plugin_outcome="error") == 0


def test_a_fallback_for_refusals_answers_where_there_is_no_thread(sidecar: Sidecar, outbox: Any) -> None:
    refusals = Fallback(Value("instead"), answers={"refused"})
    wrapped = sidecar.wrap(lambda: "ran", plugin="csv", version="1", operation="x", runner="thread", fallback=refusals)
    failures = Fallback(Value("instead"), answers={"failed"})
    other = sidecar.wrap(lambda: "ran", plugin="csv", version="1", operation="y", runner="thread", fallback=failures)
    with no_thread_to_be_had():
        assert wrapped() == "instead"
        with pytest.raises(CallNotPermitted):
            other()


def test_a_coroutine_whose_worker_no_thread_can_be_had_for_is_rejected(sidecar: Sidecar, outbox: Any) -> None:
    wrapped = in_process(sidecar, plugins.add_later)

    async def main() -> Any:
        with no_thread_to_be_had():
            return await wrapped(1, 0.0)

    with pytest.raises(CallNotPermitted, match="no thread") as caught:
        asyncio.run(main())
    assert caught.value.reason is RejectionReason.CAPACITY
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="rejected", plugin_error_source="host", error_type="capacity") == 1


# -- processes --------------------------------------------------------------------------------------------------------


def test_a_worker_answers_as_the_function_would(sidecar: Sidecar, outbox: Any) -> None:
    wrapped = in_process(sidecar, plugins.add)
    assert [wrapped(1), wrapped(2, second=5)] == [2, 7]
    value = {"a": [1, 2.5, None, True], "b": (b"x", {3}), "at": 10**30}
    assert in_process(sidecar, plugins.echo)(value) == value
    assert sidecar.flush()
    assert {span.attributes["plugin.runtime"] for span in outbox.spans_sent} == {"process"}


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_coroutine_runs_in_a_worker_and_is_killed_at_its_deadline(sidecar: Sidecar, outbox: Any, loop: str) -> None:
    wrapped = in_process(sidecar, plugins.add_later, timeout=2.0)

    async def main() -> int:
        with pytest.raises(TimeoutError):
            await wrapped(1, 60)
        return int(await wrapped(1, 0))

    assert anyio.run(main, backend=loop) == 2
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="timeout") == 1


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_worker_is_killed_when_its_caller_is_cancelled(sidecar: Sidecar, loop: str) -> None:
    wrapped = in_process(sidecar, plugins.add_later)

    async def main() -> int:
        await wrapped(1, 0)
        with anyio.move_on_after(0.5):
            await wrapped(1, 60)
        return int(await wrapped(1, 0))

    assert anyio.run(main, backend=loop) == 2


@pytest.mark.parametrize(
    ("function", "args", "terms", "expected"),
    [
        (plugins.spin, (), {"timeout": 1.0}, DeadlineExceeded),
        (plugins.sleep, (60,), {"timeout": 1.0}, DeadlineExceeded),
        (plugins.allocate, (), {"quota": QuotaPolicy(memory_bytes=100 << 20)}, QuotaExceeded),
        (plugins.exit_now, (3,), {}, WorkerDied),
        (plugins.exit_politely, (), {}, WorkerDied),
        (plugins.odd, (), {}, ResultRefused),
        (plugins.evil, (), {}, ResultRefused),
        (plugins.large, (2_000,), {"quota": QuotaPolicy(output_bytes=1_000)}, QuotaExceeded),
    ],
)
def test_whatever_a_plugin_does_in_a_worker_the_host_lives_and_the_next_call_works(
    sidecar: Sidecar, function: Any, args: tuple[Any, ...], terms: dict[str, Any], expected: type[Exception]
) -> None:
    wrapped = in_process(sidecar, function, **terms)
    for _ in range(2):
        with pytest.raises(expected):
            wrapped(*args)
    (operation,) = sidecar.operations
    assert not operation.running
    assert in_process(sidecar, plugins.add)(1) == 2
    assert not Path("/tmp/plugwarden-bomb").exists()


def test_killing_a_worker_ends_everything_it_started(sidecar: Sidecar, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for seconds in (1.5, 6.0, 24.0):  # on a busy machine a worker has not come far after the first
        wrapped = in_process(sidecar, plugins.fork_away, timeout=seconds, touches=Touches(write=(tmp_path,)))
        with pytest.raises(DeadlineExceeded):
            wrapped(str(marker))
        if marker.exists():
            break
    assert marker.exists()
    before = marker.stat().st_size
    time.sleep(0.5)
    assert marker.stat().st_size == before


def test_exceptions_cross_with_their_arguments_and_where_they_came_from(sidecar: Sidecar, outbox: Any) -> None:
    with pytest.raises(LookupError) as caught:
        in_process(sidecar, plugins.fail)()
    assert caught.value.args == ("nothing there", 3)
    assert "worker_plugins.py" in caught.value.__notes__[0]
    assert sidecar.flush()
    (span,) = (span for span in outbox.spans_sent if span.events)
    assert "in fail" in span.events[0].attributes["exception.stacktrace"]


@pytest.mark.parametrize(
    ("function", "declared", "expected"),
    [
        (plugins.point, plugins.Point, plugins.Point(1, 2)),
        (plugins.pair, plugins.Pair, plugins.Pair(1, "two")),
        (plugins.colour, plugins.Colour, plugins.Colour.RED),
        (plugins.price, Codec(plugins.Price, plugins.price_out, plugins.price_in), plugins.Price(5)),
    ],
)
def test_declared_types_come_back(sidecar: Sidecar, function: Any, declared: Any, expected: Any) -> None:
    found = in_process(sidecar, function, returns=(declared,))()
    assert (type(found), found) == (type(expected), expected)


def test_a_pydantic_model_is_validated_again_where_it_comes_back(sidecar: Sidecar) -> None:
    assert in_process(sidecar, plugins.order, returns=(plugins.Order,))() == plugins.Order(number=7, places=["a", "b"])


def test_a_type_that_nobody_knows_how_to_make_needs_a_codec(sidecar: Sidecar) -> None:
    for kind in (plugins.Odd, plugins.Made, plugins.Renamed):
        with pytest.raises(ConfigurationError, match=r"returns: .*give a Codec"):
            in_process(sidecar, plugins.odd, returns=(kind,))
    with pytest.raises(ConfigurationError, match="top of a module"):
        in_process(sidecar, plugins.odd, returns=(Codec(plugins.Odd, lambda odd: 1, lambda value: plugins.Odd()),))


def test_what_does_not_make_an_object_of_its_type_is_a_refused_result(sidecar: Sidecar) -> None:
    wrapped = in_process(sidecar, plugins.lying_order, returns=(plugins.Order,))
    with pytest.raises(
        ResultRefused, match="makes no object of its type: ValidationError: 2 validation errors for Order"
    ):
        wrapped()


def test_an_exception_is_made_anew_only_where_it_is_pythons_own_or_declared(sidecar: Sidecar, outbox: Any) -> None:
    wrapped = in_process(sidecar, plugins.fail_in_own_way)
    with pytest.raises(PluginFailed, match=r"the plugin raised .*OwnError: mine, 3") as caught:
        wrapped()
    assert caught.value.type_name.endswith("worker_plugins.OwnError")
    assert (caught.value.message, caught.value.scope.plugin) == ("mine, 3", "p")
    assert "in fail_in_own_way" in caught.value.stack
    assert pickle.loads(pickle.dumps(caught.value)).type_name == caught.value.type_name
    for terms in ({"returns": (plugins.OwnError,)}, {"caller_errors": (plugins.OwnError,)}):
        with pytest.raises(plugins.OwnError) as made:
            sidecar.wrap(plugins.fail_in_own_way, plugin="p", version="1", operation="x", runner="process", **terms)()
        assert made.value.args == ("mine", 3)
    assert sidecar.flush()
    told = {(span.attributes["error.type"], span.attributes["plugin.error.source"]) for span in outbox.spans_sent}
    name = f"{plugins.OwnError.__module__}.OwnError"
    assert told == {(name, "plugin"), (name, "caller")}


def test_a_worker_that_sends_what_it_likes_changes_nothing_in_the_host(sidecar: Sidecar) -> None:
    for name in plugins.HOSTILE_FRAMES:
        wrapped = in_process(sidecar, plugins.send_anything, operation=name)
        with pytest.raises(PlugwardenError, match=r"refused|ended under the call"):
            wrapped(name)
    assert str(PurePath("/srv/app")) == "/srv/app"
    assert in_process(sidecar, plugins.add)(1) == 2


def test_a_worker_touches_only_what_was_declared(
    sidecar: Sidecar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    secret = tmp_path / "secret"
    secret.write_text("s")
    monkeypatch.setenv("DATABASE_PASSWORD", "x")
    monkeypatch.setenv("REGION", "eu")
    allowed = Touches(read=(tmp_path / "mine",), environment=("REGION",), network=False)
    (tmp_path / "mine" / "file").write_text("yes")
    reads = in_process(sidecar, plugins.read, touches=allowed)
    assert reads(str(tmp_path / "mine" / "file")) == "yes"
    (runner,) = sidecar._runners
    (worker,) = runner._workers
    if "file_access" not in worker.enforced:
        pytest.skip("this kernel has no Landlock")
    with pytest.raises(PermissionError):
        reads(str(secret))
    with pytest.raises(PermissionError):
        in_process(sidecar, plugins.write, touches=allowed)(str(tmp_path / "mine" / "new"))
    told = in_process(sidecar, plugins.environment, touches=allowed)()
    assert told["REGION"] == "eu"
    assert "DATABASE_PASSWORD" not in told
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert in_process(sidecar, plugins.connect)(port) == "connected"
        if "network" in worker.enforced:
            with pytest.raises(PermissionError):
                sidecar.wrap(
                    plugins.connect, plugin="p", version="1", operation="no", runner="process", touches=allowed
                )(port)


def test_trace_context_reaches_a_workers_own_subprocesses(sidecar: Sidecar, outbox: Any) -> None:
    header = in_process(sidecar, plugins.traceparent_of_a_child)()
    assert sidecar.flush()
    (span,) = outbox.spans_sent
    assert header == f"00-{span.trace_id}-{span.span_id}-01"


def test_cpu_memory_and_ends_of_workers_are_told(sidecar: Sidecar, outbox: Any) -> None:
    wrapped = in_process(sidecar, plugins.burn)
    first, second = wrapped(0.1), wrapped(0.1)
    assert first == second  # the same worker
    with pytest.raises(WorkerDied):
        in_process(sidecar, plugins.exit_now)(1)
    sidecar._pipeline.drain.cut(everything=True, heartbeat=True)
    assert sidecar.flush()
    assert sum(found.point.as_double for found in outbox.named("plugin.cpu.time", plugin_operation="burn")) > 0.15
    peaks = outbox.named("plugin.memory.peak", plugin_operation="burn")
    assert max(found.point.as_int or found.point.as_double for found in peaks) > 1_000_000
    (end,) = outbox.named("plugin.worker.ends", plugin_operation="exit_now")
    assert end.attributes["plugin.worker.end"] == "died"


@pytest.mark.parametrize(
    ("function", "terms", "words"),
    [
        (lambda: None, {"runner": "process"}, "top of a module"),
        (plugins.add, {"runner": "thread", "quota": QuotaPolicy(memory_bytes=1)}, "memory_bytes"),
        (plugins.add, {"runner": "inline", "touches": Touches()}, "touches"),
        (plugins.add_later, {"runner": "thread"}, "cancelled"),
        (plugins.add, {"runner": "rocket"}, "rocket"),
        (plugins.add, {"runer": "thread"}, "did you mean runner"),
    ],
)
def test_a_runner_says_at_once_what_it_cannot_do(
    sidecar: Sidecar, function: Any, terms: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        sidecar.wrap(function, plugin="p", version="1", **terms)


# -- event loops ------------------------------------------------------------------------------------------------------


def test_a_loop_is_watched_as_soon_as_there_is_a_thread_to_do_it(sidecar: Sidecar, outbox: Any) -> None:
    async def work() -> str:
        return "ran"

    wrapped = sidecar.wrap(work, plugin="p", version="1", quota=QuotaPolicy(cpu_share=100.0))

    async def main() -> tuple[list[str], list[bool]]:
        answers, watched = [], []
        with no_thread_to_be_had():
            answers.append(await wrapped())
            watched.append(sidecar._loop_watch._thread is not None)  # type: ignore[union-attr]
        answers.append(await wrapped())
        watched.append(sidecar._loop_watch._thread is not None)  # type: ignore[union-attr]
        return answers, watched

    assert asyncio.run(main()) == (["ran", "ran"], [False, True])
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="success") == 2  # none of them ran unobserved


def test_a_plugin_that_holds_up_the_event_loop_is_named_with_file_and_line(outbox: Any) -> None:
    watched = Sidecar(service="test", loop_lag_seconds=0.05)

    async def rude() -> None:
        time.sleep(0.4)
        await asyncio.sleep(0.2)

    async def polite() -> None:
        await asyncio.sleep(0.3)

    async def main() -> None:
        await asyncio.gather(
            watched.wrap(polite, plugin="polite", version="1")(), watched.wrap(rude, plugin="rude", version="2")()
        )
        await asyncio.sleep(0.3)

    asyncio.run(main())
    watched.close(timeout=5)
    logs = [record for record in outbox.logs_sent if "held up" in record.body]
    assert [record.attributes["plugin.id"] for record in logs] == ["rude"]
    assert "test_runners.py" in logs[0].body
    assert logs[0].attributes["code.line.number"] == rude.__code__.co_firstlineno + 1
    assert outbox.named("plugin.loop.blocked", plugin_id="rude")


def test_an_async_generator_that_holds_up_the_event_loop_is_named(outbox: Any) -> None:
    watched = Sidecar(service="test", loop_lag_seconds=0.05)

    async def rude() -> AsyncIterator[int]:
        time.sleep(0.4)
        yield 1

    async def polite() -> None:
        await asyncio.sleep(0.3)

    async def main() -> None:
        begun = asyncio.ensure_future(watched.wrap(polite, plugin="polite", version="1")())
        await asyncio.sleep(0)
        assert [item async for item in watched.wrap(rude, plugin="rude", version="2")()] == [1]
        await begun
        await asyncio.sleep(0.3)

    asyncio.run(main())
    watched.close(timeout=5)
    logs = [record for record in outbox.logs_sent if "held up" in record.body]
    assert [record.attributes["plugin.id"] for record in logs] == ["rude"]


def test_a_quota_that_is_overrun_in_a_worker_is_a_failure_of_the_quotas(sidecar: Sidecar, outbox: Any) -> None:
    wrapped = sidecar.wrap(
        plugins.large, plugin="p", version="1", runner="process", timeout=20.0, quota=QuotaPolicy(output_bytes=10)
    )
    with pytest.raises(QuotaExceeded):
        wrapped(1_000)
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="error", plugin_error_source="quota") == 1


def test_workers_that_die_leave_no_descriptor_behind_and_are_killed_once(sidecar: Sidecar) -> None:
    wrapped = sidecar.wrap(plugins.exit_now, plugin="p", version="1", runner="process", timeout=20.0, breaker=False)
    for _ in range(2):
        with pytest.raises(WorkerDied):
            wrapped(1)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(WorkerDied):
            wrapped(1)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    sidecar.close(timeout=5)
    with pytest.raises(WorkerDied, match="closed"):
        wrapped(1)
