"""What people do: each act gives a new standing and what to store, and leaves the old standing as it was."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import pytest
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.decide.acts import Acted, adopt_clock, freeze, isolate, release, silence, unsilence
from plugwarden_collector.decide.changes import Freeze
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.errors import ConflictError, NotFoundError
from plugwarden_collector.rules.policy import Enforcement

from tests.collector.support.stores import AT

ANN, HOUR = Actor("ci", "ann"), timedelta(hours=1)
SCOPE = Scope("csv", "2")
HELD = Quarantine(
    "q-1",
    SCOPE,
    QuarantineState.QUARANTINED,
    "it fails",
    "automation",
    Enforcement.ENFORCE,
    AT,
    AT,
    hold_until=AT + HOUR,
)
QUIET = Silence("s-1", {"plugin": "csv"}, AT, AT + HOUR, "ann", "known")


def standing(item: Quarantine = HELD) -> Standing:
    versions = {("csv", "1"): AT, ("csv", "2"): AT, ("geo", "7"): AT}
    return Standing(quarantines={item.id: item}, versions=versions, silences=(QUIET,), shifted_seconds=0.0)


ACTS: list[Callable[[Standing], Acted]] = [
    lambda now: isolate(now, Scope("geo"), "by hand", ANN, AT),
    lambda now: release(now, "q-1", "enough", ANN, AT),
    lambda now: silence(now, {"plugin": "geo"}, HOUR, "known", ANN, AT),
    lambda now: unsilence(now, "s-1", "enough", ANN, AT),
    lambda now: freeze(now, True, "a storm", ANN, AT),
    lambda now: adopt_clock(now, 60.0, AT),
]


@pytest.mark.parametrize("act", ACTS)
def test_an_act_leaves_the_old_standing_as_it_was_and_is_one_decision(act: Callable[[Standing], Acted]) -> None:
    before = standing()
    kept = deepcopy(before)
    after, changes = act(before)
    assert before == kept
    assert after != before
    assert len(changes.decisions) == 1
    assert changes.at == changes.decisions[0].at == AT
    assert act(before) == (after, changes), "the same again: nothing but its arguments decides"


def test_a_person_isolates_for_a_time_or_until_somebody_releases() -> None:
    now, changes = isolate(standing(), Scope("csv", "3"), "by hand", ANN, AT, hold=HOUR)
    item = changes.quarantines[-1]
    assert now.quarantines[item.id] == item
    assert (item.actor, item.hold_until, item.known_versions) == ('ci (says: "ann")', AT + HOUR, ("1", "2"))
    assert (changes.decisions[0].actor, changes.decisions[0].says) == ("ci", "ann")
    whole = isolate(now, Scope("csv"), "by hand", ANN, AT)[1].quarantines[-1]
    assert (whole.hold_until, whole.known_versions) == (None, ()), "of all versions, none is let in"


def test_what_is_isolated_already_is_not_isolated_again() -> None:
    with pytest.raises(ConflictError, match="csv@2 is quarantined already"):
        isolate(standing(), SCOPE, "by hand", ANN, AT)


def test_a_suggestion_that_is_followed_ends() -> None:
    now, changes = isolate(standing(replace(HELD, state=QuarantineState.DEGRADED)), SCOPE, "by hand", ANN, AT)
    assert [item.ended_at for item in changes.quarantines] == [AT, None]
    assert now.quarantines["q-1"].ended_at == AT


def test_who_released_is_known_to_the_guard_and_nobody_releases_twice() -> None:
    now, changes = release(standing(), "q-1", "enough", ANN, AT)
    assert changes.quarantines == [now.quarantines["q-1"]]
    assert now.quarantines["q-1"].evidence["released_by"] == 'ci (says: "ann")'
    with pytest.raises(ConflictError, match="ended at"):
        release(now, "q-1", "enough", ANN, AT)
    with pytest.raises(NotFoundError, match="plugwarden quarantines"):
        release(now, "q-9", "enough", ANN, AT)


def test_a_silence_lets_those_go_that_have_ended() -> None:
    now, changes = silence(standing(), {"plugin": "geo"}, HOUR, "known", ANN, AT + HOUR)
    assert now.silences == tuple(changes.silences)
    assert changes.silences[0].ends_at == AT + 2 * HOUR


def test_only_a_silence_in_force_is_taken_back() -> None:
    now, changes = unsilence(standing(), "s-1", "enough", ANN, AT)
    assert (now.silences, changes.unsilenced) == ((), ["s-1"])
    for before, at in ((now, AT), (standing(), AT + HOUR)):
        with pytest.raises(NotFoundError, match="in force"):
            unsilence(before, "s-1", "enough", ANN, at)


def test_the_switch_is_off_with_a_reason_and_on_without_one() -> None:
    off, changes = freeze(standing(), True, "a storm", ANN, AT)
    assert (off.frozen, changes.freeze, changes.decisions[0].kind) == ("a storm", Freeze("a storm"), "frozen")
    on, changes = freeze(off, False, "it is over", ANN, AT)
    assert (on.frozen, changes.freeze, changes.decisions[0].kind) == (None, Freeze(None), "unfrozen")


def test_holds_and_silences_move_by_what_was_added_since_the_last_look() -> None:
    now, changes = adopt_clock(standing(), 60.0, AT)
    now, changes = adopt_clock(now, 90.0, AT)
    assert now.quarantines["q-1"].hold_until == now.silences[0].ends_at == AT + HOUR + timedelta(seconds=90)
    assert (changes.shifted_seconds, changes.decisions[0].evidence) == (90.0, {"seconds": 30.0})
    fresh = replace(standing(), shifted_seconds=None)
    assert adopt_clock(fresh, 90.0, AT)[0].quarantines == fresh.quarantines, "where nobody looked before, nothing moves"
