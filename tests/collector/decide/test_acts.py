"""What people do: each act gives a new standing and what to store, and leaves the old standing as it was."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.decide import acts
from plugwarden_collector.decide.acts import (
    Acted,
    acknowledge,
    adopt_clock,
    approve,
    decline,
    extend,
    freeze,
    isolate,
    release,
    silence,
    unsilence,
)
from plugwarden_collector.decide.changes import Freeze
from plugwarden_collector.decide.guard import Fleet, overruled
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.shift import shift
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.errors import ConflictError, NotFoundError
from plugwarden_collector.matcher import equal
from plugwarden_collector.rules.policy import Enforcement, Policy

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
SUGGESTED = replace(
    HELD, state=QuarantineState.DEGRADED, enforcement=Enforcement.SUGGEST, hold_until=None, alert="a-1",
    evidence={"errors": {"OSError": 50}},
)  # fmt: skip
QUIET = Silence("s-1", equal({"plugin": "csv"}), AT, AT + HOUR, "ann", "known")


def standing(item: Quarantine = HELD) -> Standing:
    versions = {("csv", "1"): AT, ("csv", "2"): AT, ("geo", "7"): AT}
    return Standing(quarantines={item.id: item}, versions=versions, silences=(QUIET,), shifted_seconds=0.0)


ACTS: list[Callable[[Standing], Acted]] = [
    lambda now: isolate(now, Scope("geo"), "by hand", ANN, AT),
    lambda now: release(now, "q-1", "enough", ANN, AT),
    lambda now: release(now, "q-1", "enough", ANN, AT, override=HOUR),
    lambda now: approve(_suggesting(now), "q-1", "so it is", ANN, AT, hold=HOUR),
    lambda now: decline(_suggesting(now), "q-1", "a known blip", ANN, AT, override=HOUR),
    lambda now: silence(now, equal({"plugin": "geo"}), HOUR, "known", ANN, AT),
    lambda now: unsilence(now, "s-1", "enough", ANN, AT),
    lambda now: extend(now, "s-1", AT + 2 * HOUR, "longer", ANN, AT, limit=timedelta(days=31)),
    lambda now: acknowledge(now, "q-1", "csv", HOUR, "on it", ANN, AT),
    lambda now: freeze(now, True, "a storm", ANN, AT),
    lambda now: adopt_clock(now, 60.0, AT),
]


def _suggesting(now: Standing) -> Standing:
    return replace(now, quarantines={"q-1": SUGGESTED})


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


def test_a_suggestion_that_is_approved_becomes_a_quarantine_of_the_automation_with_its_evidence() -> None:
    later = AT + timedelta(minutes=3)
    now, changes = approve(standing(SUGGESTED), "q-1", "so it is", ANN, later, hold=HOUR)
    before, after = changes.quarantines
    assert (before.id, before.ended_at, before.evidence["quarantine"]) == ("q-1", later, after.id)
    assert after == now.quarantines[after.id] == replace(
        SUGGESTED, id=after.id, state=QuarantineState.QUARANTINED, enforcement=Enforcement.ENFORCE, started_at=later,
        changed_at=later, hold_until=later + HOUR, known_versions=("1",),
        evidence={"errors": {"OSError": 50}, "approved_by": 'ci (says: "ann")', "suggestion": "q-1",
                  "suggested_at": AT.isoformat()},
    )  # fmt: skip
    assert after.id != "q-1", "what people were told of as a suggestion ends for them"
    (decision,) = changes.decisions
    assert (decision.kind, decision.actor, decision.quarantine_id, decision.reason) == (
        "approved", "ci", after.id, "so it is",
    )  # fmt: skip
    assert now.actions == [], "what a person approved uses up nothing of what the automation may do in an hour"


@pytest.mark.parametrize("act", [lambda *asked: approve(*asked, hold=HOUR), decline])
def test_only_a_suggestion_is_approved_or_declined(act: Callable[..., Acted]) -> None:
    with pytest.raises(ConflictError, match="is no suggestion: csv@2 is quarantined already"):
        act(standing(), "q-1", "so it is", ANN, AT)
    now, _ = act(standing(SUGGESTED), "q-1", "so it is", ANN, AT)
    with pytest.raises(ConflictError, match="ended at"):
        act(now, "q-1", "so it is", ANN, AT)
    with pytest.raises(NotFoundError, match="plugwarden quarantines"):
        act(now, "q-9", "so it is", ANN, AT)


def test_what_is_approved_keeps_what_was_foreseen_of_it_and_what_calls_go_back_to_is_no_newcomer() -> None:
    told = {"forecast": "it hits no call", "impact": None}
    suggestion = replace(SUGGESTED, evidence={"errors": {"OSError": 50}, "impact": {"instances": 3}})
    _, changes = approve(
        standing(suggestion), "q-1", "so it is", ANN, AT, hold=HOUR, evidence=told, previous={"0.9"}
    )  # fmt: skip
    before, after = changes.quarantines
    assert after.known_versions == ("0.9", "1")
    assert {**after.evidence, "errors": {"OSError": 50}, **told} == after.evidence == changes.decisions[0].evidence
    assert before.evidence["impact"] == {"instances": 3}, "the suggestion says what was foreseen when it was made"


def test_what_a_person_has_isolated_meanwhile_is_not_approved_beside_it() -> None:
    now = standing(SUGGESTED)
    now.quarantines["q-2"] = replace(HELD, id="q-2", actor="ann")
    with pytest.raises(ConflictError, match=r"csv@2 is quarantined already \(q-2"):
        approve(now, "q-1", "so it is", ANN, AT, hold=HOUR)


@pytest.mark.parametrize("override", [None, timedelta(0), HOUR])
@pytest.mark.parametrize("act", [release, decline])
def test_the_automation_leaves_alone_what_a_person_ended_for_as_long_as_they_said(
    act: Callable[..., Acted], override: timedelta | None
) -> None:
    policy = Policy(Enforcement.ENFORCE, human_override_seconds=600.0)
    now, changes = act(standing(SUGGESTED), "q-1", "a known blip", ANN, AT, override=override)
    ends = AT + (timedelta(seconds=600) if override is None else override)

    def why_not(at: datetime) -> str | None:
        return overruled(SCOPE, policy, Fleet(20, list(now.quarantines.values()), []), at)

    assert why_not(ends) is None
    if ends > AT:
        why = why_not(ends - timedelta(seconds=1)) or ""
        assert f"{changes.decisions[0].kind} it at 12:00:00" in why
        assert f"stands until {ends:%Y-%m-%d %H:%M:%S}" in why
    kept = now.quarantines["q-1"].evidence
    assert kept["errors"] == {"OSError": 50}, "what was known at the decision stays"
    assert kept.get("override_until") == (None if override is None else ends.isoformat())


def test_who_released_is_known_to_the_guard_and_nobody_releases_twice() -> None:
    now, changes = release(standing(), "q-1", "enough", ANN, AT)
    assert changes.quarantines == [now.quarantines["q-1"]]
    assert now.quarantines["q-1"].evidence["released_by"] == 'ci (says: "ann")'
    with pytest.raises(ConflictError, match="ended at"):
        release(now, "q-1", "enough", ANN, AT)
    with pytest.raises(NotFoundError, match="plugwarden quarantines"):
        release(now, "q-9", "enough", ANN, AT)


def test_a_silence_lets_those_go_that_have_ended() -> None:
    now, changes = silence(standing(), equal({"plugin": "geo"}), HOUR, "known", ANN, AT + HOUR)
    assert now.silences == tuple(changes.silences)
    assert changes.silences[0].ends_at == AT + 2 * HOUR


def test_only_a_silence_in_force_is_taken_back() -> None:
    now, changes = unsilence(standing(), "s-1", "enough", ANN, AT)
    assert (now.silences, changes.unsilenced) == ((), ["s-1"])
    for before, at in ((now, AT), (standing(), AT + HOUR)):
        with pytest.raises(NotFoundError, match="in force"):
            unsilence(before, "s-1", "enough", ANN, at)


def test_a_silence_that_takes_the_place_of_another_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, it was two acts: what failed between them left both."""
    monkeypatch.setattr(acts, "MAX_SILENCES", 1)
    now, changes = acts.exchange(standing(), "s-1", equal({"plugin": "geo"}), AT, AT + HOUR, "known", ANN, AT)
    (made,) = changes.silences
    assert (now.silences, changes.unsilenced) == ((made,), ["s-1"])
    (entry,) = changes.decisions
    assert (entry.kind, (entry.evidence or {})["replaces"]) == ("silenced", "s-1")
    with pytest.raises(NotFoundError, match="in force"):
        acts.exchange(now, "s-1", equal({"plugin": "geo"}), AT, AT + HOUR, "known", ANN, AT)


def test_a_silence_may_begin_later_and_one_that_should_have_begun_begins_now() -> None:
    begin = AT + HOUR
    _, changes = silence(standing(), equal({"plugin": "geo"}), HOUR, "known", ANN, AT, starts_at=begin, owner="team")
    (item,) = changes.silences
    assert (item.starts_at, item.ends_at, item.owner) == (begin, begin + HOUR, "team")
    assert [item.state(at) for at in (AT, begin, begin + HOUR)] == ["pending", "active", "expired"]
    assert not item.covers({"plugin": "geo"}, AT)
    assert item.covers({"plugin": "geo"}, begin)
    _, changes = silence(standing(), equal({"plugin": "geo"}), HOUR, "known", ANN, AT, starts_at=AT - HOUR)
    assert changes.silences[0].starts_at == AT


def test_a_silence_is_extended_and_never_shortened_or_made_endless() -> None:
    now, changes = extend(standing(), "s-1", AT + 2 * HOUR, "longer", ANN, AT, limit=timedelta(days=31))
    assert now.silences == (*changes.silences,) == (replace(QUIET, ends_at=AT + 2 * HOUR),)
    assert changes.decisions[0].kind == "extended"
    for ends_at, why in ((AT + HOUR, "as it is"), (AT + timedelta(days=32), "31 days")):
        with pytest.raises(ConflictError, match=why):
            extend(standing(), "s-1", ends_at, "longer", ANN, AT, limit=timedelta(days=31))
    with pytest.raises(NotFoundError, match="silences list"):
        extend(standing(), "s-1", AT + 9 * HOUR, "longer", ANN, AT + HOUR, limit=timedelta(days=31))


def test_a_later_word_takes_the_place_of_an_earlier_one() -> None:
    now, changes = acknowledge(standing(), "q-1", "csv is isolated", HOUR, "on it", ANN, AT)
    assert (now.acknowledgements, changes.unacknowledged) == (tuple(changes.acknowledgements), [])
    assert (changes.decisions[0].kind, changes.decisions[0].scope) == ("acknowledged", "csv is isolated")
    first = changes.acknowledgements[0]
    again, changes = acknowledge(now, "q-1", "csv is isolated", 2 * HOUR, "still", ANN, AT + HOUR / 2)
    assert (again.acknowledgements, changes.unacknowledged) == (tuple(changes.acknowledgements), [first.id])


def test_a_silence_to_come_stays_where_the_calendar_has_it_when_the_clock_moves() -> None:
    coming = replace(QUIET, id="s-2", starts_at=AT + HOUR, ends_at=AT + 2 * HOUR)
    fresh, _ = shift(replace(standing(), silences=(QUIET, coming)), 60.0, AT + timedelta(seconds=60))
    assert fresh.silences == (
        replace(QUIET, starts_at=AT + timedelta(seconds=60), ends_at=AT + HOUR + timedelta(seconds=60)),
        coming,
    )


def test_the_switch_is_off_with_a_reason_and_on_without_one() -> None:
    off, changes = freeze(standing(), True, "a storm", ANN, AT)
    assert (off.frozen, changes.freeze, changes.decisions[0].kind) == ("a storm", Freeze("a storm"), "frozen")
    on, changes = freeze(off, False, "it is over", ANN, AT)
    assert (on.frozen, changes.freeze, changes.decisions[0].kind) == (None, Freeze(None), "unfrozen")


def test_holds_and_silences_move_by_what_was_added_since_the_last_look() -> None:
    now, changes = adopt_clock(standing(), 60.0, AT + timedelta(seconds=60))
    now, changes = adopt_clock(now, 90.0, AT + timedelta(seconds=90))
    assert now.quarantines["q-1"].hold_until == now.silences[0].ends_at == AT + HOUR + timedelta(seconds=90)
    assert (changes.shifted_seconds, changes.decisions[0].evidence) == (90.0, {"seconds": 30.0})
    ended, _ = release(standing(), "q-1", "enough", ANN, AT, override=HOUR)
    moved = adopt_clock(ended, 60.0, AT)[0].quarantines["q-1"]
    assert moved.evidence["override_until"] == (AT + HOUR + timedelta(seconds=60)).isoformat()
    over = AT + 3 * HOUR
    assert adopt_clock(ended, 60.0, over)[0].quarantines == ended.quarantines, "what is over stays as it was"
    fresh = replace(standing(), shifted_seconds=None)
    assert adopt_clock(fresh, 90.0, AT)[0].quarantines == fresh.quarantines, "where nobody looked before, nothing moves"


def test_a_clock_that_was_put_right_neither_ends_an_incident_nor_keeps_it() -> None:
    found = Incident("i-1", "downstream:db", "db is slow", ("csv",), AT - HOUR, seen_at=AT)
    fresh, changes = shift(replace(standing(), incidents={"i-1": found}), 3_600.0, AT)
    assert fresh.incidents["i-1"].seen_at == AT + HOUR
    assert [item.seen_at for item in changes.incidents] == [AT + HOUR]


def test_silences_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "MAX_SILENCES", 2)
    standing = Standing()
    for _ in range(2):
        standing, _ = silence(standing, equal({"plugin": "csv"}), timedelta(hours=1), "known", ANN, AT)
    with pytest.raises(ConflictError, match="there are 2 silences already"):
        silence(standing, equal({"plugin": "csv"}), timedelta(hours=1), "known", ANN, AT)
    silence(standing, equal({"plugin": "csv"}), timedelta(hours=1), "known", ANN, AT + timedelta(hours=1))
