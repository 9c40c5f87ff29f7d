"""Threads that are given up on, and worker processes that are killed, for real."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plugwarden import (
    CallNotPermitted,
    ConfigurationError,
    DeadlineExceeded,
    QuotaExceeded,
    QuotaPolicy,
    ResultRefused,
    Sidecar,
    Touches,
    WorkerDied,
)

from tests.sidecar import worker_plugins as plugins


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
    sidecar._pipeline._cut(everything=True, heartbeat=True)
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


# -- processes --------------------------------------------------------------------------------------------------------


def test_a_worker_answers_as_the_function_would(sidecar: Sidecar, outbox: Any) -> None:
    wrapped = in_process(sidecar, plugins.add)
    assert [wrapped(1), wrapped(2, second=5)] == [2, 7]
    value = {"a": [1, 2.5, None, True], "b": (b"x", {3}), "at": 10**30}
    assert in_process(sidecar, plugins.echo)(value) == value
    assert sidecar.flush()
    assert {span.attributes["plugin.runtime"] for span in outbox.spans_sent} == {"process"}


def test_a_coroutine_runs_in_a_worker_and_is_killed_at_its_deadline(sidecar: Sidecar, outbox: Any) -> None:
    wrapped = in_process(sidecar, plugins.add_later, timeout=2.0)

    async def main() -> int:
        with pytest.raises(TimeoutError):
            await wrapped(1, 60)
        return int(await wrapped(1, 0))

    assert asyncio.run(main()) == 2
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="timeout") == 1


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


def test_a_result_that_would_run_code_is_refused() -> None:
    import os
    import pickle

    from plugwarden.runners.child.wire import UnsafeResult, loads_untrusted

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.getpid, ())

    for data in (pickle.dumps(Bomb()), b"\x80\x05cos\nsystem\n(X\x01\x00\x00\x00atR.", b"junk", b""):
        with pytest.raises(UnsafeResult):
            loads_untrusted(data, {})


def test_killing_a_worker_ends_everything_it_started(sidecar: Sidecar, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    wrapped = in_process(sidecar, plugins.fork_away, timeout=1.5, touches=Touches(write=(tmp_path,)))
    with pytest.raises(DeadlineExceeded):
        wrapped(str(marker))
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


def test_declared_types_come_back(sidecar: Sidecar) -> None:
    assert in_process(sidecar, plugins.point, returns=(plugins.Point,))() == plugins.Point(1, 2)


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
    sidecar._pipeline._cut(everything=True, heartbeat=True)
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
