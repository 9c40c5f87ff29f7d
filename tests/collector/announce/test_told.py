"""Everything that people must know of reaches a receiver: at once, when a silence ends, and when the receiver is back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.announce.hidden import hidden_by
from plugwarden_collector.announce.message import FIRING, RESOLVED, Known, Telling
from plugwarden_collector.announce.pipeline import due
from plugwarden_collector.announce.stages.dedup import UPDATE
from plugwarden_collector.announce.subject import JUDGING, SILENCE_NOTICE, active_at, subjects_of
from plugwarden_collector.announce.tellings import owing, settled, taken
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.decide.acts import acknowledge, approve, decline, isolate, release
from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.matcher import equal, read_matchers
from plugwarden_collector.rules.policy import Enforcement
from plugwarden_collector.rules.receiver import Receiver

from tests.collector.support.stores import AT

ANN, HOUR, SCOPE = Actor("ann"), timedelta(hours=1), Scope("csv", "2")
HOOK = Receiver("hook", "http://a/")
HELD = Quarantine(
    "q-1", SCOPE, QuarantineState.QUARANTINED, "it fails", "automation", Enforcement.ENFORCE, AT, AT, hold_until=AT + HOUR,
    alert="a-1",
)  # fmt: skip
SUGGESTED = replace(HELD, state=QuarantineState.DEGRADED, enforcement=Enforcement.SUGGEST, hold_until=None)
STUCK = replace(HELD, state=QuarantineState.PROBATION, hold_until=None, evidence={"inconclusive": AT.isoformat()})
PAGE = AlertRecord(
    Alert("a-1", AlertState.FIRING, AT, AT), "availability budget burn", "page", "availability", "csv", "2", "it burns", "",
    AT,
)  # fmt: skip
CAUSE = Incident("i-1", "downstream:db", "downstream db hurts csv, geo", ("csv", "geo"), AT)


def held(*items: Quarantine, **more: Any) -> Standing:
    return Standing(quarantines={item.id: item for item in items}, **more)


MUST_BE_TOLD: Mapping[str, tuple[Standing, str]] = {
    "an alert": (held(alerts={"a-1": PAGE}), "availability budget burn"),
    "quarantined by the automation": (held(HELD), "plugin quarantined"),
    "quarantined by a person": (isolate(held(), SCOPE, "by hand", ANN, AT)[0], "plugin quarantined"),
    "suggested": (held(SUGGESTED), "quarantine suggested"),
    "approved": (approve(held(SUGGESTED), "q-1", "so it is", ANN, AT, hold=HOUR)[0], "plugin quarantined"),
    "prevented": (held(replace(SUGGESTED, evidence={"prevented": ["frozen"]})), "quarantine prevented"),
    "isolated again": (held(replace(HELD, repeats=1)), "plugin quarantined"),
    "isolated for good": (held(replace(HELD, repeats=3, hold_until=None)), "plugin quarantined"),
    "a person must decide": (held(STUCK), "plugin quarantined"),
    "a newcomer about whom a person must decide": (held(replace(STUCK, successor_of="q-0")), "plugin quarantined"),
    "a shared cause": (held(incidents={"i-1": CAUSE}), "shared cause"),
}
"""What happened -> where things stand then, and the name under which it is told."""


class Receiving:
    """A receiver that takes what is due, unless it is away."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, str], Telling] = {}
        self.got: list[tuple[str, str]] = []

    def look(self, standing: Standing, at: datetime, *silences: Silence) -> list[tuple[str, str]]:
        """Take what is due; return status and name of each."""
        active = active_at(subjects_of(standing), at)
        known = Known(active, (JUDGING,), self.told, (HOOK,), silences)
        known = replace(known, tellings=settled(known, {}, at))
        messages = due(known, at)
        self.told = owing(known, messages, at)
        for message in messages:
            self.told = taken(self.told, message, at)
        return [(message.status, message.subject.labels["alertname"]) for message in messages]


every_kind = pytest.mark.parametrize("what", MUST_BE_TOLD)


@every_kind
def test_it_is_told_at_once_and_once(what: str) -> None:
    standing, name = MUST_BE_TOLD[what]
    hook = Receiving()
    assert hook.look(standing, AT) == [(FIRING, name)]
    assert hook.look(standing, AT + UPDATE) == []


@every_kind
def test_it_is_told_when_the_receiver_is_back(what: str) -> None:
    standing, name = MUST_BE_TOLD[what]
    assert Receiving().look(standing, AT + timedelta(days=3)) == [(FIRING, name)]


@every_kind
@pytest.mark.parametrize("label", ["alertname", "severity", "plugin"])
def test_what_begins_under_a_silence_is_told_when_it_ends(what: str, label: str) -> None:
    standing, name = MUST_BE_TOLD[what]
    (subject,) = subjects_of(standing)
    label = label if label in subject.labels else "cause"  # a shared cause is about no one plugin
    silence = Silence("s-1", equal({label: subject.labels[label]}), AT, AT + HOUR, "ann", "known")
    hook = Receiving()
    assert hook.look(standing, AT, silence) == []
    assert hook.look(standing, AT + HOUR, silence) == [(FIRING, name)]


@every_kind
def test_its_end_is_told(what: str) -> None:
    standing, name = MUST_BE_TOLD[what]
    hook = Receiving()
    hook.look(standing, AT)
    if standing.quarantines:
        identity = next(item.id for item in standing.quarantines.values() if item.ended_at is None)
        end = decline if standing.quarantines[identity].state is QuarantineState.DEGRADED else release
        standing, _ = end(standing, identity, "enough", ANN, AT + HOUR)
    else:
        standing = Standing()
    assert hook.look(standing, AT + HOUR) == [(RESOLVED, name)]


def test_a_suggestion_that_is_approved_ends_and_the_quarantine_begins() -> None:
    hook = Receiving()
    assert hook.look(held(SUGGESTED), AT) == [(FIRING, "quarantine suggested")]
    isolated, _ = approve(held(SUGGESTED), "q-1", "so it is", ANN, AT + HOUR, hold=HOUR)
    assert set(hook.look(isolated, AT + HOUR)) == {(RESOLVED, "quarantine suggested"), (FIRING, "plugin quarantined")}


@pytest.mark.parametrize("speaker", [HELD, SUGGESTED, replace(SUGGESTED, evidence={"prevented": ["frozen"]})])
def test_an_alert_that_is_inhibited_in_the_tick_in_which_it_fires_is_told_by_whoever_speaks_for_it(
    speaker: Quarantine,
) -> None:
    spoken = held(speaker, alerts={"a-1": replace(PAGE, inhibited_by="q-1")})
    hook = Receiving()
    assert [status for status, _ in hook.look(spoken, AT)] == [FIRING]
    (only,) = hook.told.values()
    assert (only.subject.key, only.subject.severity) == ("q-1", "page")
    assert "it fails" in only.subject.summary
    ended = replace(speaker, ended_at=AT + HOUR, state=QuarantineState.HEALTHY)
    alone = held(ended, alerts={"a-1": replace(PAGE, inhibited_by="q-1")})
    assert (FIRING, "availability budget burn") in hook.look(alone, AT + HOUR), "nobody speaks for it any more"


def test_each_turn_of_one_quarantine_is_told_as_news() -> None:
    hook, at = Receiving(), AT
    turns = [HELD, replace(HELD, repeats=1), replace(HELD, repeats=2), STUCK]
    for turn in turns:
        assert hook.look(held(turn), at) == [(FIRING, "plugin quarantined")], turn
        at += UPDATE


@every_kind
def test_a_silence_that_still_hides_something_is_told_of_before_it_ends_once(what: str) -> None:
    standing, name = MUST_BE_TOLD[what]
    silence = Silence("s-1", read_matchers(["severity=~.+"]), AT, AT + HOUR, "ann", "known", "storage")
    standing, hook = replace(standing, silences=(silence,)), Receiving()
    assert hook.look(standing, AT, silence) == []
    assert hook.look(standing, silence.ends_at - SILENCE_NOTICE, silence) == [(FIRING, "silence ends")]
    (notice,) = hook.told.values()
    assert "storage" in notice.subject.summary
    assert "plugwarden silences extend s-1" in notice.subject.description
    assert hook.look(standing, silence.ends_at - timedelta(seconds=1), silence) == []
    assert set(hook.look(standing, silence.ends_at, silence)) == {(FIRING, name), (RESOLVED, "silence ends")}


def test_a_silence_that_hides_nothing_or_is_extended_in_time_ends_without_a_word() -> None:
    silence = Silence("s-1", read_matchers(["plugin=geo"]), AT, AT + HOUR, "ann", "known")
    soon, hook = silence.ends_at - timedelta(minutes=1), Receiving()
    assert hook.look(held(silences=(silence,)), soon, silence) == []
    standing, _ = MUST_BE_TOLD["quarantined by a person"]
    silence = replace(silence, matchers=read_matchers(["plugin=csv"]))
    assert hook.look(replace(standing, silences=(silence,)), soon, silence) == [(FIRING, "silence ends")]
    longer = replace(silence, ends_at=silence.ends_at + HOUR)
    assert hook.look(replace(standing, silences=(longer,)), soon, longer) == [(RESOLVED, "silence ends")]
    assert hook.look(replace(standing, silences=(longer,)), soon + HOUR, longer) == [(FIRING, "silence ends")]


def test_of_two_silences_that_hide_everything_each_end_is_told() -> None:
    """Before, each hid the notice of the other."""
    standing, _ = MUST_BE_TOLD["quarantined by a person"]
    two = [Silence(f"s-{n}", read_matchers(["severity=~.+"]), AT, AT + HOUR, "ann", "known") for n in (1, 2)]
    told = Receiving().look(replace(standing, silences=tuple(two)), AT + HOUR - timedelta(minutes=1), *two)
    assert told == [(FIRING, "silence ends")] * 2


def test_what_a_person_knows_of_is_not_told_again_until_that_ends_and_its_end_is() -> None:
    hook, at, more = Receiving(), AT, replace(HELD, repeats=1)
    hook.look(held(HELD), at)
    known, _ = acknowledge(held(more), "q-1", "csv", HOUR, "on it", ANN, AT)
    assert hook.look(known, at + UPDATE) == []
    assert Receiving().look(known, at + UPDATE) == [(FIRING, "plugin quarantined")], "who was never told is"
    assert hook.look(known, at + HOUR) == [(FIRING, "plugin quarantined")]
    known, _ = acknowledge(held(more), "q-1", "csv", HOUR, "on it", ANN, at)
    assert hook.look(replace(known, quarantines={}), at + UPDATE) == [(RESOLVED, "plugin quarantined")]
    anew = replace(known, quarantines={"q-1": replace(HELD, started_at=AT + timedelta(minutes=5))})
    assert hook.look(anew, at + timedelta(minutes=6)) == [(FIRING, "plugin quarantined")], "what begins anew is"


def test_what_begins_anew_before_its_end_was_told_is_told_though_a_person_knows_of_it() -> None:
    """Before, whoever was told of the time before was taken for told."""
    hook, anew = Receiving(), AT + timedelta(minutes=1)
    hook.look(held(HELD), AT)
    again = replace(HELD, started_at=anew)
    known, _ = acknowledge(held(again), "q-1", "csv", HOUR, "on it", ANN, anew)
    assert hook.look(known, anew) == [(FIRING, "plugin quarantined")]
    assert hook.look(known, anew + UPDATE) == []


def test_a_shared_cause_that_a_person_knows_of_is_not_told_again_when_it_spreads() -> None:
    hook, at = Receiving(), AT
    hook.look(held(incidents={"i-1": CAUSE}), at)
    wider = replace(CAUSE, summary="downstream db hurts csv, geo, pdf", plugins=("csv", "geo", "pdf"))
    known, _ = acknowledge(held(incidents={"i-1": wider}), "i-1", "db", HOUR, "on it", ANN, at)
    assert hook.look(known, at + UPDATE) == []
    assert hook.look(replace(known, incidents={}), at + UPDATE) == [(RESOLVED, "shared cause")]


def test_a_preview_names_what_is_hidden_and_what_nobody_tells() -> None:
    spoken = held(HELD, alerts={"a-1": replace(PAGE, inhibited_by="q-1")})
    subjects = subjects_of(spoken)
    alone = hidden_by(read_matchers(["slo=availability"]), subjects, [HOOK], (), AT)
    assert [(item.key, item.untold) for item in alone] == [("a-1", False)], "the quarantine speaks for it"
    both = hidden_by(read_matchers(["plugin=csv"]), subjects, [HOOK], (), AT)
    assert {(item.key, item.untold) for item in both} == {("a-1", True), ("q-1", True)}
    assert hidden_by(read_matchers(["plugin=geo"]), subjects, [HOOK], (), AT) == []


ACTS = ["suggest", "prevent", "isolate", "again", "stuck", "approve", "decline", "release", "silence", "away"]


@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 2)), max_size=40))
def test_whatever_happens_nothing_stays_isolated_or_suspected_and_nobody_told(steps: list[tuple[str, int]]) -> None:
    hook, standing, silences, at = Receiving(), Standing(), list[Silence](), AT
    for number, (what, plugin) in enumerate(steps):
        at += timedelta(seconds=20)
        scope = Scope(f"p{plugin}", "1")
        item = next((item for item in standing.quarantines.values() if item.scope == scope and not item.ended_at), None)
        suspected = item is not None and item.state is QuarantineState.DEGRADED
        if item is None and what in {"suggest", "prevent"}:
            evidence = {"prevented": ["frozen"]} if what == "prevent" else {}
            new = replace(SUGGESTED, id=f"q-{number}", scope=scope, started_at=at, changed_at=at, evidence=evidence)
            standing = replace(standing, quarantines={**standing.quarantines, new.id: new})
        elif what == "isolate" and (item is None or suspected):
            standing, _ = isolate(standing, scope, "by hand", ANN, at)
        elif item is not None and suspected and what in {"approve", "decline"}:
            hold = {"hold": HOUR} if what == "approve" else {}
            standing, _ = (approve if what == "approve" else decline)(standing, item.id, what, ANN, at, **hold)
        elif item is not None and not suspected and what in {"again", "stuck"}:
            told = {**item.evidence, "inconclusive": at.isoformat()}
            changed = (
                replace(item, state=QuarantineState.PROBATION, hold_until=None, changed_at=at, evidence=told)
                if what == "stuck"
                else replace(item, state=QuarantineState.QUARANTINED, repeats=item.repeats + 1, changed_at=at)
            )
            standing = replace(standing, quarantines={**standing.quarantines, item.id: changed})
        elif item is not None and what == "release":
            standing, _ = release(standing, item.id, "enough", ANN, at)
        elif what == "silence":
            silences.append(Silence(f"s-{number}", equal({"plugin": scope.plugin}), at, at + HOUR, "ann", "known"))
        if what != "away":
            hook.look(standing, at, *silences)
    at += HOUR
    for _ in range(2):
        at += UPDATE
        hook.look(standing, at, *silences)
    for item in standing.quarantines.values():
        known = hook.told.get(("hook", item.id))
        assert (known is not None) == (item.ended_at is None), item
        if item.ended_at is None and known is not None:
            assert ("must decide" in known.subject.summary) == (item.state is QuarantineState.PROBATION)
            assert (f"{item.repeats + 1} times" in known.subject.summary) == (
                item.repeats > 0 and item.state is QuarantineState.QUARANTINED
            )
