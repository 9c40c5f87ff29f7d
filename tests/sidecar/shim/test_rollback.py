"""Where a version is isolated and its host still has the one before, calls go back to that one: as that one's own calls."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from plugwarden import CallNotPermitted, ConfigurationError, Fallback, LastGood, PluginQuarantined, Sidecar, Value
from plugwarden.contract import Action, BreakerState, Directive, DirectiveSet, Newcomers, Scope
from plugwarden.integrations.answering import answering
from plugwarden.testing import Recorder, recording

from tests.docs_pages import write_files


def told(sidecar: Sidecar, *directives: Directive) -> None:
    sidecar._apply(DirectiveSet("e", sidecar.directives.revision + 1, directives))


def isolated(*scopes: Scope) -> list[Directive]:
    return [Directive(f"q-{number}", Action.ISOLATE, scope, reason="it fails") for number, scope in enumerate(scopes)]


def version(sidecar: Sidecar, number: int, function: Callable[..., Any] | None = None, **terms: Any) -> Any:
    """Version `number` of one operation, which answers with its number and what it was given."""
    run = function or (lambda *given: f"{number} {' '.join(given)}".strip())
    return sidecar.wrap(run, plugin="geo", version=str(number), operation="find", **terms)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording(seed=4) as made:
        yield made


def calls(recorder: Recorder) -> list[tuple[str, str]]:
    return [(one.version, str(one.refused or one.outcome)) for one in recorder.invocations]


# -- to whom calls go -------------------------------------------------------------------------------------------------


def test_while_nothing_is_isolated_the_newer_version_answers(recorder: Recorder) -> None:
    new = version(recorder.sidecar, 2, previous=version(recorder.sidecar, 1))
    assert new("here") == "2 here"
    assert calls(recorder) == [("2", "success")]


def test_refused_calls_go_back_and_are_calls_of_the_version_before(recorder: Recorder) -> None:
    new = version(recorder.sidecar, 2, previous=version(recorder.sidecar, 1))
    recorder.isolate("geo", "2")
    assert new("here") == "1 here"
    assert calls(recorder) == [("2", "quarantined"), ("1", "success")]
    assert [one.fallback for one in recorder.invocations] == [True, False]
    recorder.release()
    assert new("here") == "2 here"


def test_in_probation_the_share_let_through_is_the_newer_versions_and_the_rest_go_back(recorder: Recorder) -> None:
    new = version(recorder.sidecar, 2, previous=version(recorder.sidecar, 1))
    recorder.isolate("geo", "2", share_ratio=0.25)
    answers = [new() for _ in range(400)]
    assert set(answers) == {"1", "2"}
    assert 60 <= answers.count("2") <= 140
    assert calls(recorder).count(("2", "probation")) == calls(recorder).count(("1", "success")) == answers.count("1")


def test_a_newcomer_beside_an_isolated_version_goes_back_past_it(sidecar: Sidecar) -> None:
    """Version 3 gets a small share of calls; the rest go to 2, which is isolated, and on to 1."""
    first = version(sidecar, 1)
    newest = version(sidecar, 3, previous=version(sidecar, 2, previous=first))
    bad = Directive("q", Action.ISOLATE, Scope("geo", "2"), newcomers=Newcomers(("1",), 0.0))
    told(sidecar, bad)
    assert newest() == "1"


@pytest.mark.parametrize(
    "scope", [Scope("geo"), Scope("geo", operation="find"), Scope("geo", tenant="acme")], ids=["plugin", "operation", "tenant"]
)  # fmt: skip
def test_where_the_plugin_as_a_whole_is_isolated_nothing_goes_back(recorder: Recorder, scope: Scope) -> None:
    new = version(recorder.sidecar, 2, previous=version(recorder.sidecar, 1))
    told(recorder.sidecar, *isolated(scope))
    with recorder.sidecar.tenant("acme"), pytest.raises(PluginQuarantined):
        new()
    assert calls(recorder) == [("2", "quarantined")], (
        "the version before was not asked for, so nothing is counted of it"
    )


def test_what_is_isolated_for_one_tenant_goes_back_for_that_tenant_alone(recorder: Recorder) -> None:
    new = version(recorder.sidecar, 2, previous=version(recorder.sidecar, 1))
    told(recorder.sidecar, *isolated(Scope("geo", "2", tenant="acme")))
    with recorder.sidecar.tenant("acme"):
        assert new() == "1"
    assert new() == "2"


def test_only_a_directive_takes_calls_back_and_no_breaker_of_the_newer_version(recorder: Recorder) -> None:
    new = version(recorder.sidecar, 2, previous=version(recorder.sidecar, 1))
    breaker = recorder.sidecar.breaker("geo", "2", "find")
    assert breaker is not None
    breaker.force(BreakerState.FORCED_OPEN, "by hand")
    with pytest.raises(CallNotPermitted):
        new()
    assert calls(recorder) == [("2", "circuit_open")]


# -- where the version before does not run either ----------------------------------------------------------------------


def test_where_both_are_isolated_the_declared_fallback_answers_and_else_the_refusal_is_the_newer_versions(
    recorder: Recorder,
) -> None:
    first = version(recorder.sidecar, 1)
    new = version(recorder.sidecar, 2, previous=first, fallback=Value("nothing found"))
    recorder.isolate("geo", "2", reason="2 fails")
    recorder.isolate("geo", "1", reason="1 fails")
    assert new() == "nothing found"
    bare = version(recorder.sidecar, 2, previous=first)
    with pytest.raises(PluginQuarantined) as caught:
        bare()
    assert (caught.value.scope.version, caught.value.explanation) == ("2", "2 fails")
    assert isinstance(caught.value.__cause__, PluginQuarantined), "why the version before did not answer is told too"
    assert caught.value.__cause__.scope.version == "1"
    assert calls(recorder) == [("2", "quarantined"), ("1", "quarantined")] * 2


def test_the_breaker_of_the_version_before_keeps_calls_from_it(recorder: Recorder) -> None:
    new = version(recorder.sidecar, 2, previous=version(recorder.sidecar, 1), fallback=Value("instead"))
    breaker = recorder.sidecar.breaker("geo", "1", "find")
    assert breaker is not None
    breaker.force(BreakerState.FORCED_OPEN, "by hand")
    recorder.isolate("geo", "2")
    assert new() == "instead"
    assert calls(recorder) == [("2", "quarantined"), ("1", "circuit_open")]


def test_a_chain_of_versions_is_gone_back_as_far_as_needed(recorder: Recorder) -> None:
    oldest = version(recorder.sidecar, 1)
    middle = version(recorder.sidecar, 2, previous=oldest, fallback=Value("of 2"))
    new = version(recorder.sidecar, 3, previous=middle, fallback=Value("of 3"))
    recorder.isolate("geo", "3")
    assert new() == "2"
    recorder.isolate("geo", "2")
    assert new() == "1"
    recorder.isolate("geo", "1")
    assert new() == "of 2", "what a version declares for its own refused calls holds for those that came back to it"


def test_what_the_version_before_raises_is_the_answer_and_no_fallback_stands_in(recorder: Recorder) -> None:
    def fail() -> None:
        raise LookupError("no such place")

    new = version(recorder.sidecar, 2, previous=version(recorder.sidecar, 1, fail), fallback=Value("instead"))
    recorder.isolate("geo", "2")
    with pytest.raises(LookupError, match="no such place"):
        new()
    assert calls(recorder) == [("2", "quarantined"), ("1", "error")]


def test_a_refusal_of_another_plugin_inside_of_the_version_before_is_that_versions_error(recorder: Recorder) -> None:
    inner = recorder.sidecar.wrap(lambda: None, plugin="tiles", version="1", operation="draw")
    new = version(recorder.sidecar, 2, previous=version(recorder.sidecar, 1, inner), fallback=Value("instead"))
    recorder.isolate("geo", "2")
    recorder.isolate("tiles")
    with pytest.raises(PluginQuarantined) as caught:
        new()
    assert caught.value.scope.plugin == "tiles"


def test_a_fallback_that_is_for_failures_alone_does_not_answer_refusals(recorder: Recorder) -> None:
    fallback = Fallback(Value("instead"), answers=["failed"])
    new = version(recorder.sidecar, 2, previous=version(recorder.sidecar, 1), fallback=fallback)
    recorder.isolate("geo", "2")
    recorder.isolate("geo", "1")
    with pytest.raises(PluginQuarantined):
        new()


def test_the_bulkhead_of_fallbacks_does_not_bound_the_version_before(recorder: Recorder) -> None:
    """It carries all calls of the operation now; its own gate bounds them."""
    deep: list[int] = []

    def inside() -> int:
        deep.append(1)
        return len(deep) if len(deep) == 40 else new()

    new = version(recorder.sidecar, 2, previous=version(recorder.sidecar, 1, inside), fallback=Value(0))
    recorder.isolate("geo", "2")
    assert new() == 40


# -- kinds of functions -----------------------------------------------------------------------------------------------


async def one() -> str:
    return "1"


async def two() -> str:
    return "2"


def test_coroutine_functions(recorder: Recorder) -> None:
    new = version(recorder.sidecar, 2, two, previous=version(recorder.sidecar, 1, one), fallback=Value("instead"))
    assert asyncio.run(new()) == "2"
    recorder.isolate("geo", "2")
    assert asyncio.run(new()) == "1"
    recorder.isolate("geo", "1")
    assert asyncio.run(new()) == "instead"
    bare = version(recorder.sidecar, 2, two, previous=version(recorder.sidecar, 1, one))
    with pytest.raises(PluginQuarantined):
        asyncio.run(bare())


def test_generator_functions_keep_what_is_sent_and_returned(recorder: Recorder) -> None:
    def echo(count: int) -> Iterator[Any]:
        got = []
        for number in range(count):
            try:
                got.append((yield number))
            except KeyError as error:
                got.append(error)
        return got

    def never(count: int) -> Iterator[Any]:
        raise AssertionError
        yield

    new = version(recorder.sidecar, 2, never, previous=version(recorder.sidecar, 1, echo), fallback=lambda count: "ab")
    recorder.isolate("geo", "2")
    steps, thrown = new(3), KeyError("thrown")
    assert (next(steps), steps.send("a"), steps.throw(thrown)) == (0, 1, 2)
    with pytest.raises(StopIteration) as end:
        steps.send("z")
    assert end.value.value == ["a", thrown, "z"]
    recorder.isolate("geo", "1")
    assert list(new(3)) == ["a", "b"]
    bare = version(recorder.sidecar, 2, never, previous=version(recorder.sidecar, 1, echo))
    with pytest.raises(PluginQuarantined) as caught:
        list(bare(3))
    assert caught.value.scope.version == "2"


def test_async_generator_functions_keep_what_is_sent_thrown_and_closed(recorder: Recorder) -> None:
    closed = []

    async def echo(count: int) -> AsyncIterator[Any]:
        got: Any = None
        try:
            for _ in range(count):
                try:
                    got = yield got
                except KeyError as error:
                    got = error
        finally:
            closed.append(True)

    async def never(count: int) -> AsyncIterator[Any]:
        raise AssertionError
        yield

    async def instead(count: int) -> AsyncIterator[Any]:
        yield "instead"

    async def main() -> None:
        new = version(recorder.sidecar, 2, never, previous=version(recorder.sidecar, 1, echo), fallback=instead)
        recorder.isolate("geo", "2")
        assert [item async for item in new(2)] == [None, None]
        steps, thrown = new(9), KeyError("thrown")
        assert await anext(steps) is None
        assert await steps.asend("a") == "a"
        assert await steps.athrow(thrown) is thrown
        closed.clear()
        await steps.aclose()
        assert closed == [True]
        recorder.isolate("geo", "1")
        assert [item async for item in new(2)] == ["instead"]
        bare = version(recorder.sidecar, 2, never, previous=version(recorder.sidecar, 1, echo))
        with pytest.raises(PluginQuarantined) as caught:
            await anext(bare(2))
        assert caught.value.scope.version == "2"

    asyncio.run(main())
    assert ("1", "success") in calls(recorder)


def test_a_plain_function_that_answers_a_coroutine(recorder: Recorder) -> None:
    new = version(recorder.sidecar, 2, lambda: two(), previous=version(recorder.sidecar, 1, lambda: one()))
    recorder.isolate("geo", "2")

    async def main() -> str:
        return await new()

    assert asyncio.run(main()) == "1"
    assert calls(recorder) == [("2", "quarantined"), ("1", "success")]


def test_methods_are_given_what_the_host_gave(recorder: Recorder) -> None:
    class Finder:
        def __init__(self, number: int) -> None:
            self.number = number

        def find(self, place: str, *, near: str = "") -> tuple[int, str, str]:
            return self.number, place, near

    older, newer = Finder(1), Finder(2)
    new = version(recorder.sidecar, 2, newer.find, previous=version(recorder.sidecar, 1, older.find))
    recorder.isolate("geo", "2")
    assert new("here", near="there") == (1, "here", "there")


def test_methods_of_a_class_that_has_both(recorder: Recorder) -> None:
    class Finder:
        @recorder.sidecar.plugin("geo", version="1", operation="find")
        def find_v1(self, place: str) -> tuple[Finder, str]:
            return self, f"1 {place}"

        @recorder.sidecar.plugin("geo", version="2", operation="find", previous=find_v1)
        def find(self, place: str) -> tuple[Finder, str]:
            return self, f"2 {place}"

        @staticmethod
        @recorder.sidecar.plugin("geo", version="1", operation="size")
        def size_v1() -> int:
            return 1

        @recorder.sidecar.plugin("geo", version="2", operation="size", previous=size_v1)
        @staticmethod
        def size() -> int:
            return 2

    recorder.isolate("geo", "2")
    finder = Finder()
    assert finder.find("here") == (finder, "1 here")
    assert finder.size() == Finder.size() == 1


def test_a_warning_of_the_version_before_names_the_hosts_line(recorder: Recorder) -> None:
    def warn() -> None:
        warnings.warn("old", DeprecationWarning, stacklevel=2)

    new = version(recorder.sidecar, 2, lambda: None, previous=version(recorder.sidecar, 1, warn))
    recorder.isolate("geo", "2")
    with pytest.warns(DeprecationWarning, match="old") as caught:
        new()
    assert caught[0].filename == __file__


# -- whose form answers -------------------------------------------------------------------------------------------------


def test_each_form_goes_back_to_the_form_that_it_was_given(recorder: Recorder) -> None:
    """A host that wraps for each tenant: nobody gets what is another's."""

    def wrapped(tenant: str) -> Any:
        before = version(recorder.sidecar, 1, lambda: f"1 {tenant}")
        return version(recorder.sidecar, 2, lambda: f"2 {tenant}", previous=before)

    alice, bob = wrapped("alice"), wrapped("bob")
    recorder.isolate("geo", "2")
    assert (alice(), bob()) == ("1 alice", "1 bob")


def test_methods_of_several_objects_go_back_each_to_its_own(recorder: Recorder) -> None:
    class Finder:
        def __init__(self, answer: str) -> None:
            self.answer = answer

        def find(self) -> str:
            return self.answer

    def wrapped(tenant: str) -> Any:
        before = version(recorder.sidecar, 1, Finder(f"1 {tenant}").find)
        return version(recorder.sidecar, 2, Finder(f"2 {tenant}").find, previous=before)

    alice, bob = wrapped("alice"), wrapped("bob")
    recorder.isolate("geo", "2")
    assert (alice(), bob()) == ("1 alice", "1 bob")


def test_what_wraps_anew_without_it_ends_it_for_its_own_form(recorder: Recorder) -> None:
    new = version(recorder.sidecar, 2, previous=version(recorder.sidecar, 1))
    bare = version(recorder.sidecar, 2)
    recorder.isolate("geo", "2")
    with pytest.raises(PluginQuarantined):
        bare()
    assert new() == "1"


def test_each_form_is_answered_for_by_the_fallback_that_it_was_given(recorder: Recorder) -> None:
    def fail() -> str:
        raise OSError

    def wrapped(tenant: str, run: Callable[[], Any], name: str) -> Any:
        return recorder.sidecar.wrap(
            run, plugin="geo", version="2", operation=name, fallback=lambda: f"instead {tenant}", breaker=False
        )

    async def fails() -> str:
        raise OSError

    kinds: list[tuple[str, Callable[[], Any], Callable[[Any], Any]]] = [
        ("function", fail, lambda call: call()),
        ("coroutine", fails, lambda call: asyncio.run(call())),
        ("later", lambda: fails(), lambda call: asyncio.run(_awaited(call))),
    ]
    for name, run, ask in kinds:
        alice, bob = (wrapped(tenant, run, name) for tenant in ("alice", "bob"))
        assert (ask(alice), ask(bob)) == ("instead alice", "instead bob"), name
        recorder.isolate("geo", "2")
        assert (ask(alice), ask(bob)) == ("instead alice", "instead bob"), name
        recorder.release()


async def _awaited(call: Callable[[], Any]) -> Any:
    answer = call()
    return await answer if inspect.isawaitable(answer) else answer


def test_generators_are_answered_for_by_the_fallback_that_they_were_given(recorder: Recorder) -> None:
    def never() -> Iterator[str]:
        raise AssertionError
        yield

    alice, bob = (
        version(recorder.sidecar, 2, never, fallback=lambda tenant=tenant: [tenant]) for tenant in ("alice", "bob")
    )
    recorder.isolate("geo", "2")
    assert (list(alice()), list(bob())) == (["alice"], ["bob"])


def test_the_last_good_result_is_that_of_the_form(recorder: Recorder) -> None:
    works = [True]

    def wrapped(tenant: str) -> Any:
        def run() -> str:
            if not works[0]:
                raise OSError
            return tenant

        return version(recorder.sidecar, 2, run, fallback=LastGood(3600), breaker=False)

    alice, bob = wrapped("alice"), wrapped("bob")
    bare = version(recorder.sidecar, 2, lambda: "bare")
    assert (alice(), bob(), bare(), alice()) == ("alice", "bob", "bare", "alice")
    works[0] = False
    assert (alice(), bob()) == ("alice", "bob")
    recorder.isolate("geo", "2")
    assert (alice(), bob()) == ("alice", "bob")


def test_what_forms_of_one_operation_answered_is_told_together(sidecar: Sidecar, outbox: Any) -> None:
    first = version(sidecar, 1)
    forms = [version(sidecar, 2, previous=first, fallback=Value(number)) for number in range(3)]
    told(sidecar, *isolated(Scope("geo", "2")))
    assert [form() for form in forms] == ["1"] * 3
    told(sidecar, *isolated(Scope("geo", "2"), Scope("geo", "1")))
    assert [form() for form in forms] == [0, 1, 2]
    del forms
    assert sidecar.flush()
    answered = {
        point.attributes["plugin.fallback.answer"]: point.point.as_int or point.point.as_double
        for point in outbox.named("plugin.fallbacks", plugin_version="2")
    }
    assert answered == {"previous": 3, "step 1": 3}


def test_in_a_forked_child_every_form_has_the_places_of_its_fallback(sidecar: Sidecar) -> None:
    taken, done = threading.Event(), threading.Event()

    def instead() -> str:
        taken.set()
        assert done.wait(30)
        return "instead"

    earlier = version(sidecar, 2, fallback=Fallback(instead, concurrent=1))
    version(sidecar, 2, fallback=Value("another form's"))
    told(sidecar, *isolated(Scope("geo", "2")))
    holder = threading.Thread(target=earlier)
    holder.start()
    assert taken.wait(30)
    child = os.fork()
    done.set()
    if child == 0:
        os._exit(0 if earlier() == "instead" else 1)
    holder.join()
    assert os.waitpid(child, 0)[1] == 0


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
        each_new = recorder.sidecar.wrap(
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


# -- what is told -----------------------------------------------------------------------------------------------------


def test_answers_of_the_version_before_are_told_by_that_name(sidecar: Sidecar, outbox: Any) -> None:
    first = version(sidecar, 1)
    new = version(sidecar, 2, previous=first, fallback=Value("instead"))
    told(sidecar, *isolated(Scope("geo", "2")))
    assert [new(), new()] == ["1", "1"]
    told(sidecar, *isolated(Scope("geo", "2"), Scope("geo", "1")))
    assert new() == "instead"
    assert sidecar.flush()
    bare = version(sidecar, 2, previous=first)
    with pytest.raises(PluginQuarantined):
        bare()
    assert sidecar.flush()
    answered = {
        point.attributes["plugin.fallback.answer"]: point.point.as_int or point.point.as_double
        for point in outbox.named("plugin.fallbacks", plugin_version="2")
    }
    assert answered == {"previous": 2, "step 1": 1, "failed": 1}
    assert outbox.calls(plugin_version="2", plugin_outcome="rejected", plugin_rejection_reason="quarantined") == 4
    assert outbox.calls(plugin_version="1", plugin_outcome="success") == 2


def test_spans_of_both_stand_beside_each_other(sidecar: Sidecar, outbox: Any) -> None:
    new = version(sidecar, 2, previous=version(sidecar, 1))
    outer = sidecar.wrap(lambda: new(), plugin="shop", version="1", operation="order")
    told(sidecar, *isolated(Scope("geo", "2")))
    assert outer() == "1"
    assert sidecar.flush()
    spans = {(span.name, span.attributes["plugin.version"]): span for span in outbox.spans_sent}
    above = spans["shop order", "1"].span_id
    assert spans["geo find", "2"].parent_id == spans["geo find", "1"].parent_id == above


def test_the_collector_is_told_to_which_version_calls_could_go_back(sidecar: Sidecar, outbox: Any) -> None:
    version(sidecar, 2, previous=version(sidecar, 1), owner="maps")()
    sidecar._pipeline._cut(everything=True, heartbeat=True)
    assert sidecar.flush()
    (point,) = outbox.named("plugin.terms.declared", plugin_term="previous")
    assert point.attributes["plugin.version"] == "2"
    assert point.attributes["plugin.previous.version"] == "1"
    assert point.attributes["plugin.owner"] == "maps"


def test_in_a_forked_child_calls_go_back_as_well(sidecar: Sidecar) -> None:
    new = version(sidecar, 2, previous=version(sidecar, 1), fallback=Value("instead"))
    told(sidecar, *isolated(Scope("geo", "2"), Scope("geo", "1")))
    child = os.fork()
    if child == 0:
        both = new() == "instead"
        told(sidecar, *isolated(Scope("geo", "2")))
        os._exit(0 if both and new() == "1" else 1)
    assert os.waitpid(child, 0)[1] == 0


# -- what cannot be meant ---------------------------------------------------------------------------------------------


def test_what_is_no_earlier_version_of_the_same_is_refused_with_what_to_write(recorder: Recorder, outbox: Any) -> None:
    sidecar = recorder.sidecar
    elsewhere = Sidecar(service="other")
    wrong = {
        "an unwrapped function": (len, "wrap it first"),
        "no function": ("1.0", "cannot be called"),
        "another plugin": (sidecar.wrap(one, plugin="tiles", version="1", operation="find"), "tiles@1 operation=find"),
        "another operation": (sidecar.wrap(one, plugin="geo", version="1", operation="draw"), "geo@1 operation=draw"),
        "another sidecar": (version(elsewhere, 1), "another sidecar"),
        "the same version": (version(sidecar, 2), "another version"),
        "another kind": (version(sidecar, 1, one), "another kind, coroutine"),
    }
    for name, (previous, why) in wrong.items():
        with pytest.raises(ConfigurationError) as caught:
            version(sidecar, 2, lambda: "2", previous=previous)
        assert str(caught.value).startswith("previous: "), name
        assert why in str(caught.value), name
    elsewhere.close(timeout=1)


def test_a_circle_is_refused(recorder: Recorder) -> None:
    first = version(recorder.sidecar, 1)
    second = version(recorder.sidecar, 2, previous=first)
    third = version(recorder.sidecar, 3, previous=second)
    with pytest.raises(ConfigurationError, match=r"previous: .* goes back to geo@1"):
        version(recorder.sidecar, 1, previous=third)


def test_what_guards_something_goes_back_only_to_what_fails_closed_too(recorder: Recorder) -> None:
    with pytest.raises(ConfigurationError, match=r"previous: .* security"):
        version(recorder.sidecar, 2, previous=version(recorder.sidecar, 1), criticality="security")
    closed = version(recorder.sidecar, 1, criticality="security")
    new = version(recorder.sidecar, 2, previous=closed, criticality="security")
    recorder.isolate("geo", "2")
    assert new() == "1"


def test_nothing_is_answered_in_the_place_of_an_instance(recorder: Recorder) -> None:
    class Made:
        pass

    with pytest.raises(ConfigurationError, match=r"previous: .*instance"):
        recorder.sidecar.wrap(Made, plugin="geo", version="2", operation="find", previous=version(recorder.sidecar, 1))


def test_where_the_sidecar_is_switched_off_nothing_is_asked_of_it() -> None:
    sidecar = Sidecar(service="x", disabled=True)
    assert version(sidecar, 2, previous=version(sidecar, 1))() == "2"


def test_the_page_for_hosts_is_true(tmp_path: Path) -> None:
    assert write_files("how-to/rollback.md", tmp_path) == ["geo_host.py", "test_rollback.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
