"""Where a version is isolated and its host still has the one before, calls go back to that one: as that one's own calls."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from plugwarden import CallNotPermitted, ConfigurationError, Fallback, PluginQuarantined, Sidecar, Value
from plugwarden.contract import Action, BreakerState, Directive, Newcomers, Scope
from plugwarden.shim.attempt import MAX_STEPS_BACK
from plugwarden.testing import Recorder

from tests.docs_pages import write_files
from tests.sidecar.support.kept_versions import calls, isolated, one, told, version

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


@pytest.mark.parametrize("isolated_versions", [MAX_STEPS_BACK, MAX_STEPS_BACK + 1, 1_500])
def test_a_long_chain_of_isolated_versions_ends_in_the_refusal_and_on_no_deep_stack(
    recorder: Recorder, isolated_versions: int
) -> None:
    depth = 0

    def oldest() -> str:
        nonlocal depth
        depth = len(inspect.stack(0))
        return "0"

    forms = [version(recorder.sidecar, 0, oldest)]
    for number in range(1, isolated_versions + 1):
        forms.append(version(recorder.sidecar, number, previous=forms[-1]))
    newest = version(recorder.sidecar, isolated_versions, previous=forms[-2], fallback=Value("instead"))
    told(recorder.sidecar, *isolated(*(Scope("geo", str(number)) for number in range(1, isolated_versions + 1))))
    if isolated_versions <= MAX_STEPS_BACK:
        here = len(inspect.stack(0))
        assert (forms[-1](), newest()) == ("0", "0")
        assert depth - here <= 2 * MAX_STEPS_BACK + 4
        return
    with pytest.raises(PluginQuarantined) as caught:
        forms[-1]()
    assert caught.value.scope.version == str(isolated_versions)
    assert len(calls(recorder)) == MAX_STEPS_BACK + 1
    assert newest() == "instead"


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
    sidecar._pipeline.drain.cut(everything=True, heartbeat=True)
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


# -- nothing runs on top of what has run ------------------------------------------------------------------------------


def test_what_the_fallback_of_an_earlier_version_that_ran_is_refused_is_the_answer(recorder: Recorder) -> None:
    oldest = version(recorder.sidecar, 0)

    def fails(*_: object) -> str:
        raise ValueError

    old = recorder.sidecar.wrap(fails, plugin="geo", version="1", operation="find", fallback=lambda *_: oldest())
    new = version(recorder.sidecar, 2, previous=old, fallback=Value("of 2"))
    recorder.isolate("geo", "2")
    recorder.isolate("geo", "0")
    with pytest.raises(PluginQuarantined) as caught:
        new()
    assert caught.value.scope.version == "0"


def test_what_the_fallback_of_an_earlier_coroutine_that_ran_is_refused_is_the_answer(recorder: Recorder) -> None:
    async def answers() -> str:
        return "0"

    async def fails() -> str:
        raise ValueError

    sidecar = recorder.sidecar
    oldest = sidecar.wrap(answers, plugin="geo", version="0", operation="find")
    old = sidecar.wrap(fails, plugin="geo", version="1", operation="find", fallback=lambda: oldest())
    new = sidecar.wrap(answers, plugin="geo", version="2", operation="find", previous=old, fallback=Value("of 2"))
    recorder.isolate("geo", "2")
    recorder.isolate("geo", "0")
    with pytest.raises(PluginQuarantined) as caught:
        asyncio.run(new())
    assert caught.value.scope.version == "0"


def test_a_host_that_tries_an_earlier_version_again_gets_what_its_breaker_says(recorder: Recorder) -> None:
    runs = []

    def fails(*_: object) -> str:
        runs.append(1)
        raise ValueError

    old = recorder.sidecar.wrap(fails, plugin="geo", version="1", operation="find")

    @functools.wraps(old)
    def again(*args: object) -> str:
        while True:
            try:
                return old(*args)
            except ValueError:
                if len(runs) > 100:
                    raise

    new = version(recorder.sidecar, 2, previous=again, fallback=Value("of 2"))
    recorder.isolate("geo", "2")
    with pytest.raises(CallNotPermitted) as caught:
        new()
    assert caught.value.scope.version == "1"
    assert runs


# -- something of the host's around the earlier form ------------------------------------------------------------------


def annotated(place: str) -> str:
    """At the top of a module and with annotations: its observed form is a stand-in for it, which has no attributes to copy."""
    return f"1 {place}"


def test_the_earlier_form_of_an_annotated_function_may_have_something_of_the_hosts_around_it(
    recorder: Recorder,
) -> None:
    old = version(recorder.sidecar, 1, annotated)

    @functools.wraps(old)
    def around(place: str) -> str:
        return f"{old(place)}, logged"

    new = version(recorder.sidecar, 2, previous=around)
    recorder.isolate("geo", "2")
    assert new("here") == "1 here, logged"
