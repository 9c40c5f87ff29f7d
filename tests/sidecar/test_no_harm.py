"""Do no harm: whatever plugins do and whatever happens to telemetry, a caller sees what it would see without us.

Hypothesis draws programs: trees of plugins (functions, coroutines, generators, async generators) that return, raise
anything, catch, re-enter each other, are cancelled, closed early, thrown into. Each program runs unwrapped and wrapped,
many times over, and every result, exception and traceback is compared; the wrapper's own frames are the one difference
allowed. Meanwhile the collector is the worst there is and the disk takes nothing.

A million calls by default; PLUGWARDEN_NO_HARM_CALLS says otherwise.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plugwarden
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from plugwarden import Sidecar

from tests.sidecar.support.chaos import ChaosCollector

CALLS = int(os.environ.get("PLUGWARDEN_NO_HARM_CALLS", "1000000"))
EXAMPLES = 250
MEMORY_BOUND_BYTES = 128 * 1024 * 1024
"""How much the process may grow by: 16 MiB of encoded spans and logs wait in memory at most, 20,000 spans are held back
for sampling, 8,192 calls wait to be counted, and CPython keeps arenas of all of that."""
OURS = str(Path(plugwarden.__file__).parent)


class Rude(Exception):
    """Even its text fails."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class OutOfMemory(MemoryError):
    """Not MemoryError itself: CPython keeps spent ones for later, with what was once set on them."""


class Abort(BaseException):
    """Not for anybody to catch."""


RAISABLE: tuple[Callable[[], BaseException], ...] = (
    lambda: ValueError("bad row"),
    lambda: KeyError("x"),
    lambda: OSError(2, "gone \udcff"),
    lambda: Rude(),
    lambda: OutOfMemory(),
    lambda: RecursionError("deep"),
    lambda: TimeoutError("mine"),
    lambda: ExceptionGroup("several", [ValueError(1), ExceptionGroup("in", [OSError(2)])]),
    lambda: AssertionError(),
    lambda: Abort("stop"),
    lambda: KeyboardInterrupt(),
    lambda: SystemExit(3),
    lambda: asyncio.CancelledError("mine"),
)


@dataclass(frozen=True)
class Plugin:
    """One node of a program."""

    kind: str
    raises: int | None
    """Which of RAISABLE it raises at its end; None: it returns."""
    catches: bool
    """Whether what its children raise stops here."""
    chains: bool
    """Whether what it raises is raised from, or inside, what it caught."""
    annotates: bool
    yields: int
    children: tuple[Plugin, ...]


def plugins(kinds: tuple[str, ...]) -> st.SearchStrategy[Plugin]:
    def node(children: st.SearchStrategy[tuple[Plugin, ...]]) -> st.SearchStrategy[Plugin]:
        return st.builds(
            Plugin,
            kind=st.sampled_from(kinds),
            raises=st.one_of(st.none(), st.integers(0, len(RAISABLE) - 1)),
            catches=st.booleans(),
            chains=st.booleans(),
            annotates=st.booleans(),
            yields=st.integers(0, 3),
            children=children,
        )

    leaves = node(st.just(()))
    return st.recursive(leaves, lambda inner: node(st.lists(inner, max_size=3).map(tuple)), max_leaves=6)


def ends_loops(plugin: Plugin) -> bool:
    """Whether it may raise what asyncio does not let a task raise without ending the loop."""
    fatal = plugin.raises is not None and isinstance(RAISABLE[plugin.raises](), KeyboardInterrupt | SystemExit)
    return fatal or any(map(ends_loops, plugin.children))


class Program:
    """A tree of plugins made into callables, wrapped or not, that tell what they see."""

    def __init__(self, root: Plugin, wrap: Callable[[Any, str], Any]) -> None:
        self.calls = 0
        self.seen: list[Any] = []
        self._wrap = wrap
        self._number = 0
        self.root = self._make(root)

    def _make(self, plugin: Plugin) -> Any:
        children = [(child.kind, self._make(child)) for child in plugin.children]
        self._number += 1
        made = getattr(self, f"_{plugin.kind}")(plugin, children)
        return self._wrap(made, f"{plugin.kind}{self._number}")

    def _end(self, plugin: Plugin, caught: BaseException | None) -> str:
        if plugin.annotates:
            trace.get_current_span().set_attribute("note", "\udcff" if plugin.chains else 3)
        if plugin.raises is not None:
            error = RAISABLE[plugin.raises]()
            if plugin.chains and caught is not None:
                raise error from caught
            raise error
        return f"{plugin.kind} {plugin.yields}"

    def _function(self, plugin: Plugin, children: list[Any]) -> Any:
        def function(n: int, *, again: bool = False) -> str:
            self.calls += 1
            caught = None
            for kind, child in children:
                try:
                    self.seen.append(child(n) if kind == "function" else list(child(n)))
                except BaseException as error:
                    caught = error
                    if not plugin.catches:
                        raise
            return self._end(plugin, caught)

        return function

    def _generator(self, plugin: Plugin, children: list[Any]) -> Any:
        def generator(n: int) -> Iterator[Any]:
            self.calls += 1
            caught: BaseException | None = None
            try:
                for number in range(plugin.yields):
                    got = yield number
                    self.seen.append(got)
                for kind, child in children:
                    if kind == "generator":
                        yield from child(n)
                    else:
                        child(n)
            except GeneratorExit:
                self.seen.append("closed")
                raise
            except BaseException as error:
                caught = error
                if not plugin.catches:
                    raise
            yield "last"
            self._end(plugin, caught)

        return generator

    def _coroutine(self, plugin: Plugin, children: list[Any]) -> Any:
        async def coroutine(n: int) -> str:
            self.calls += 1
            caught = None
            for _ in range(plugin.yields):
                await asyncio.sleep(0)
            for kind, child in children:
                try:
                    if kind == "coroutine":
                        self.seen.append(await child(n))
                    else:
                        self.seen.append([item async for item in child(n)])
                except BaseException as error:
                    caught = error
                    if not plugin.catches:
                        raise
            return self._end(plugin, caught)

        return coroutine

    def _agenerator(self, plugin: Plugin, children: list[Any]) -> Any:
        async def agenerator(n: int) -> Any:
            self.calls += 1
            try:
                for number in range(plugin.yields):
                    await asyncio.sleep(0)
                    got = yield number
                    self.seen.append(got)
                for kind, child in children:
                    if kind == "coroutine":
                        await child(n)
                    else:
                        async for item in child(n):
                            yield item
            except GeneratorExit:
                self.seen.append("closed")
                raise
            self._end(plugin, None)

        return agenerator


def told(error: BaseException) -> Any:
    """All of an exception that a caller can see, the wrapper's own frames left out."""
    frames = [
        (frame.f_code.co_qualname, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith(OURS)
    ]
    cause, context = error.__cause__, error.__context__
    return (
        type(error),
        repr(error.args),
        frames,
        None if cause is None else told(cause),
        None if context is None or context is cause else told(context),
        error.__suppress_context__,
        getattr(error, "__notes__", None),
    )


def drive(program: Program, kind: str, use: str, n: int) -> Any:
    """Use a program's root once, as a caller may, and tell what came of it."""
    try:
        if kind == "function":
            return program.root(n)
        items = program.root(n)
        if use == "all":
            return list(items)
        first = next(items, "none")
        if use == "send":
            return first, items.send("hello")
        if use == "throw":
            return first, items.throw(LookupError("thrown"))
        items.close()
        return first, next(items, "over")
    except BaseException as error:
        return told(error)


async def drive_async(program: Program, kind: str, use: str, n: int) -> Any:
    """The same on an event loop; `use` may cancel it on its way."""
    try:
        if kind == "coroutine":
            if use == "all":
                return await program.root(n)
            task = asyncio.ensure_future(program.root(n))
            for _ in range({"close": 0, "send": 1, "throw": 2}[use]):
                await asyncio.sleep(0)
            task.cancel("enough")
            try:
                return await task
            except asyncio.CancelledError as error:
                if use == "close":  # cancelled before its first step: the plugin's frame is not even there
                    return type(error), error.args
                raise
        items = program.root(n)
        if use == "all":
            return [item async for item in items]
        first = await anext(items, "none")
        if use == "send":
            return first, await items.asend("hello")
        if use == "throw":
            return first, await items.athrow(LookupError("thrown"))
        await items.aclose()
        return first, await anext(items, "over")
    except BaseException as error:
        return told(error)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(900)
def test_a_million_calls_are_as_they_would_be_without_us(tmp_path: Path) -> None:
    gc.collect()
    threads_before, collector = set(threading.enumerate()), ChaosCollector()
    (tmp_path / "file").write_text("where a folder should be")
    sidecar = Sidecar(
        service="host",
        endpoint=collector.url,
        collector_url=collector.url,
        state_dir=tmp_path / "file",  # a disk that takes nothing
        trace_ratio=1.0,
        export_interval_seconds=0.1,
        loop_lag_seconds=0.05,
    )
    number, made = 0, 0
    terms: tuple[dict[str, Any], ...] = (
        {"breaker": False},
        {"breaker": False, "bulkhead": 1000, "rate": 1e9},
        {"breaker": False, "timeout": 1000.0, "capture": lambda *args, **kwargs: {"n": args[0] / 0}},
        {"breaker": False, "failed_result": lambda result: result.no_such_thing},
    )

    def wrap(function: Any, operation: str) -> Any:
        nonlocal number
        number += 1
        return sidecar.wrap(
            function, plugin=f"p{number % 50}", version="1", operation=operation, **terms[number % len(terms)]
        )

    def check(root: Plugin, use: str, wrapped: Program, plain: Program, runs: int) -> None:
        is_async = root.kind in {"coroutine", "agenerator"}
        if root.kind == "coroutine" and ends_loops(root):
            use = "all"

        async def both() -> None:
            for n in range(runs):
                if is_async:
                    expected, found = (
                        await drive_async(plain, root.kind, use, n),
                        await drive_async(wrapped, root.kind, use, n),
                    )
                else:
                    expected, found = drive(plain, root.kind, use, n), drive(wrapped, root.kind, use, n)
                if root.kind == "agenerator":
                    for _ in range(4):  # async generators that nobody closed are closed by the loop, a little later
                        await asyncio.sleep(0)
                assert found == expected
                assert wrapped.seen == plain.seen
                assert not trace.get_current_span().get_span_context().is_valid
                wrapped.seen.clear()
                plain.seen.clear()

        asyncio.run(both())

    programs = st.one_of(plugins(("function", "generator")), plugins(("coroutine", "agenerator")))

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    @given(programs, st.sampled_from(["all", "close", "send", "throw"]))
    def run(root: Plugin, use: str) -> None:
        nonlocal made
        wrapped, plain = Program(root, wrap), Program(root, lambda function, operation: function)
        check(root, use, wrapped, plain, 1)
        share = CALLS // EXAMPLES
        check(root, use, wrapped, plain, max(1, share // max(1, wrapped.calls)))
        assert wrapped.calls == plain.calls
        made += wrapped.calls

    before = 0
    started = False

    def measured() -> None:
        nonlocal before, started
        if not started:
            gc.collect()
            before, started = resident_bytes(), True

    measured()
    run()
    while made < CALLS:  # programs that shrank or were few: the rest with one that has everything
        inner = Plugin("generator", None, True, False, True, 2, ())
        root = Plugin("function", 0, True, True, True, 1, (inner, Plugin("function", 9, True, False, False, 0, ())))
        wrapped, plain = Program(root, wrap), Program(root, lambda function, operation: function)
        check(root, "all", wrapped, plain, min(20_000, CALLS - made))
        made += wrapped.calls
    counted = sum(cell.count for key, cell in sidecar._pipeline.totals().items() if key.downstream is None)
    assert counted == made >= CALLS
    assert all(not operation.running for operation in sidecar.operations)
    gc.collect()
    assert resident_bytes() - before < MEMORY_BOUND_BYTES
    sidecar.close(timeout=5)
    collector.close()
    until = time.monotonic() + 30  # a request that hangs is cut off by its own timeout
    # Those of collectors of other tests may end meanwhile: what counts is what is there now and was not.
    while (left := set(threading.enumerate()) - threads_before) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == set()


def test_running_out_of_stack_is_the_plugins_own_error_and_leaves_nothing_behind(sidecar: Sidecar) -> None:
    def deep(n: int) -> int:
        return 1 + int(wrapped(n + 1))

    wrapped: Any = sidecar.wrap(deep, plugin="p", version="1", breaker=False)
    with pytest.raises(RecursionError):
        wrapped(0)
    (operation,) = sidecar.operations
    assert not operation.running
    assert not trace.get_current_span().get_span_context().is_valid


def test_reimporting_and_reloading_wraps_anew(sidecar: Sidecar) -> None:
    for number in range(3):
        wrapped = sidecar.wrap(lambda number=number: number, plugin="p", version="1", operation="x")  # type: ignore[misc]
        assert wrapped() == number
    assert len(sidecar.operations) == 1
