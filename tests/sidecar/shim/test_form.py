"""Each wrapped form goes back to, and is answered for by, what it was given."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from plugwarden import Fallback, LastGood, PluginQuarantined, Sidecar, Value
from plugwarden.contract import Scope
from plugwarden.testing import Recorder

from tests.sidecar.support.kept_versions import isolated, told, version

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


# -- what was said of it --------------------------------------------------------------------------------------------------


def _missing(kind: str) -> Any:
    """A function of this kind that is asked for what is not there."""

    def fail() -> Any:
        raise LookupError("no such place")

    async def fails() -> Any:
        raise LookupError("no such place")

    return {"function": fail, "coroutine": fails, "later": lambda: fails()}[kind]


@pytest.mark.parametrize("kind", ["function", "coroutine", "later"])
@pytest.mark.parametrize("term", ["caller_errors", "control_flow"])
def test_a_callers_mistake_reaches_the_caller_of_the_form_that_it_was_declared_of(
    recorder: Recorder, kind: str, term: str
) -> None:
    def wrapped(**terms: Any) -> Any:
        return recorder.sidecar.wrap(
            _missing(kind), plugin="geo", version="2", operation=kind, breaker=False, fallback=Value("instead"), **terms
        )

    def ask(form: Any) -> Any:
        return asyncio.run(_awaited(form))

    declared = wrapped(**{term: LookupError})
    bare = wrapped()
    with pytest.raises(LookupError):
        ask(declared)
    assert ask(bare) == "instead"
    again = wrapped(**{term: LookupError})
    assert ask(bare) == "instead"
    with pytest.raises(LookupError):
        ask(again)


def test_whose_fault_an_exception_is_was_said_of_the_form(recorder: Recorder) -> None:
    def fail() -> Iterator[str]:
        yield "one"
        raise LookupError

    declared = version(recorder.sidecar, 2, fail, caller_errors=LookupError)
    below = version(recorder.sidecar, 2, fail, downstream_errors=LookupError)
    version(recorder.sidecar, 2, fail)
    for form in (declared, below):
        with pytest.raises(LookupError):
            list(form())
    assert [one.error_source for one in recorder.invocations] == ["caller", "downstream"]


def test_a_result_that_means_failure_of_its_form_is_not_answered_again(recorder: Recorder) -> None:
    results = ["good", "failed"]

    def run() -> str:
        if not results:
            raise OSError
        return results.pop(0)

    form = version(
        recorder.sidecar, 2, run, fallback=LastGood(3600), failed_result=lambda told: told == "failed", breaker=False
    )
    version(recorder.sidecar, 2, run, breaker=False)
    assert (form(), form(), form()) == ("good", "failed", "good")
    assert [str(one.outcome) for one in recorder.invocations] == ["success", "error", "error"]


def test_each_form_has_its_own_arguments_looked_at(recorder: Recorder) -> None:
    def wrapped(tenant: str) -> Any:
        return version(recorder.sidecar, 2, lambda place: place, capture=lambda place: {tenant: place})

    alice, bob = wrapped("alice"), wrapped("bob")
    bare = version(recorder.sidecar, 2, lambda place: place)
    assert [form(at) for form, at in ((alice, "a"), (bob, "b"), (bare, "c"))] == ["a", "b", "c"]
    assert [dict(one.attributes) for one in recorder.invocations] == [{"alice": "a"}, {"bob": "b"}, {}]


# -- what is told ---------------------------------------------------------------------------------------------------------


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
