"""A tick is a function: it leaves what it begins with as it is, and the same tick twice is the same."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from plugwarden.contract import Scope
from plugwarden_collector.cycle import evaluate
from plugwarden_collector.decide.shift import shift
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.policy import Enforcement

from tests.collector.support.played_fleet import AT, Fleet, by_hand, rules_with

VERSIONS = [("csv", "1"), ("csv", "2"), ("geo", "1"), ("pdf", "1"), ("xml", "1")]
TURNS = st.lists(
    st.fixed_dictionaries(
        {
            "bad": st.dictionaries(st.sampled_from(VERSIONS), st.sampled_from([0, 3, 20]), max_size=5),
            "after": st.sampled_from([0.5, 0.5, 1, 10, 60, 400, 9 * 86_400]),
            "frozen": st.sampled_from([None, None, None, "release day"]),
            "enforcement": st.sampled_from([*Enforcement, Enforcement.ENFORCE]),
            "running": st.sampled_from([5, 60]),
            "person": st.booleans(),
        }
    ),
    min_size=1,
    max_size=10,
)


def parts(standing: Standing) -> dict[str, Any]:
    """Every field of a standing, down to the last value, as it is now."""
    return {field.name: copy.deepcopy(getattr(standing, field.name)) for field in fields(standing)}


@given(TURNS)
@settings(deadline=None, max_examples=25)
def test_a_tick_leaves_the_standing_and_the_watch_that_it_begins_with_as_they_are(turns: list[dict[str, Any]]) -> None:
    fleet = Fleet()
    for key in VERSIONS:
        fleet.has_past(*key)
    for turn in turns:
        fleet.running = turn["running"]
        fleet.standing = replace(fleet.standing.copy(), frozen=turn["frozen"])
        if turn["person"]:
            fleet.standing.quarantines["q-hand"] = by_hand(Scope("geo"))
        fleet.rules = rules_with(enforcement=turn["enforcement"])
        for _ in range(2):
            for key, bad in turn["bad"].items():
                fleet.arrive(*key, 20, bad)
            fleet.tick(turn["after"])
        for key, bad in turn["bad"].items():
            fleet.arrive(*key, 20, bad)
        standing, watch, seen = fleet.standing, fleet.watch, fleet.seen()
        before, suspected = parts(standing), copy.deepcopy(watch)
        after, watched, changes = evaluate(fleet.rules, standing, watch, seen, fleet.calls, lambda: 0.5)
        assert (parts(standing), watch) == (before, suspected)
        again, same_watch, same = evaluate(fleet.rules, standing, watch, seen, fleet.calls, lambda: 0.5)
        assert (parts(again), same_watch, same) == (parts(after), watched, changes)
        told = parts(after)
        shift(after, 86_400.0, AT)
        assert parts(after) == told


def test_a_copy_shares_no_container() -> None:
    standing = Standing()
    fresh = standing.copy()
    assert fresh == standing
    for field in fields(standing):
        if isinstance(value := getattr(standing, field.name), dict | list | set):
            assert getattr(fresh, field.name) is not value, field.name


def test_a_tick_that_could_not_be_stored_is_made_again_from_where_it_began() -> None:
    fleet = Fleet()
    fleet.has_past("csv", "2")
    while True:
        fleet.at += timedelta(seconds=0.5)
        fleet.arrive("csv", "2", 10, 10)
        standing, watch, seen = fleet.standing, fleet.watch, fleet.seen()
        if fleet.tick().quarantines:
            break
    lost = evaluate(fleet.rules, standing, watch, seen, fleet.calls, lambda: 0.0)
    kept = evaluate(fleet.rules, standing, watch, seen, fleet.calls, lambda: 0.0)
    assert kept == lost
    assert [item.kind for item in kept[2].decisions] == ["quarantined"]
