"""Who must be told what: nothing that fails stays untold, and nobody is told twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from plugwarden_collector.announce.message import FIRING, RESOLVED, Ending, Known, Telling
from plugwarden_collector.announce.pipeline import due
from plugwarden_collector.announce.stages.dedup import UPDATE
from plugwarden_collector.announce.stored import row_of, telling_in
from plugwarden_collector.announce.subject import HEALTH, JUDGING, Subject
from plugwarden_collector.announce.tellings import given_up, just_over, owing, settled, taken
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.matcher import equal, matchers_of, read_matchers
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
    known: dict[tuple[str, str], Telling] | None = None,
    silences: tuple[Silence, ...] = (),
    at: datetime = AT,
    reported: tuple[str, ...] = (JUDGING, HEALTH),
) -> list[tuple[str, str, str]]:
    active = {item.key: item for item in subjects}
    looked_at = Known(active, reported, known or {}, receivers, silences)
    found = due(replace(looked_at, tellings=settled(looked_at, {}, at)), at)
    return [(item.receiver, item.status, item.subject.key) for item in found]


def test_what_was_told_is_not_told_again_and_its_end_is() -> None:
    item = subject("a")
    known = {("all", "a"): Telling(item, AT, AT)}
    assert told(item) == [("all", FIRING, "a")]
    assert told(item, known=known) == []
    assert told(known=known) == [("all", RESOLVED, "a")]
    assert told() == [], "the end of what nobody was told of is no news"


def test_each_receiver_is_told_what_it_asked_for() -> None:
    items = subject("a"), subject("b", "ticket")
    assert told(*items, receivers=(PAGER, TICKETS)) == [("pager", FIRING, "a"), ("tickets", FIRING, "b")]


def test_each_receiver_is_told_of_what_its_matchers_match() -> None:
    owner, plugin = read_matchers(['owner="media"', 'plugin=~"image-.*|csv"'])
    media = replace(ALL, name="media", matchers=(owner,))
    both = replace(ALL, name="both", matchers=(owner, plugin))
    rest = replace(ALL, name="rest", matchers=read_matchers(["plugin=geo"]))
    others = replace(ALL, name="others", matchers=matchers_of(["owner!=media"], choosing=True))
    mine, shared = (("owner", "media"),), (("owner", "shop"), ("owner", "media"))
    items = subject("a", also=mine), subject("b"), subject("c", also=shared)
    told_of = told(*items, receivers=(media, both, rest, others))
    assert sorted((name, key) for name, _, key in told_of) == [
        ("both", "a"), ("both", "c"), ("media", "a"), ("media", "c"), ("others", "b"),
    ]  # fmt: skip
    known = {("rest", "a"): Telling(items[0], AT, AT)}
    assert told(receivers=(rest,), known=known) == [("rest", RESOLVED, "a")], (
        "an end goes to whoever holds the beginning"
    )


def test_others_are_told_later_of_what_nobody_said_that_they_know_of() -> None:
    boss = replace(ALL, name="boss", escalate_after=timedelta(minutes=15))
    later = AT + timedelta(minutes=20)
    item, both = subject("a"), {"receivers": (ALL, boss), "at": AT}
    assert told(item, **both) == [("all", FIRING, "a")]
    since = {("all", "a"): Telling(item, AT + timedelta(minutes=5), AT + timedelta(minutes=6))}
    assert told(item, receivers=(ALL, boss), known=since, at=later - timedelta(seconds=1)) == []
    assert told(item, receivers=(ALL, boss), known=since, at=later) == [("boss", FIRING, "a")], (
        "it was silenced at first"
    )
    known = replace(item, known_until=later + timedelta(minutes=1))
    assert told(known, receivers=(ALL, boss), known=since, at=later) == []
    assert told(known, receivers=(ALL, boss), known=since, at=later + timedelta(minutes=1)) == [("boss", FIRING, "a")]
    told_both = {**since, ("boss", "a"): Telling(item, later, later)}
    assert sorted(told(receivers=(ALL, boss), known=told_both, at=later)) == [
        ("all", RESOLVED, "a"),
        ("boss", RESOLVED, "a"),
    ]
    assert told(receivers=(ALL, boss), known=since, at=later) == [("all", RESOLVED, "a")], (
        "who was not told of it is told of no end"
    )


def test_what_a_quarantine_speaks_for_is_not_told_while_the_quarantine_waits_for_others() -> None:
    boss = replace(ALL, name="boss", escalate_after=timedelta(minutes=15))
    items = subject("q"), subject("a", speaker="q")
    assert told(*items, receivers=(ALL, boss)) == [("all", FIRING, "q")]
    known = {("all", "q"): Telling(items[0], AT, AT)}
    assert told(*items, receivers=(ALL, boss), known=known, at=AT + timedelta(minutes=15)) == [("boss", FIRING, "q")]


def test_beginning_anew_is_told_anew() -> None:
    again = subject("a", started_at=AT + timedelta(minutes=5))
    assert told(again, known={("all", "a"): Telling(subject("a"), AT, AT)}) == [("all", FIRING, "a")]


def test_more_to_say_is_said_after_a_while() -> None:
    known = {("all", "a"): Telling(subject("a"), AT, AT)}
    wider = subject("a", summary="and more")
    assert told(wider, known=known, at=AT + UPDATE - timedelta(seconds=1)) == []
    assert told(wider, known=known, at=AT + UPDATE) == [("all", FIRING, "a")]


def test_what_fires_under_a_silence_is_told_when_it_ends() -> None:
    silence = Silence("s", equal({"plugin": "csv"}), AT, AT + timedelta(hours=1), "ann", "known")
    assert told(subject("a"), silences=(silence,)) == []
    assert told(subject("a"), silences=(silence,), at=AT + timedelta(hours=1)) == [("all", FIRING, "a")]


def test_an_end_is_told_under_a_silence_too() -> None:
    silence = Silence("s", equal({"plugin": "csv"}), AT, AT + timedelta(hours=1), "ann", "known")
    assert told(known={("all", "a"): Telling(subject("a"), AT, AT)}, silences=(silence,)) == [("all", RESOLVED, "a")]


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
    assert told(quiet, known={("all", "a"): Telling(quiet, AT, AT)}) == []


def test_nothing_is_over_until_its_source_has_said_so() -> None:
    known = {("all", "c-disk"): Telling(subject("c-disk"), AT, AT), ("all", "a"): Telling(subject("a"), AT, AT)}
    assert told(known=known, reported=(JUDGING,)) == [("all", RESOLVED, "a")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.sampled_from(["fire", "end", "silence", "speak", "deliver", "lose", "restart"])
        ),
        max_size=40,
    )
)
@settings(max_examples=500)
@example([("b", "fire"), ("b", "silence"), ("b", "end")])
def test_whatever_happens_all_that_was_due_is_told_once_with_its_end(steps: list[tuple[str, str]]) -> None:
    active: dict[str, Subject] = {}
    known: dict[tuple[str, str], Telling] = {}
    silent: dict[str, Silence] = {}
    delivered: list[tuple[str, str, datetime]] = []
    owed: set[tuple[str, datetime]] = set()
    at = AT

    def look(*, deliver: bool) -> None:
        nonlocal known
        looked_at = Known(active, (JUDGING,), known, (ALL,), list(silent.values()))
        looked_at = replace(looked_at, tellings=settled(looked_at, {}, at))
        assert not just_over(looked_at)
        messages = due(looked_at, at)
        known = owing(looked_at, messages, at)
        owed.update(
            (item.subject.key, item.subject.started_at)
            for item in messages
            if item.status == FIRING and item.ended is None
        )
        # A silence that begins before it was told ends what is owed, and so does what speaks for it.
        kept_back = {key for key in active if ("all", key) not in known}
        owed.difference_update([item for item in owed if item[0] in kept_back])
        for item in messages if deliver else ():
            delivered.append((item.status, item.subject.key, item.subject.started_at))
            known = taken(known, item, at)

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
            case "deliver":
                look(deliver=True)
            case "restart":
                known = dict(filter(None, (telling_in(row_of(key, item)) for key, item in known.items())))
        look(deliver=False)
    silent.clear()
    for _ in range(2):
        look(deliver=True)
    assert {key for _, key in known} == set(active), "what is over is forgotten once its end was told"
    told = [(key, at) for status, key, at in delivered if status == FIRING]
    assert {key for key, _ in owed} <= {key for key, _ in told}, (
        "whatever was due when it ended was told, though it is over"
    )
    assert len(told) == len(set(told)), "and once"
    last: dict[str, str] = {}
    for status, key, _ in delivered:
        assert (status, last.get(key)) != (RESOLVED, None)
        assert (status, last.get(key)) != (RESOLVED, RESOLVED)
        last[key] = status


def test_what_ended_before_it_could_be_told_is_told_with_its_end() -> None:
    known = {("all", "a"): Telling(subject("a"), AT)}
    assert told(known=known, at=AT + timedelta(days=3)) == [("all", FIRING, "a")]
    assert told(known={("all", "a"): Telling(subject("a"), AT, AT)}) == [("all", RESOLVED, "a")]


def test_what_is_owed_is_owed_no_more_under_a_silence_and_kept_until_its_source_has_spoken() -> None:
    silence = Silence("s", equal({"plugin": "csv"}), AT, AT + timedelta(hours=1), "ann", "known")
    item, known = subject("a"), {("all", "a"): Telling(subject("a"), AT)}
    quiet = Known({"a": item}, (JUDGING,), known, (ALL,), (silence,))
    assert owing(quiet, due(quiet, AT), AT) == {}
    starting = Known({}, (), known, (ALL,), ())
    assert owing(starting, due(starting, AT), AT) == known


def test_what_a_person_gave_up_is_told_again_only_when_there_is_more_to_say() -> None:
    item = subject("a")
    after = given_up({("all", "a"): Telling(item, AT)}, ("all", "a"), "ann")
    assert told(item, known=after, at=AT + timedelta(days=3)) == []
    assert told(known=after) == [], "nor its end"
    assert told(subject("a", summary="and more"), known=after, at=AT + UPDATE) == [("all", FIRING, "a")]
    ending = settled(Known({}, (JUDGING,), {("all", "a"): Telling(item, AT, AT)}, (ALL,), ()), {}, AT)
    assert given_up(ending, ("all", "a"), "ann") == {}


def test_what_a_receiver_knows_is_read_back_as_it_was_kept() -> None:
    item = Telling(
        subject("a", started_at=AT + timedelta(microseconds=1500)), AT, AT, Ending(AT, "released", "ann", "enough", AT)
    )
    key = ("all", "a")
    row = row_of(key, item)
    assert telling_in(row) == (key, item)
    assert telling_in(replace(row, subject="{}")) is None
    assert telling_in(replace(row, subject='{"key": "f"}')) is None
