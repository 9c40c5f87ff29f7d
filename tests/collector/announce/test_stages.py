"""Stages one by one: each takes messages away, or puts them in order, and knows nothing of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.announce.message import FIRING, RESOLVED, Ending, Known, Message, Telling
from plugwarden_collector.announce.notice import Notice
from plugwarden_collector.announce.pipeline import STAGES, due
from plugwarden_collector.announce.stages.acknowledge import acknowledge
from plugwarden_collector.announce.stages.dedup import UPDATE, dedup
from plugwarden_collector.announce.stages.group import MAX_MESSAGES, group, group_labels
from plugwarden_collector.announce.stages.inhibit import inhibit
from plugwarden_collector.announce.stages.mute import mute
from plugwarden_collector.announce.stages.retry import (
    AWAY_SECONDS,
    MAX_AT_ONCE,
    REFUSED_SECONDS,
    Attempts,
    retry,
)
from plugwarden_collector.announce.stages.route import route
from plugwarden_collector.announce.subject import Subject
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.matcher import equal
from plugwarden_collector.rules.receiver import Receiver

from tests.collector.support.played_fleet import AT

ALL, PAGER = Receiver("all", "http://a/"), Receiver("pager", "http://b/", ("page",))
SILENCE = Silence("s", equal({"plugin": "csv"}), AT, AT + timedelta(hours=1), "ann", "known")


def subject(key: str = "a", severity: str = "page", **more: Any) -> Subject:
    return replace(Subject(key, {"alertname": "x", "severity": severity, "plugin": "csv"}, "it fails", "", AT), **more)


def message(key: str = "a", status: str = FIRING, receiver: str = "all", **more: Any) -> Message:
    return Message(receiver, status, subject(key, **more), Ending(AT) if status == RESOLVED else None)


def notices(keys: str) -> list[Notice]:
    return [Notice("all", key, {}, (message(key),), AT) for key in keys]


def known(*messages: Message, told: Sequence[Message] = (), silences: Sequence[Silence] = ()) -> Known:
    active = {item.subject.key: item.subject for item in messages if item.status == FIRING}
    return Known(
        active, (), {item.key: Telling(item.subject, AT, AT, item.ended) for item in told}, (ALL, PAGER), silences
    )


def test_route_gives_each_receiver_the_severities_that_it_asked_for() -> None:
    items = [
        message("a", receiver="pager"),
        message("b", receiver="pager", severity="ticket"),
        message("b", severity="ticket"),
    ]
    assert [item.key for item in route(items, known(*items), AT)] == [("pager", "a"), ("all", "b")]


def test_mute_takes_away_what_a_silence_covers_while_it_does() -> None:
    item = message()
    assert mute([item], known(item, silences=[SILENCE]), AT) == []
    assert mute([item], known(item, silences=[SILENCE]), SILENCE.ends_at) == [item]


def test_inhibit_takes_away_what_another_message_to_the_same_receiver_speaks_for() -> None:
    spoken, speaker, elsewhere = message("a", speaker="q"), message("q"), message("q", receiver="pager")
    assert inhibit([spoken, speaker], known(spoken, speaker), AT) == [speaker]
    assert inhibit([spoken, elsewhere], known(spoken, elsewhere), AT) == [spoken, elsewhere]
    assert inhibit([spoken], known(spoken, speaker, told=[speaker]), AT) == [], "it was told of the speaker before"
    assert inhibit([spoken], known(spoken, told=[speaker]), AT) == [spoken], "the speaker has ended"


def test_dedup_takes_away_what_was_told_until_there_is_more_to_say() -> None:
    item, wider = message(), message(summary="and more")
    assert dedup([item], known(item, told=[item]), AT + UPDATE) == []
    assert dedup([wider], known(wider, told=[item]), AT) == []
    assert dedup([wider], known(wider, told=[item]), AT + UPDATE) == [wider]
    assert dedup([message(quiet=True)], known(item), AT) == []


def test_what_is_owed_is_due_until_it_is_taken_and_what_is_told_after_a_long_while() -> None:
    item = message()
    owing = replace(known(item), tellings={item.key: Telling(item.subject, AT)})
    assert dedup([message(quiet=True)], owing, AT) == [message(quiet=True)], "it began, and nobody was told"
    assert dedup([item], known(item, told=[item]), AT + ALL.repeat) == [item]
    assert dedup([item], known(item, told=[item]), AT + ALL.repeat - timedelta(seconds=1)) == []
    given_up = replace(known(item), tellings={item.key: Telling(item.subject, AT, given_up_by="ann")})
    assert dedup([item], given_up, AT + 2 * ALL.repeat) == []
    assert dedup([message(summary="and more")], given_up, AT + UPDATE) == [message(summary="and more")]


def test_running_numbers_of_a_condition_are_no_news_and_names_are() -> None:
    """Before, each report of anything told again that a receiver is away, for some minutes more."""
    said = subject("c-untold", summary="1 receiver took nothing that they are owed: 'pager' for 1.2 min")
    last = {("all", "c-untold"): Telling(said, AT, AT)}
    later = AT + 2 * UPDATE

    def told(summary: str) -> bool:
        item = Message("all", FIRING, replace(said, summary=summary))
        return bool(dedup([item], replace(known(item), tellings=last), later))

    assert not told("1 receiver took nothing that they are owed: 'pager' for 3.5 h")
    assert told("2 receivers took nothing that they are owed: 'chat' for 2 min, 'pager' for 3.5 h")
    quarantine = message("q-1", summary="csv is quarantined by automation again, 2 times by now: it fails")
    before = {
        quarantine.key: Telling(
            replace(quarantine.subject, summary="csv is quarantined by automation: it fails"), AT, AT
        )
    }
    assert dedup([quarantine], replace(known(quarantine), tellings=before), later) == [quarantine]


def test_who_knows_of_something_is_told_when_a_person_must_decide() -> None:
    """Before, an acknowledgement hid that a quarantine came again, and that nobody but a person ends it."""
    first = subject("q-1", done="Its calls are refused.", until="12:00", known_until=AT + timedelta(days=7))
    told = {("all", "q-1"): Telling(first, AT, AT)}
    again = Message("all", FIRING, replace(first, summary="again", until="a person decides"))
    same = Message("all", FIRING, replace(first, summary="it burns 14.5 times too fast"))
    assert acknowledge([again, same], replace(known(again), tellings=told), AT) == [again]


def test_pages_go_first() -> None:
    items = [message("t", severity="ticket"), message("b", started_at=AT + timedelta(seconds=1)), message("a")]
    looked_at = replace(known(*items), receivers=(ALL,))
    assert [item.subject.key for item in due(looked_at, AT)] == ["a", "b", "t"]


def test_group_names_what_belongs_together() -> None:
    assert group_labels({"plugin": "csv", "version": "1"}) == {"plugin": "csv"}
    assert group_labels({"component": "collector", "severity": "page"}) == {"component": "collector"}
    assert group_labels({"plugin": "csv", "version": "1"}, ("version",)) == {"version": "1"}


def test_without_group_by_each_is_told_by_itself_and_at_once() -> None:
    items = [message("a"), message("b")]
    assert [item.keys for item in group(items, known(*items), AT)] == ["a", "b"]


def test_a_group_waits_for_its_members_and_then_for_its_interval() -> None:
    by_plugin = replace(ALL, group_by=("plugin",))
    items = [message("a"), message("b")]
    owed = {item.key: Telling(item.subject, AT) for item in items}
    looked_at = replace(known(*items), receivers=(by_plugin,), tellings=owed)
    assert group(items, looked_at, AT + timedelta(seconds=29)) == []
    (both,) = group(items, looked_at, AT + timedelta(seconds=30))
    assert (both.keys, both.labels, both.status) == ("a b", {"plugin": "csv"}, FIRING)
    told = {item.key: Telling(item.subject, AT, AT) for item in items}
    later = message("c")
    after = replace(looked_at, active={**looked_at.active, "c": later.subject}, tellings=told)
    assert group([later], after, AT + timedelta(seconds=299)) == []
    (all_three,) = group([later], after, AT + timedelta(seconds=300))
    assert all_three.keys == "c a b", "with what is held for open, so that the group is told as it is"
    end = Message("all", RESOLVED, items[0].subject, Ending(AT))
    ending = replace(after, tellings={**told, items[0].key: replace(told[items[0].key], ended=Ending(AT))})
    (mixed,) = group([end], ending, AT + timedelta(seconds=300))
    assert (mixed.status, [item.status for item in mixed.messages]) == (FIRING, [RESOLVED, FIRING])


def test_a_group_of_very_many_goes_in_several_notices() -> None:
    by_plugin = replace(ALL, group_by=("plugin",), group_wait=timedelta(0))
    items = [message(f"a{number:03}") for number in range(MAX_MESSAGES + 1)]
    found = group(items, replace(known(*items), receivers=(by_plugin,)), AT)
    assert [len(item.messages) for item in found] == [MAX_MESSAGES, 1]


def test_what_did_not_fit_into_a_notice_is_told_at_once() -> None:
    """Before, each hundred of a group waited for the interval: the last of a thousand was told after 45 minutes."""
    by_plugin = replace(ALL, group_by=("plugin",))
    items, told_at = [message("a"), message("b"), message("c")], AT + timedelta(seconds=30)
    tellings = {
        items[0].key: Telling(items[0].subject, AT, told_at),
        items[1].key: Telling(items[1].subject, AT),
        items[2].key: Telling(items[2].subject, told_at + timedelta(seconds=1)),
    }
    looked_at = replace(known(*items), receivers=(by_plugin,), tellings=tellings)
    (rest,) = group(items, looked_at, told_at + timedelta(seconds=2))
    assert rest.keys == "b a", "what came after the notice waits, and so does the repetition; a is told for open"
    apart = replace(looked_at, apart={("all", rest.group)})
    (alone,) = group(items, apart, told_at + timedelta(seconds=2))
    assert (alone.keys, alone.first) == ("b", True), "nothing was told of it before"
    found = group(items, apart, told_at + by_plugin.group_interval)
    assert [(item.keys, item.first) for item in found] == [("a", False), ("b", True), ("c", True)]


def test_a_group_that_begins_anew_says_so() -> None:
    by_plugin = replace(ALL, group_by=("plugin",), group_wait=timedelta(0))
    item = message("a")
    begun = [
        group([item], replace(known(item), receivers=(by_plugin,), tellings={item.key: Telling(item.subject, at)}), at)
        for at in (AT, AT + timedelta(days=1))
    ]
    assert [found.begun for (found,) in begun] == [AT, AT + timedelta(days=1)]


class Read(dict[str, str]):
    """Labels that know how often any of them were read."""

    times = 0

    def __getitem__(self, name: str) -> str:
        Read.times += 1
        return super().__getitem__(name)


def test_many_groups_are_told_apart_by_one_look_at_each_subject() -> None:
    """Before, each group looked at all that a receiver holds: 2,000 took six seconds of the loop that takes telemetry."""
    many = [subject(str(number), labels=Read(severity="page", plugin=str(number))) for number in range(300)]
    receiver = replace(ALL, group_by=("plugin",))
    tellings = {("all", item.key): Telling(item, AT) for item in many}
    here = Known({item.key: item for item in many}, {"judging"}, tellings, [receiver], [])
    Read.times = 0
    assert len(group([Message("all", FIRING, item) for item in many], here, AT + receiver.group_wait)) == 300
    assert Read.times < 10 * 300


@pytest.mark.parametrize("stage", STAGES)
def test_an_end_passes_every_stage(stage: Any) -> None:
    end = message(status=RESOLVED, severity="ticket", receiver="pager", speaker="q", quiet=True)
    looked_at = known(message("q", receiver="pager"), told=[end], silences=[SILENCE])
    assert stage([end], looked_at, AT) == [end]


MESSAGES = st.lists(
    st.builds(
        message,
        st.sampled_from("abc"),
        st.sampled_from([FIRING, RESOLVED]),
        st.sampled_from(["all", "pager"]),
        severity=st.sampled_from(["page", "ticket"]),
        speaker=st.sampled_from([None, "a", "q"]),
    ),
    max_size=8,
)


@pytest.mark.parametrize("stage", STAGES)
@given(items=MESSAGES, silent=st.booleans())
def test_a_stage_makes_nothing_up_and_is_content_with_what_it_let_go_on(
    stage: Any, items: list[Message], silent: bool
) -> None:
    looked_at = known(*items, silences=[SILENCE] if silent else [])
    before = list(items)
    after = stage(items, looked_at, AT)
    assert items == before
    assert all(item in items for item in after)
    if stage is not inhibit:  # without its speaker, what was spoken for may speak itself
        assert stage(after, looked_at, AT) == after


def test_a_receiver_that_is_away_is_asked_with_one_message_another_each_time() -> None:
    attempts, now, asked = Attempts(), 0.0, []
    waiting = notices("abc")
    assert len(retry(waiting, attempts, now)) == 3
    for _ in range(12):
        found = retry(waiting, attempts, now)
        asked += [item.group for item in found]
        for item in found:
            attempts = attempts.begun(item.group)
        assert attempts.failures == 0 or retry(waiting, attempts, now) == []
        for item in found:
            attempts = attempts.missed(item.group, now)
        assert retry(waiting, attempts, now) == []
        assert attempts.not_before - now <= AWAY_SECONDS
        now = attempts.not_before
    assert set(asked[3:6]) == set("abc")
    assert attempts.delivered("a").failures == 0


def test_the_first_that_a_receiver_takes_again_lets_all_go_that_it_missed() -> None:
    """Four under way when it goes away: each waits for its own time after that, up to an hour, though others are taken."""
    waiting, attempts, now = notices("abcd"), Attempts(), 0.0
    for item in waiting:
        attempts = attempts.begun(item.group)
    for item in waiting:
        attempts = attempts.missed(item.group, now)
    while now < 3_600.0:
        now = attempts.not_before
        (asked,) = retry(waiting, attempts, now)
        attempts = attempts.begun(asked.group).missed(asked.group, now)
    now = attempts.not_before
    (asked,) = retry(waiting, attempts, now)
    attempts = attempts.begun(asked.group).delivered(asked.group)
    left = [item for item in waiting if item is not asked]
    assert retry(left, attempts, now) == left, "at once, and no more at once than ever"
    assert max(attempts.offered_at(item.group) for item in left) <= now


def test_what_a_receiver_refused_waits_for_its_own_time_when_others_are_taken() -> None:
    attempts = Attempts()
    for _ in range(5):
        attempts = attempts.begun("a").refused("a", 0.0)
    attempts = attempts.begun("b").missed("b", 0.0).begun("b").delivered("b")
    assert attempts.offered_at("a") == 32.0


@pytest.mark.parametrize("order", ["took first", "took last"])
def test_a_receiver_that_asks_to_be_left_alone_is_though_it_takes_what_was_on_its_way(order: str) -> None:
    attempts = Attempts().begun("a").begun("b").begun("c")
    if order == "took first":
        attempts = attempts.delivered("b").missed("a", 0.0, 30.0)
    else:
        attempts = attempts.missed("a", 0.0, 30.0).delivered("b")
    attempts = attempts.missed("c", 1.0)
    assert retry(notices("acd"), attempts, 29.0) == []
    assert [item.group for item in retry(notices("acd"), attempts, 31.0)] == ["d"]


def test_no_more_than_a_few_are_under_way_to_a_receiver() -> None:
    waiting, attempts = notices("abcdefg"), Attempts()
    for item in retry(waiting, attempts, 0.0):
        attempts = attempts.begun(item.group)
    assert len(attempts.under_way) == MAX_AT_ONCE
    assert retry(waiting, attempts, 0.0) == []
    assert [item.group for item in retry(waiting, attempts.delivered("b"), 0.0)] == ["b"]


def test_a_receiver_may_be_away_or_refuse_for_months() -> None:
    away = refusing = Attempts()
    for _ in range(3_000):
        away, refusing = away.missed("a", 0.0), refusing.refused("a", 0.0)
    assert away.not_before == AWAY_SECONDS
    assert refusing.failed["a"].not_before == REFUSED_SECONDS
    assert (away.of("a"), refusing.of("a")) == (3_000, 3_000)


def test_what_waits_no_more_is_forgotten() -> None:
    attempts = Attempts().missed("a", 0.0).missed("b", 0.0)
    assert attempts.keeping({"b"}).of("a") == 0
    assert attempts.keeping({"b"}).of("b") == 1


def test_a_receiver_that_asks_to_be_left_alone_is() -> None:
    assert Attempts().missed("a", 0.0, 30.0).not_before == 30.0
    assert Attempts().missed("a", 0.0, 1e9).not_before == 3600.0
