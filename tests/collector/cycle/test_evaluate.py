"""A tick is a function: it leaves the standing that it begins with as it is, and the same tick twice is the same."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from plugwarden.contract import Scope
from plugwarden_collector.cycle import Observation, evaluate
from plugwarden_collector.decide.quarantine import Probes
from plugwarden_collector.decide.shift import shift
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.policy import Enforcement, Policy

from .test_cycle import AT, RULES, Known, by_hand, cell, seen

VERSIONS = [("csv", "1"), ("csv", "2"), ("geo", "1"), ("pdf", "1"), ("xml", "1")]
TURNS = st.lists(
    st.fixed_dictionaries(
        {
            "bad": st.dictionaries(st.sampled_from(VERSIONS), st.sampled_from([0, 3, 50, 100]), max_size=5),
            "after": st.sampled_from([1, 10, 60, 400, 4_000, 9 * 86_400]),
            "probes": st.sampled_from([Probes(0, 0), Probes(20, 0), Probes(20, 9)]),
            "frozen": st.sampled_from([None, None, None, "release day"]),
            "enforcement": st.sampled_from([*Enforcement, Enforcement.ENFORCE]),
            "running": st.sampled_from([5, 60]),
            "person": st.booleans(),
        }
    ),
    min_size=1,
    max_size=8,
)


def parts(standing: Standing) -> dict[str, Any]:
    """Every field of a standing, down to the last value, as it is now."""
    return {field.name: copy.deepcopy(getattr(standing, field.name)) for field in fields(standing)}


@given(TURNS)
@settings(deadline=None, max_examples=60)
def test_a_tick_leaves_the_standing_that_it_begins_with_as_it_is(turns: list[dict[str, Any]]) -> None:
    standing, at, known = Standing(), AT, Known()
    known.found_cells = [cell("1", 500, 0), cell("2", 100, 50)]
    for turn in turns:
        at += timedelta(seconds=turn["after"])
        known.found_probes = turn["probes"]
        standing = replace(standing.copy(), frozen=turn["frozen"])
        if turn["person"]:
            standing.quarantines["q-hand"] = by_hand(Scope("geo"))
        rules = replace(RULES, policy=replace(RULES.policy, enforcement=turn["enforcement"]))
        observation: Observation = seen(turn["bad"], at=at, running=turn["running"])
        before = parts(standing)
        after, changes = evaluate(rules, standing, observation, known, lambda: 0.5)
        assert parts(standing) == before
        again, same = evaluate(rules, standing, observation, known, lambda: 0.5)
        assert (parts(again), same) == (parts(after), changes)
        told = parts(after)
        shift(after, 86_400.0, AT)
        assert parts(after) == told
        standing = after


def test_a_copy_shares_no_container() -> None:
    standing = Standing()
    fresh = standing.copy()
    assert fresh == standing
    for field in fields(standing):
        if isinstance(value := getattr(standing, field.name), dict | list | set):
            assert getattr(fresh, field.name) is not value, field.name


def test_a_tick_that_could_not_be_stored_is_made_again_from_where_it_began() -> None:
    rules = replace(RULES, policy=Policy(Enforcement.ENFORCE))
    standing = Standing()
    lost, first = evaluate(rules, standing, seen({("csv", "2"): 50}), Known(), lambda: 0.0)
    kept, second = evaluate(rules, standing, seen({("csv", "2"): 50}), Known(), lambda: 0.0)
    assert (kept, second) == (lost, first)
    assert [item.kind for item in second.decisions] == ["quarantined"]
