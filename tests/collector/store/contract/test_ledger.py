"""What every engine promises of the ledger: all or nothing, in order, sealed, and never on an old state."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from plugwarden.contract import Action, Directive, DirectiveSet, QuarantineState, Scope
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.audit.entries import ACCESS, DECISIONS, Draft
from plugwarden_collector.clock import Step, Timekeeping
from plugwarden_collector.decide.acknowledgement import Acknowledgement
from plugwarden_collector.decide.acts import Acted, adopt_clock, freeze, isolate, release, silence, unsilence
from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState
from plugwarden_collector.decide.changes import AlertEvent, Annotation, BudgetStatus, Changes, Freeze
from plugwarden_collector.decide.correcting import correct, end_correction, withdraw
from plugwarden_collector.decide.correction import Correction
from plugwarden_collector.decide.noted import kept
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.decide.word import MANY, WORD, Word
from plugwarden_collector.errors import StaleError
from plugwarden_collector.matcher import equal
from plugwarden_collector.rules.policy import Enforcement
from plugwarden_collector.store.ledger import (
    Delivery,
    EndingRow,
    KeptTime,
    PushedEnd,
    PushedRecord,
    TellingGone,
    TellingRow,
)
from plugwarden_collector.store.ledger_rows import ConditionEvent

from tests.collector.support.stores import AT

from .conftest import Engine

LATER = AT + timedelta(minutes=5)
MINUTE = AT.replace(second=0, microsecond=0)
ANN = Actor("ci", "ann")
FIRING = AlertRecord(
    Alert("a-1", AlertState.FIRING, AT, AT, None, AT), "availability budget burn", "page", "availability", "csv", "2",
    "“quoted”, tab\t and <b>markup</b>", "more", AT, "q-1", {"rate": 14.4},
)  # fmt: skip
HELD = Quarantine(
    "q-1", Scope("csv", "2", "export", "host-1", "t"), QuarantineState.QUARANTINED, "it fails", "automation",
    Enforcement.ENFORCE, AT, AT, 1, 0.05, LATER, None, 2, None, "q-0", ("1", "1.5"), "a-1", {"calls": 7},
)  # fmt: skip
INCIDENT = Incident("i-1", "downstream", "db is slow", ("csv", "geo"), AT, seen_at=LATER, explained_by="a-1")
TICKET = replace(FIRING, alert=Alert("a-2"), severity="ticket", version=None)
SILENCE = Silence("s-1", equal({"plugin": "csv"}), AT, AT + timedelta(hours=1), "ann", "known")
KNOWN = Acknowledgement("k-1", "q-1", AT, AT + timedelta(hours=1), "ann", "on it")
CORRECTION = Correction("c-1", "csv", "*", "media", MINUTE, MINUTE + timedelta(hours=1), "known", "ann", AT)
TOLD = DirectiveSet("an epoch", 1, (Directive("q-1", Action.ISOLATE, Scope("csv", "2"), 0.0, "it fails"),))
ALL = Changes(
    at=AT,
    alerts=[FIRING, TICKET],
    alert_events=[AlertEvent(AT, FIRING, AlertState.PENDING, AlertState.FIRING, "it burns")],
    quarantines=[HELD],
    incidents=[INCIDENT],
    decisions=[Draft(AT, "quarantined", "automation", "csv@2", "it fails", evidence={"calls": 7})],
    directives=TOLD,
    slo_status=[
        BudgetStatus("availability", "csv", "2", AT, "availability", 0.99, 3600.0, 100, 2, 0.98, -1.0, 2.0, None),
        BudgetStatus("availability", "csv", None, AT, "availability", 0.99, 3600.0, 300, 4, 0.98, -0.3, 1.0, None, 2),
        BudgetStatus("availability", "geo", "1", AT, "availability", 0.99, 3600.0, 0, 0, None, None, 0.0, None),
    ],
    changes=[Annotation(AT, "deployment", "csv", "2", "csv 2 was first seen")],
    silences=[SILENCE],
    acknowledgements=[KNOWN],
    corrections=[CORRECTION],
    freeze=Freeze("a test"),
    shifted_seconds=-7200.0,
    watch='{"form": 0}',
    noted=kept({("csv", "availability", "prevented"): AT}, AT),
)


def test_every_kind_of_change_has_its_example_here() -> None:
    # When to look again is for the loop alone; what ends has a test of its own.
    missing = {item.name for item in fields(Changes) if getattr(ALL, item.name) in (None, [])}
    assert missing == {"look_at", "unsilenced", "unacknowledged"}


def test_what_one_process_bore_out_does_not_count_for_the_hour_of_the_others(engine: Engine) -> None:
    """Nor after a restart, when the hour is read from the log."""
    words = [{"known": False}, {WORD: Word("h1").as_dict()}, {WORD: Word(young=True).as_dict()}, {WORD: MANY.as_dict()}]
    drafts = [
        Draft(AT + timedelta(seconds=number), "quarantined", "automation", "csv", "it fails", evidence=said)
        for number, said in enumerate(words)
    ]
    engine.ledger.commit(Changes(at=AT, decisions=drafts), 0).result(30)
    assert engine.ledger.load(AT + timedelta(minutes=1)).standing.actions == [AT + timedelta(seconds=3)]


def test_an_empty_ledger_says_so(engine: Engine) -> None:
    loaded = engine.ledger.load(AT)
    standing = loaded.standing
    assert (loaded.revision, standing.directives.revision, standing.frozen, standing.shifted_seconds) == (
        0,
        0,
        None,
        None,
    )
    assert replace(standing, directives=DirectiveSet()) == Standing()
    assert standing.directives.epoch, "sidecars tell stores apart by it"


def test_what_was_committed_is_what_the_next_start_loads(engine: Engine) -> None:
    assert engine.ledger.commit(ALL, 0).result(30) == 1
    for _ in range(2):
        loaded = engine.ledger.load(AT + timedelta(minutes=1))
        standing = loaded.standing
        assert loaded.revision == 1
        assert standing.alerts == {"a-1": FIRING, "a-2": TICKET}
        assert standing.quarantines == {"q-1": HELD}
        assert standing.incidents == {"i-1": INCIDENT}
        assert standing.incidents["i-1"].seen_at == LATER
        assert standing.incidents["i-1"].explained_by == "a-1"
        assert standing.directives == TOLD
        assert standing.silences == (SILENCE,)
        assert standing.acknowledgements == (KNOWN,)
        assert standing.noted == {("csv", "availability", "prevented"): AT}
        assert (standing.frozen, standing.shifted_seconds) == ("a test", -7200.0)
        assert standing.actions == [AT], "for the limit per hour"
        engine.reopen()
    assert engine.ledger.load(AT + timedelta(hours=1)).standing.actions == []
    assert engine.ledger.load(AT + timedelta(hours=1)).standing.silences == (), "it has ended by then"


def test_how_far_a_receiver_of_events_has_got_is_kept(engine: Engine) -> None:
    engine.ledger.audit.append([Draft(AT, "noted", "a", "s", str(number)) for number in range(5)]).result(30)
    assert engine.ledger.events_sent("bus") is None
    engine.ledger.keep_events_sent("bus", 2).result(30)
    engine.ledger.keep_events_sent("other", 9).result(30)
    engine.ledger.keep_events_sent("bus", 3).result(30)
    engine.reopen()
    assert (engine.ledger.events_sent("bus"), engine.ledger.events_sent("other")) == (3, 9)
    assert [row.sequence for row in engine.ledger.decisions_after(3, 10)] == [4, 5], "oldest first"
    assert [row.sequence for row in engine.ledger.decisions_after(0, 2)] == [1, 2]
    assert engine.ledger.decisions_after(5, 10) == []


def test_silences_that_ended_are_listed_as_they_came_out(engine: Engine) -> None:
    coming = replace(
        SILENCE, id="s-2", starts_at=AT + timedelta(hours=2), ends_at=AT + timedelta(hours=3), owner="storage"
    )
    engine.ledger.commit(Changes(at=AT, silences=[SILENCE, coming]), 0).result(30)
    engine.ledger.commit(Changes(at=LATER, unsilenced=["s-2"]), 1).result(30)
    assert engine.ledger.ended_silences(LATER, AT) == [replace(coming, starts_at=LATER, ends_at=LATER)]
    later = AT + timedelta(hours=1)
    assert {item.id for item in engine.ledger.ended_silences(later, AT)} == {"s-1", "s-2"}
    assert engine.ledger.ended_silences(later, later) == [SILENCE]


def test_what_ends_is_not_loaded_again(engine: Engine) -> None:
    engine.ledger.commit(ALL, 0).result(30)
    ended = replace(INCIDENT, ended_at=LATER)
    over = Changes(at=LATER, incidents=[ended], unsilenced=["s-1"], unacknowledged=["k-1"], freeze=Freeze(None))
    engine.ledger.commit(over, 1).result(30)
    standing = engine.ledger.load(LATER).standing
    assert (standing.incidents, standing.silences, standing.acknowledgements, standing.frozen) == ({}, (), (), None)
    assert [row.ended_at for row in engine.ledger.incidents()] == [LATER]


def test_pages_show_what_was_committed(engine: Engine) -> None:
    engine.ledger.commit(ALL, 0).result(30)
    alert, ticket = sorted(engine.ledger.alerts(), key=lambda row: row.fingerprint)
    assert (ticket.plugin_id, ticket.plugin_version, "version" in ticket.labels) == ("csv", None, False)
    assert (alert.fingerprint, alert.state, alert.labels["plugin"], alert.detail["rate"]) == (
        "a-1",
        "firing",
        "csv",
        14.4,
    )
    assert [(row.before, row.after) for row in engine.ledger.alert_events(AT - timedelta(seconds=1))] == [
        ("pending", "firing")
    ]
    assert engine.ledger.alert_events(AT) == [], "after a time, not at it"
    (held,) = engine.ledger.quarantines()
    assert (held.id, held.known_versions, held.evidence) == ("q-1", ["1", "1.5"], {"calls": 7})
    assert [(row.id, row.plugins) for row in engine.ledger.incidents()] == [("i-1", ["csv", "geo"])]
    assert [(row.plugin_id, row.total, row.sli_value) for row in engine.ledger.slos(AT)] == [
        ("csv", 100, 0.98),
        ("geo", 0, None),
    ], "by version"
    assert [(row.plugin_id, row.versions, row.total, row.bad) for row in engine.ledger.budgets(AT)] == [
        ("csv", 2, 300, 4)
    ]
    assert [(row.kind, row.text) for row in engine.ledger.changes()] == [("deployment", "csv 2 was first seen")]
    (decision,) = engine.ledger.decisions(1 << 62, 10)
    assert (decision.sequence, decision.kind, decision.evidence) == (1, "quarantined", {"calls": 7})


def test_who_decided_on_an_old_state_is_told_and_nothing_of_it_is_stored(engine: Engine) -> None:
    engine.ledger.commit(Changes(at=AT, silences=[SILENCE]), 0).result(30)
    with pytest.raises(StaleError) as stale:
        engine.ledger.commit(ALL, 0).result(30)
    assert (stale.value.expected, stale.value.found) == (0, 1)
    loaded = engine.ledger.load(AT)
    assert (loaded.revision, loaded.standing.quarantines, engine.ledger.decisions(1 << 62, 10)) == (1, {}, [])
    assert engine.ledger.audit.heads[DECISIONS].sequence == 0
    engine.ledger.commit(ALL, 1).result(30)


def test_of_many_who_commit_at_once_each_revision_goes_to_one(engine: Engine) -> None:
    def insist(number: int) -> int:
        while True:
            try:
                expected = engine.ledger.load(AT).revision
                item = replace(SILENCE, id=f"s-{number}")
                return engine.ledger.commit(Changes(at=AT, silences=[item]), expected).result(30)
            except StaleError:
                pass

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(insist, range(12))) == list(range(1, 13))
    assert len(engine.ledger.load(AT).standing.silences) == 12


def test_a_commit_that_fails_leaves_nothing(engine: Engine) -> None:
    broken: Any = replace(INCIDENT, id="i-2", started_at="no time")
    with pytest.raises(Exception, match="no time"):
        engine.ledger.commit(Changes(at=AT, quarantines=[HELD], incidents=[broken], decisions=ALL.decisions), 0).result(
            30
        )
    loaded = engine.ledger.load(AT)
    assert (loaded.revision, loaded.standing.quarantines, engine.ledger.decisions(1 << 62, 10)) == (0, {}, [])
    assert engine.ledger.audit.verify().valid


def test_acts_of_people_are_loaded_as_they_were_done(engine: Engine) -> None:
    acts: list[Callable[[Standing], Acted]] = [
        lambda now: adopt_clock(now, 30.0, AT),
        lambda now: isolate(now, Scope("csv", "2"), "by hand", ANN, AT, hold=timedelta(hours=1)),
        lambda now: silence(now, equal({"plugin": "csv"}), timedelta(hours=1), "known", ANN, AT),
        lambda now: silence(now, equal({"plugin": "geo"}), timedelta(hours=1), "known", ANN, AT),
        lambda now: correct(now, ("csv", "*", "*"), (MINUTE, MINUTE + timedelta(hours=2)), "known", ANN, AT),
        lambda now: correct(now, ("geo", "*", "*"), (MINUTE, MINUTE + timedelta(hours=2)), "known", ANN, AT),
        lambda now: freeze(now, True, "a storm", ANN, AT),
        lambda now: adopt_clock(now, 600.0, AT),
        lambda now: release(now, next(iter(now.quarantines)), "enough", ANN, LATER),
        lambda now: unsilence(now, now.silences[0].id, "enough", ANN, LATER),
        lambda now: end_correction(now, now.corrections[0].id, "enough", ANN, LATER),
        lambda now: withdraw(now, now.corrections[0].id, "enough", ANN, LATER),
        lambda now: freeze(now, False, "it is over", ANN, LATER),
    ]
    now, revision = engine.ledger.load(AT).standing, 0
    for act in acts:
        now, changes = act(now)
        revision = engine.ledger.commit(changes, revision).result(30)
        found = engine.ledger.load(AT).standing
        for name in ("silences", "corrections"):
            assert sorted(map(str, getattr(found, name))) == sorted(map(str, getattr(now, name)))
        nothing: dict[str, Any] = {"silences": (), "corrections": ()}
        assert replace(found, **nothing) == replace(now, **nothing)
    kinds = [row.kind for row in reversed(engine.ledger.decisions(1 << 62, 100))]
    assert kinds == [
        "clock_adopted",
        "quarantined",
        "silenced",
        "silenced",
        "corrected",
        "corrected",
        "frozen",
        "clock_adopted",
        "released",
        "unsilenced",
        "correction_ended",
        "correction_withdrawn",
        "unfrozen",
    ]
    assert engine.ledger.audit.verify().valid


# -- the chains -------------------------------------------------------------------------------------------------------


def test_each_chain_is_sealed_in_order_and_its_head_is_kept(engine: Engine) -> None:
    audit = engine.ledger.audit
    for number in range(3):
        audit.append([Draft(AT, "noted", "a", "s", str(number))]).result(30)
        audit.append([Draft(AT, "sql_read", "a", "s", str(number))] * 2, ACCESS).result(30)
    assert (audit.heads[DECISIONS].sequence, audit.heads[ACCESS].sequence) == (3, 6)
    assert [row.reason for row in engine.ledger.decisions(3, 10)] == ["1", "0"], "newest first, before a sequence"
    assert [row.sequence for row in engine.ledger.accesses(1 << 62, 2)] == [6, 5]
    assert (
        audit.told()[DECISIONS]["hash"]
        == engine.ledger.decisions(1 << 62, 1)[0].hash
        == audit.stamp()["auditHead"]["hash"]
    )
    engine.reopen()
    report = engine.ledger.audit.verify()
    assert (report.problems, report.verdicts[DECISIONS].keyed, report.verdicts[ACCESS].keyed) == ((), 3, 6)
    assert engine.ledger.audit.verify(engine.ledger.decisions(3, 1)[0].hash).valid
    assert not engine.ledger.audit.verify("0" * 63 + "1").valid


def test_old_entries_of_the_access_log_go_and_the_rest_verifies(engine: Engine) -> None:
    audit = engine.ledger.audit
    audit.append([Draft(AT, "sql_read", "a", "s", str(number)) for number in range(130)], ACCESS).result(30)
    audit.trim_access(100, AT).result(30)
    assert len(engine.ledger.accesses(1 << 62, 1000)) == 100
    assert [row.kind for row in engine.ledger.decisions(1 << 62, 10)] == ["access_log_trimmed"]
    assert audit.verify().valid


def test_nothing_is_accepted_where_nothing_is_broken(engine: Engine) -> None:
    assert engine.ledger.audit.accept(ANN, "why not", AT) == []
    assert engine.ledger.audit.open_breaks == ()
    engine.ledger.audit.record_lost_key(AT).result(30)
    assert engine.ledger.decisions(1 << 62, 10) == []


def test_rules_are_known_by_the_text_that_a_start_recorded(engine: Engine) -> None:
    for rules in ({"sha256": "abc"}, {"sha256": "def", "content": "[[slo]]"}):
        engine.ledger.audit.append([Draft(AT, "started", "c", "c", "v", evidence={"rules": rules})], ACCESS).result(30)
    assert (engine.ledger.rules_recorded("abc"), engine.ledger.rules_recorded("def")) == (None, AT)


# -- notes, pushed alerts, time ---------------------------------------------------------------------------------------


def test_what_a_receiver_holds_for_open_or_is_owed_is_what_was_kept_last(engine: Engine) -> None:
    owed = TellingRow("pager", "a", AT, None, None, '{"key":"a"}', None)
    told = replace(owed, told_at=AT, ended='{"at":"now"}')
    other = replace(owed, receiver="ops", given_up_by="ann")
    engine.ledger.record([owed, other, TellingGone("pager", "b")]).result(30)
    engine.ledger.record([TellingGone("pager", "a"), told, other, TellingGone("ops", "a")]).result(30)
    engine.reopen()
    assert engine.ledger.tellings() == [told]


def test_an_attempt_is_one_row_from_its_beginning_to_its_result(engine: Engine) -> None:
    begun = Delivery(AT, "pager", "a", "begun", 1, None, '{"status": "firing"}', "n-1")
    failed = replace(begun, status="failed", error="no answer", finished_at=AT + timedelta(seconds=5))
    cut_short = replace(begun, id="n-2", attempt=2)
    given_up = replace(begun, id="n-3", status="given_up", error="given up by ann", finished_at=AT)
    engine.ledger.record([begun]).result(30)
    engine.ledger.record([failed, cut_short, given_up]).result(30)
    engine.reopen()
    assert engine.ledger.notifications(3) == [given_up, cut_short, failed]
    assert engine.ledger.notifications(1) == [given_up]


def test_how_something_ended_is_what_its_last_entry_says(engine: Engine) -> None:
    entries = [
        Draft(AT, "quarantined", "automation", "csv", "it fails", quarantine_id="q-1"),
        Draft(AT, "released", "ann", "csv", "enough", quarantine_id="q-1"),
        Draft(AT, "quarantined", "automation", "geo", "it fails", quarantine_id="q-2"),
        Draft(AT, "approved", "bob", "tar", "so it is", quarantine_id="q-4", evidence={"suggestion": "q-3"}),
    ]
    engine.ledger.audit.append(entries).result(30)
    engine.ledger.record(
        [ConditionEvent(AT, "c-disk", "disk", "page", before, after, why)
         for before, after, why in (("inactive", "firing", "full"), ("firing", "inactive", "there is room"))]
    ).result(30)  # fmt: skip
    found = engine.ledger.endings(["q-1", "q-2", "q-3", "q-4", "c-disk"])
    assert sorted(found, key=lambda row: row.fingerprint) == [
        EndingRow("c-disk", AT, "resolved", "automation", "there is room"),
        EndingRow("q-1", AT, "released", "ann", "enough"),
        EndingRow("q-3", AT, "approved", "bob", "so it is"),
    ]


def test_conditions_of_the_collector_are_kept_apart_from_alerts_on_plugins(engine: Engine) -> None:
    events = [
        ConditionEvent(AT + timedelta(seconds=number), "c-disk", "disk", "page", "inactive", "firing", str(number))
        for number in range(3)
    ]
    engine.ledger.record(events).result(30)
    assert engine.ledger.condition_events(2) == events[1:]
    assert engine.ledger.alert_events(AT - timedelta(days=1)) == []


def test_pushed_alerts_come_end_and_go(engine: Engine) -> None:
    ledger = engine.ledger
    records = [
        PushedRecord(
            f"x-{number}",
            {"alertname": f"a{number}", "plugin": "csv"},
            {"summary": "full"},
            "http://p/",
            True,
            AT,
            None,
            None,
            AT,
        )
        for number in range(3)
    ]
    ledger.store_pushed(records, at=AT).result(30)
    ledger.store_pushed(ended=[PushedEnd("x-1", LATER)], gone=["x-2"], at=LATER).result(30)
    engine.reopen()
    known = sorted(engine.ledger.pushed(), key=lambda item: item.fingerprint)
    assert [(item.fingerprint, item.firing, item.started_at, item.ended_at) for item in known] == [
        ("x-0", True, AT, None), ("x-1", False, AT, LATER),
    ]  # fmt: skip
    rows = engine.ledger.alerts()
    assert [(row.name, row.severity, row.state, row.source, row.detail) for row in rows] == [
        ("a0", "ticket", "firing", "prometheus", {"generator": "http://p/"}),
        ("a1", "ticket", "inactive", "prometheus", {"generator": "http://p/"}),
    ]
    assert engine.ledger.load(AT).standing.alerts == {}, "they are nobody's to judge"


def test_what_is_known_of_the_time_is_kept(engine: Engine) -> None:
    assert engine.ledger.kept_time() is None
    kept = KeptTime(Timekeeping(AT, 12.5, Step(3600.0, 10.0, AT), -2.0), "this boot")
    engine.ledger.keep_time(KeptTime(Timekeeping(AT, 1.0), "")).result(30)
    engine.ledger.keep_time(kept).result(30)
    engine.reopen()
    assert engine.ledger.kept_time() == kept
