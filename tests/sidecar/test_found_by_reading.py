"""Faults that a careful reader found; each has its test."""

from __future__ import annotations

import asyncio
import inspect
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from plugwarden import BulkheadPolicy, CallNotPermitted, LastGood, QuotaExceeded, QuotaPolicy, Sidecar, WorkerDied
from plugwarden.integrations.objects import wrap_methods
from plugwarden.pipeline.redaction import redact
from plugwarden.pipeline.spool import Spool

from tests.sidecar import worker_plugins as plugins


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


def test_an_annotation_that_cannot_be_told_costs_nobody_elses_spans(sidecar: Sidecar, outbox: Any) -> None:
    def odd() -> None:
        span: Any = trace.get_current_span()
        span.add_event("x", timestamp=time.time())
        span.set_attribute(5, object())
        span.set_attribute("large", "y" * 1_000_000)
        span.set_attribute("huge", 10**40)

    sidecar.wrap(odd, plugin="odd", version="1")()
    sidecar.wrap(lambda: None, plugin="good", version="1", operation="x")()
    assert sidecar.flush()
    spans = {span.attributes["plugin.id"]: span for span in outbox.spans_sent}
    assert set(spans) == {"odd", "good"}
    assert len(spans["odd"].attributes["large"]) < 5_000


def test_redaction_takes_time_in_proportion() -> None:
    def seconds(n: int) -> float:
        began = time.thread_time()
        redact("token " + "a-" * n)
        return time.thread_time() - began

    assert seconds(16_000) < 60 * max(seconds(2_000), 1e-4)  # 8 times the text; quadratic would be 64 times


def test_a_disk_that_does_not_delete_is_not_sent_for_ever(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    for number in range(3):
        spool.put("spans", 1, b"%d" % number)
    (connection, _) = next(iter(spool._files.values()))
    connection.execute("pragma query_only = on")
    found = []
    for _ in range(10):
        item = spool.oldest()
        if item is None:
            break
        found.append(item.data)
        spool.remove(item)
    assert found == [b"0", b"1", b"2"]


def test_what_is_larger_than_the_spool_evicts_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    spool.put("metrics", 1, b"m" * 50)
    assert spool.put("spans", 1, b"s" * 101) == (False, {})
    assert spool.oldest() is not None


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


def test_a_generator_with_nothing_to_fall_back_on_yields_nothing(sidecar: Sidecar) -> None:
    def items() -> Any:
        yield 1

    wrapped = sidecar.wrap(items, plugin="g", version="1", rate=0.001, fallback=lambda: None)
    assert list(wrapped()) == [1]
    assert list(wrapped()) == []
    kept = sidecar.wrap(items, plugin="k", version="1", rate=0.001, fallback=LastGood())
    assert list(kept()) == [1]
    with pytest.raises(LookupError):
        list(kept())


def test_a_long_failing_call_keeps_its_span_though_its_children_were_let_go(outbox: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("plugwarden.pipeline.sampling.LINGER_SECONDS", 0.0)
    quiet = Sidecar(service="t", trace_ratio=0.0)
    inner = quiet.wrap(lambda: None, plugin="inner", version="1", operation="x")

    def work() -> None:
        inner()
        quiet._pipeline._cut(everything=False, heartbeat=False)
        time.sleep(0.01)
        quiet._pipeline._cut(everything=False, heartbeat=False)
        raise ValueError("late")

    with pytest.raises(ValueError):
        quiet.wrap(work, plugin="outer", version="1")()
    quiet.close(timeout=5)
    assert "outer work" in {span.name for span in outbox.spans_sent}


def test_nested_calls_of_one_operation_take_one_place(sidecar: Sidecar) -> None:
    import threading

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


def test_static_and_class_methods_stay_what_they_are(sidecar: Sidecar) -> None:
    class Plugin:
        @staticmethod
        def double(n: int) -> int:
            return 2 * n

        @classmethod
        def name(cls) -> str:
            return cls.__name__

        def own(self) -> str:
            return type(self).__name__

    class Sub(Plugin): ...

    assert wrap_methods(sidecar, Plugin, ["double", "name", "own"], plugin="p", version="1") == 3
    assert (Plugin.double(2), Plugin().double(3), Sub.name(), Sub().own()) == (4, 6, "Sub", "Sub")
    assert "n" in inspect.signature(Plugin.double).parameters
