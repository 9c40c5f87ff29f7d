"""An earlier version that runs has the last word; only a refusal of its own gate lets the next one answer."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from plugwarden import CallNotPermitted, PluginQuarantined, Sidecar, Value
from plugwarden.contract import Scope
from plugwarden.integrations.answering import answering
from plugwarden.testing import Recorder

from tests.sidecar.support.kept_versions import isolated, one, told, two, version

# -- whose refusal it is --------------------------------------------------------------------------------------------------


def test_a_refusal_inside_of_the_version_before_is_its_answer(recorder: Recorder) -> None:
    """It ran, with effects, and was refused when it called itself: nothing may run on top of that."""
    effects: list[Any] = []

    def old(number: int) -> Any:
        effects.append(number)
        return before(number + 1)

    before = version(recorder.sidecar, 1, old, rate=2.0)
    new = version(recorder.sidecar, 2, previous=before, fallback=lambda number: effects.append("instead"))
    recorder.isolate("geo", "2")
    with pytest.raises(CallNotPermitted) as caught:
        new(0)
    assert (caught.value.scope.version, caught.value.reason) == ("1", "rate_limited")
    assert effects == [0, 1]


def test_a_refusal_inside_of_the_coroutine_of_the_version_before_is_its_answer(recorder: Recorder) -> None:
    effects: list[Any] = []

    async def old(number: int) -> Any:
        effects.append(number)
        return await before(number + 1)

    async def instead(number: int) -> None:
        effects.append("instead")

    async def newer(number: int) -> None:
        raise AssertionError

    before = version(recorder.sidecar, 1, old, rate=2.0)
    new = version(recorder.sidecar, 2, newer, previous=before, fallback=instead)
    recorder.isolate("geo", "2")
    with pytest.raises(CallNotPermitted):
        asyncio.run(new(0))
    assert effects == [0, 1]


@pytest.mark.parametrize("way", ["pool", "copied context", "detached", "another thread's copy"])
def test_a_refusal_inside_of_it_is_its_answer_wherever_it_calls_itself(recorder: Recorder, way: str) -> None:
    effects: list[Any] = []

    def old(number: int) -> Any:
        effects.append(number)
        if way == "pool":
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(before, number + 1).result()
        if way == "copied context":
            return contextvars.copy_context().run(before, number + 1)
        if way == "another thread's copy":
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(contextvars.copy_context().run, before, number + 1).result()
        token = attach(Context())
        try:
            return before(number + 1)
        finally:
            detach(token)

    before = version(recorder.sidecar, 1, old, rate=1.0)
    new = version(recorder.sidecar, 2, previous=before, fallback=lambda number: effects.append("instead"))
    recorder.isolate("geo", "2")
    with pytest.raises(CallNotPermitted):
        new(0)
    assert effects == [0]


def test_a_refusal_in_the_middle_of_a_generator_is_its_answer(recorder: Recorder) -> None:
    def old(number: int) -> Iterator[str]:
        yield f"{number} a"
        recorder.isolate("geo", "1")
        yield from before(number + 1)

    def newer(number: int) -> Iterator[str]:
        yield "2"

    before = version(recorder.sidecar, 1, old)
    new = version(recorder.sidecar, 2, newer, previous=before, fallback=lambda number: ["instead"])
    recorder.isolate("geo", "2")
    got = []
    with pytest.raises(PluginQuarantined):
        got.extend(new(0))
    steps = iter(got)
    recorder.release()
    recorder.isolate("geo", "2")
    steps = new(0)
    assert next(steps) == "0 a"
    with pytest.raises(PluginQuarantined) as caught:
        next(steps)
    assert caught.value.scope.version == "1"


def test_a_refusal_before_the_first_item_of_a_generator_that_runs_is_its_answer(recorder: Recorder) -> None:
    effects: list[Any] = []

    def old(number: int) -> Iterator[str]:
        effects.append(number)
        yield from before(number + 1)

    def newer(number: int) -> Iterator[str]:
        yield "2"

    async def async_old(number: int) -> AsyncIterator[str]:
        effects.append(number)
        async for item in async_before(number + 1):
            yield item

    async def async_newer(number: int) -> AsyncIterator[str]:
        yield "2"

    def instead(number: int) -> Any:
        effects.append("instead")

    async def collected(items: AsyncIterator[str]) -> None:
        async for _ in items:
            pass

    before = version(recorder.sidecar, 1, old, rate=1.0)
    new = version(recorder.sidecar, 2, newer, previous=before, fallback=instead)
    names: Any = {"plugin": "geo", "operation": "each"}
    async_before = recorder.sidecar.wrap(async_old, version="1", rate=1.0, **names)
    async_new = recorder.sidecar.wrap(async_newer, version="2", previous=async_before, fallback=instead, **names)
    recorder.isolate("geo", "2")
    with pytest.raises(CallNotPermitted):
        list(new(0))
    with pytest.raises(CallNotPermitted):
        asyncio.run(collected(async_new(0)))
    assert effects == [0, 0]


def test_a_kept_refusal_that_the_consumer_throws_in_comes_back_to_it(recorder: Recorder) -> None:
    def old() -> Iterator[int]:
        yield 1
        yield 2

    before = version(recorder.sidecar, 1, old)
    new = version(recorder.sidecar, 2, old, previous=before, fallback=lambda: ["instead"])
    recorder.isolate("geo", "1")
    with pytest.raises(PluginQuarantined) as kept:
        list(before())
    recorder.release()
    recorder.isolate("geo", "2")
    steps = new()
    assert next(steps) == 1
    with pytest.raises(PluginQuarantined) as back:
        steps.throw(kept.value)
    assert back.value is kept.value


def test_a_kept_refusal_that_the_version_before_raises_is_its_answer(recorder: Recorder) -> None:
    kept: list[CallNotPermitted] = []

    def old() -> str:
        if not kept:
            return "1"
        raise kept[0]

    before = version(recorder.sidecar, 1, old)
    new = version(recorder.sidecar, 2, previous=before, fallback=Value("instead"))
    recorder.isolate("geo", "1")
    with pytest.raises(PluginQuarantined) as caught:
        before()
    kept.append(caught.value)
    recorder.release()
    recorder.isolate("geo", "2")
    with pytest.raises(PluginQuarantined) as again:
        new()
    assert again.value is kept[0]


def test_the_gates_refusal_is_known_through_what_the_host_puts_around_the_form(recorder: Recorder) -> None:
    asked = []

    def decorated(form: Any) -> Any:
        @functools.wraps(form)
        def around(*args: Any) -> Any:
            asked.append(args)
            with trace.get_tracer("host").start_as_current_span("view"):
                return form(*args, "more")

        return around

    new = version(
        recorder.sidecar, 2, previous=decorated(version(recorder.sidecar, 1)), fallback=lambda *args: ("instead", args)
    )
    recorder.isolate("geo", "2")
    assert new("here") == "1 here more"
    recorder.isolate("geo", "1")
    assert new("here") == ("instead", ("here",))
    assert len(asked) == 2


def test_the_gates_refusal_is_known_through_a_pool_of_threads_without_the_context(recorder: Recorder) -> None:
    def pooled(form: Any) -> Any:
        @functools.wraps(form)
        def around() -> Any:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(form).result()

        return around

    new = version(recorder.sidecar, 2, previous=pooled(version(recorder.sidecar, 1)), fallback=Value("instead"))
    recorder.isolate("geo", "2")
    assert new() == "1"
    recorder.isolate("geo", "1")
    assert new() == "instead"


def test_where_there_is_no_thread_for_the_version_before_the_fallback_answers(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = version(recorder.sidecar, 1, lambda: "1", runner="thread")
    new = version(recorder.sidecar, 2, previous=before, fallback=Value("instead"))
    recorder.isolate("geo", "2")
    monkeypatch.setattr(threading.Thread, "start", _no_thread)
    assert new() == "instead"


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_form_that_answers_in_its_hosts_words_hides_no_refusal(recorder: Recorder) -> None:
    """What Flask, Django and Celery hosts hold: were it asked, its page would stand in the fallback's place."""
    observed = version(recorder.sidecar, 1)
    before = answering(observed, lambda refusal: "503 page of 1")
    new = version(recorder.sidecar, 2, previous=before, fallback=Value("instead"))
    bare = version(recorder.sidecar, 2, previous=before)
    recorder.isolate("geo", "2")
    assert new() == "1"
    recorder.isolate("geo", "1")
    assert before() == "503 page of 1"
    assert new() == "instead"
    with pytest.raises(PluginQuarantined) as caught:
        bare()
    assert caught.value.scope.version == "2"
    page = answering(bare, lambda refusal: f"503 page of {refusal.scope.version}")
    assert page() == "503 page of 2"
    newest = version(recorder.sidecar, 3, previous=page, fallback=Value("of 3"))
    recorder.isolate("geo", "3")
    assert newest() == "of 3"
    assert recorder.sidecar.breaker("geo", "2", "find") is not None


def test_a_coroutine_form_that_answers_in_its_hosts_words_hides_no_refusal(recorder: Recorder) -> None:
    before = answering(version(recorder.sidecar, 1, one), lambda refusal: "503 page of 1")
    new = version(recorder.sidecar, 2, two, previous=before, fallback=Value("instead"))
    recorder.isolate("geo", "2")
    recorder.isolate("geo", "1")
    assert asyncio.run(before()) == "503 page of 1"
    assert asyncio.run(new()) == "instead"


# -- refused where its result is wanted -----------------------------------------------------------------------------------


def items(number: int, count: int) -> Iterator[Any]:
    for place in range(count):
        yield number, place


async def async_items(number: int, count: int) -> AsyncIterator[Any]:
    for place in range(count):
        yield number, place


def test_a_generator_whose_place_is_taken_when_it_is_wanted_is_refused_as_the_call_is(
    sidecar: Sidecar, outbox: Any
) -> None:
    """A plain function that answers one takes its place when it is iterated."""
    before = version(sidecar, 1, lambda count: items(1, count), bulkhead=1)
    new = version(sidecar, 2, lambda count: items(2, count), previous=before, fallback=lambda count: ["instead"])
    told(sidecar, *isolated(Scope("geo", "2")))
    held, late = new(2), new(2)
    assert next(held) == (1, 0)
    assert list(late) == ["instead"]
    bare = version(sidecar, 2, lambda count: items(2, count), previous=before)
    with pytest.raises(PluginQuarantined) as caught:
        list(bare(2))
    assert caught.value.scope.version == "2"
    assert caught.value.__cause__.reason == "bulkhead_full"
    assert list(held) == [(1, 1)]
    assert list(new(1)) == [(1, 0)]
    assert sidecar.flush()
    answered = {
        point.attributes["plugin.fallback.answer"]: point.point.as_int or point.point.as_double
        for point in outbox.named("plugin.fallbacks", plugin_version="2")
    }
    assert answered == {"previous": 2, "step 1": 1, "failed": 1}


def test_it_is_the_same_of_what_is_awaited_and_of_what_is_iterated_so(recorder: Recorder) -> None:
    gate = asyncio.Event

    async def main() -> None:
        opened = gate()

        async def waits() -> str:
            await opened.wait()
            return "1"

        before = version(recorder.sidecar, 1, lambda: waits(), bulkhead=1)
        new = version(recorder.sidecar, 2, lambda: two(), previous=before, fallback=Value("instead"))
        each: Any = {"plugin": "geo", "operation": "each"}
        each_before = recorder.sidecar.wrap(lambda count: async_items(1, count), version="1", bulkhead=1, **each)
        each_new: Callable[[int], Any] = recorder.sidecar.wrap(
            lambda count: async_items(2, count),
            version="2",
            previous=each_before,
            fallback=lambda count: async_items(0, count),
            **each,
        )
        recorder.isolate("geo", "2")
        first, second = asyncio.ensure_future(new()), new()
        await asyncio.sleep(0)
        assert await second == "instead"
        opened.set()
        assert await first == "1"
        held = each_new(2)
        assert await anext(held) == (1, 0)
        assert [item async for item in each_new(1)] == [(0, 0)]
        await held.aclose()
        assert [item async for item in each_new(1)] == [(1, 0)]

    asyncio.run(main())


def test_it_goes_on_past_each_version_that_has_no_place(recorder: Recorder) -> None:
    oldest = version(recorder.sidecar, 1, lambda count: items(1, count), bulkhead=1)
    middle = version(recorder.sidecar, 2, lambda count: items(2, count), previous=oldest)
    new = version(recorder.sidecar, 3, lambda count: items(3, count), previous=middle, fallback=lambda count: ["of 3"])
    recorder.isolate("geo", "3")
    recorder.isolate("geo", "2")
    held = new(1)
    assert next(held) == (1, 0)
    assert list(new(1)) == ["of 3"]


# -- at the end of an event loop ------------------------------------------------------------------------------------------


def test_async_generators_left_open_are_closed_by_the_loop_without_a_word(recorder: Recorder) -> None:
    """The loop closes every generator that it was told of at the same time: ours must be one of them, and the rest ours to close."""
    sidecar, closed = recorder.sidecar, []

    def numbers(name: str) -> Callable[[], AsyncIterator[int]]:
        async def run() -> AsyncIterator[int]:
            try:
                for number in range(9):
                    yield number
            finally:
                await asyncio.sleep(0)
                closed.append(name)

        return run

    def form(operation: str, number: int, **terms: Any) -> Any:
        return sidecar.wrap(numbers(str(number)), plugin="geo", version=str(number), operation=operation, **terms)

    forms = {
        "plain": form("plain", 1),
        "previous": form("previous", 2, previous=form("previous", 1)),
        "chain": form("chain", 3, previous=form("chain", 2, previous=form("chain", 1))),
        "fallback": form("fallback", 2, fallback=numbers("fallback")),
        "fallback of a form": form("form", 2, fallback=form("other", 1)),
        "later": sidecar.wrap(
            lambda: numbers("2")(),
            plugin="geo",
            version="2",
            operation="later",
            previous=sidecar.wrap(lambda: numbers("1")(), plugin="geo", version="1", operation="later"),
        ),
    }
    recorder.isolate("geo", "2")
    recorder.isolate("geo", "3")
    told_of: list[Any] = []

    async def main(begin: Callable[[], Any]) -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told_of.append(context))
        steps = begin()
        await anext(steps)
        return steps  # held by nobody but who runs the loop

    for name, begin in forms.items():
        for _ in range(20):  # the loop keeps them in a set
            closed.clear()
            steps = asyncio.run(main(begin))
            assert (name, told_of, len(closed)) == (name, [], 1)
            del steps
