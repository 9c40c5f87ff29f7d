"""Who must be told what: nothing that fails stays untold, and nobody is told twice."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.announce.message import FIRING, RESOLVED, Known, Message, Told
from plugwarden_collector.announce.pipeline import due
from plugwarden_collector.announce.receivers.webhook import payload, subject_in
from plugwarden_collector.announce.stages.dedup import UPDATE
from plugwarden_collector.announce.subject import HEALTH, JUDGING, Subject
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.matcher import equal
from plugwarden_collector.rules.receiver import Receiver

from tests.collector.support.played_fleet import AT

PAGER, TICKETS = Receiver("pager", "http://a/", ("page",)), Receiver("tickets", "http://b/", ("ticket",))
ALL = Receiver("all", "http://c/")


def subject(key: str, severity: str = "page", **more: Any) -> Subject:
    labels = {"alertname": "x", "severity": severity, "plugin": "csv"}
    return replace(Subject(key, labels, "it fails", "", AT), **more)


def told(
    *subjects: Subject,
    receivers: tuple[Receiver, ...] = (ALL,),
    known: dict[tuple[str, str], Told] | None = None,
    silences: tuple[Silence, ...] = (),
    at: datetime = AT,
    reported: tuple[str, ...] = (JUDGING, HEALTH),
) -> list[tuple[str, str, str]]:
    active = {item.key: item for item in subjects}
    found = due(Known(active, reported, known or {}, receivers, silences), at)
    return [(item.receiver, item.status, item.subject.key) for item in found]


def test_what_was_told_is_not_told_again_and_its_end_is() -> None:
    item = subject("a")
    known = {("all", "a"): Told(AT, item)}
    assert told(item) == [("all", FIRING, "a")]
    assert told(item, known=known) == []
    assert told(known=known) == [("all", RESOLVED, "a")]
    assert told() == [], "the end of what nobody was told of is no news"


def test_each_receiver_is_told_what_it_asked_for() -> None:
    items = subject("a"), subject("b", "ticket")
    assert told(*items, receivers=(PAGER, TICKETS)) == [("pager", FIRING, "a"), ("tickets", FIRING, "b")]


def test_beginning_anew_is_told_anew() -> None:
    again = subject("a", started_at=AT + timedelta(minutes=5))
    assert told(again, known={("all", "a"): Told(AT, subject("a"))}) == [("all", FIRING, "a")]


def test_more_to_say_is_said_after_a_while() -> None:
    known = {("all", "a"): Told(AT, subject("a"))}
    wider = subject("a", summary="and more")
    assert told(wider, known=known, at=AT + UPDATE - timedelta(seconds=1)) == []
    assert told(wider, known=known, at=AT + UPDATE) == [("all", FIRING, "a")]


def test_what_fires_under_a_silence_is_told_when_it_ends() -> None:
    silence = Silence("s", equal({"plugin": "csv"}), AT, AT + timedelta(hours=1), "ann", "known")
    assert told(subject("a"), silences=(silence,)) == []
    assert told(subject("a"), silences=(silence,), at=AT + timedelta(hours=1)) == [("all", FIRING, "a")]


def test_an_end_is_told_under_a_silence_too() -> None:
    silence = Silence("s", equal({"plugin": "csv"}), AT, AT + timedelta(hours=1), "ann", "known")
    assert told(known={("all", "a"): Told(AT, subject("a"))}, silences=(silence,)) == [("all", RESOLVED, "a")]


def test_whoever_is_told_of_the_speaker_need_not_be_told_of_what_it_speaks_for() -> None:
    spoken = subject("a", speaker="q-1")
    assert told(spoken, subject("q-1"), receivers=(ALL,)) == [("all", FIRING, "q-1")]
    assert told(spoken) == [("all", FIRING, "a")], "the speaker has ended"
    person = subject("q-1", "ticket")
    assert told(spoken, person, receivers=(PAGER,)) == [("pager", FIRING, "a")], "the pager is not told of the speaker"


def test_a_silence_on_the_speaker_does_not_silence_what_it_speaks_for() -> None:
    speaker = subject("q-1", labels={"alertname": "plugin quarantined", "severity": "page"})
    silence = Silence("s", equal({"alertname": "plugin quarantined"}), AT, AT + timedelta(hours=1), "ann", "known")
    assert told(subject("a", speaker="q-1"), speaker, silences=(silence,)) == [("all", FIRING, "a")]


def test_what_is_on_its_way_to_its_end_is_not_told_any_more() -> None:
    quiet = subject("a", quiet=True)
    assert told(quiet) == []
    assert told(quiet, known={("all", "a"): Told(AT, quiet)}) == []


def test_nothing_is_over_until_its_source_has_said_so() -> None:
    known = {("all", "c-disk"): Told(AT, subject("c-disk")), ("all", "a"): Told(AT, subject("a"))}
    assert told(known=known, reported=(JUDGING,)) == [("all", RESOLVED, "a")]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["fire", "end", "silence", "speak", "deliver"])), max_size=40
    )
)
def test_whatever_happens_what_fires_is_told_once_nothing_covers_it(steps: list[tuple[str, str]]) -> None:
    active: dict[str, Subject] = {}
    known: dict[tuple[str, str], Told] = {}
    silent: dict[str, Silence] = {}
    delivered: list[tuple[str, str]] = []
    at = AT

    def deliver() -> None:
        for item in due(Known(active, (JUDGING,), known, (ALL,), list(silent.values())), at):
            delivered.append((item.status, item.subject.key))
            if item.status == FIRING:
                known[item.key] = Told(at, item.subject)
            else:
                del known[item.key]

    for key, what in steps:
        at += timedelta(seconds=1)
        match what:
            case "fire":
                labels = {"alertname": key, "severity": "page"}
                active.setdefault(key, Subject(key, labels, key, "", at))
            case "end":
                active.pop(key, None)
            case "silence":
                if silent.pop(key, None) is None:
                    silent[key] = Silence(key, equal({"alertname": key}), AT, AT + timedelta(days=1), "", "")
            case "speak":
                if key in active:
                    active[key] = replace(active[key], speaker="q" if active[key].speaker is None else None)
            case _:
                deliver()
    silent.clear()
    deliver()
    assert {key for _, key in known} == set(active)
    last: dict[str, str] = {}
    for status, key in delivered:
        assert (status, last.get(key)) != (RESOLVED, None)
        assert (status, last.get(key)) != (RESOLVED, RESOLVED)
        last[key] = status


def test_a_message_is_read_back_as_what_was_told() -> None:
    item = subject("a", started_at=AT + timedelta(microseconds=1500))
    body = json.dumps(payload(Message("all", FIRING, item), AT))
    found = subject_in(body)
    assert found is not None
    assert told(item, known={("all", "a"): Told(AT, found)}) == []
    assert subject_in("{}") is None
    assert subject_in("[1") is None
