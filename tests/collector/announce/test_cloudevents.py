"""Events of transitions: what one reads like, and in which order a receiver gets them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.announce.event import Event
from plugwarden_collector.announce.progress import MAX_AHEAD, Progress, ready
from plugwarden_collector.announce.receivers.cloudevents import (
    MAX_EVIDENCE_BYTES,
    event_of,
    source_of_events,
)
from plugwarden_collector.announce.stages.retry import RESOLVED_FOR
from plugwarden_collector.store.ledger_rows import DecisionRow

from tests.collector.support.stores import AT

SOURCE = source_of_events("6e8bc4309c3a11d99669080020 0c9a66".replace(" ", ""))
ROW = DecisionRow(
    7, AT, "quarantined", "automation", "csv@2", "q-1", "enforce", "it fails", {"errors": {"OSError": 9}}, "0" * 64,
    "f" * 64, None, None,
)  # fmt: skip


def body_of(row: DecisionRow) -> dict[str, Any]:
    found = event_of(row, SOURCE)
    assert found is not None
    body: dict[str, Any] = json.loads(found.body)
    return body


@pytest.mark.parametrize(
    ("kind", "identity", "type_", "subject"),
    [
        ("quarantined", "q-1", "dev.plugwarden.quarantine.quarantined", "csv@2"),
        ("approved", "q-2", "dev.plugwarden.quarantine.approved", "csv@2"),
        ("prevented", None, "dev.plugwarden.quarantine.prevented", "csv@2"),
        ("common_cause", "i-1", "dev.plugwarden.incident.common_cause", "i-1"),
        ("silenced", "s-1", "dev.plugwarden.silence.silenced", "s-1"),
        ("frozen", None, "dev.plugwarden.automation.frozen", "csv@2"),
    ],
)
def test_an_event_has_what_the_specification_asks_for(
    kind: str, identity: str | None, type_: str, subject: str
) -> None:
    body = body_of(replace(ROW, kind=kind, quarantine_id=identity))
    # Required: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#required-attributes
    assert body["specversion"] == "1.0"
    assert (body["type"], body["subject"]) == (type_, subject)
    assert body["id"]
    assert urlsplit(body["source"]).scheme == "urn"
    assert datetime.fromisoformat(body["time"]).utcoffset() == timedelta(0)
    assert body["datacontenttype"] == "application/json"
    assert body["data"]["reason"] == "it fails"
    for name, value in body.items():
        assert re.fullmatch("[a-z0-9]{1,20}", name), "names of attributes"
        assert name == "data" or (isinstance(value, str) and value), "all of ours are texts"


@pytest.mark.parametrize("kind", ["rules_loaded", "clock_adopted", "break_accepted", "key_replaced"])
def test_what_is_no_transition_is_no_event(kind: str) -> None:
    assert event_of(replace(ROW, kind=kind, quarantine_id=None), SOURCE) is None


def test_a_repetition_is_known_by_source_and_id_and_order_by_a_text() -> None:
    assert event_of(ROW, SOURCE) == event_of(ROW, SOURCE)
    assert body_of(ROW)["id"] != body_of(replace(ROW, sequence=8))["id"]
    assert body_of(replace(ROW, sequence=9))["sequence"] < body_of(replace(ROW, sequence=10))["sequence"]


def test_evidence_that_is_large_is_cut_and_what_is_left_out_is_named() -> None:
    evidence = {"cells": list(range(1000)), "blob": "x" * 100_000, "why": "it fails"}
    found = body_of(replace(ROW, evidence=evidence))["data"]["evidence"]
    assert found == {"cells": list(range(10)), "why": "it fails", "left_out": ["blob"]}
    assert len(json.dumps(body_of(replace(ROW, evidence=evidence)))) < 2 * MAX_EVIDENCE_BYTES


def event(sequence: int, subject: str = "csv@2") -> Event:
    return Event(sequence, subject, "{}")


def following(progress: Progress, now: float = 0.0) -> int | None:
    found = ready(progress, now)
    return None if found is None else found.sequence


def test_events_go_one_at_a_time_in_the_order_of_the_log() -> None:
    progress = Progress(0).read([event(1), event(2), event(3, "geo@1")], 4)
    for number in (1, 2, 3):
        assert following(progress) == number
        assert progress.sent_to == number - 1
        found = progress.waiting[0]
        progress = progress.begun(found)
        assert following(progress) is None
        progress = progress.taken(found)
    assert progress.sent_to == 4, "what is no event is over too"


def test_a_receiver_that_is_away_loses_nothing() -> None:
    progress, now = Progress(0).read([event(1), event(2, "geo@1")], 2), 0.0
    for _ in range(200):
        now = max(now, progress.attempts.not_before)
        found = ready(progress, now)
        assert found is not None
        progress = progress.begun(found).missed(found, now)
        assert not progress.gives_up(found, AT + timedelta(days=300))
    assert (len(progress.waiting), progress.sent_to) == (2, 0)


def test_an_event_that_is_refused_holds_back_its_own_subject_alone_and_for_an_hour() -> None:
    progress = Progress(0).read([event(1), event(2), event(3, "geo@1")], 3)
    progress = progress.begun(event(1)).refused(event(1), 0.0, AT)
    assert following(progress) == 3
    assert progress.taken(event(3, "geo@1")).sent_to == 0
    assert not progress.gives_up(event(1), AT + RESOLVED_FOR - timedelta(seconds=1))
    later = AT + RESOLVED_FOR
    progress = progress.refused(event(1), 1.0, later)
    assert progress.gives_up(event(1), later)
    progress = progress.given_up(event(1))
    assert following(progress) == 2
    assert progress.refused(event(2), 2.0, later).gives_up(event(2), later), "it was refused for an hour on end"
    assert not progress.taken(event(2)).gives_up(event(2), later)


@given(
    st.lists(st.sampled_from("abc"), max_size=30),
    st.lists(st.sampled_from(["taken", "missed", "refused", "restart"]), max_size=60),
)
def test_whatever_happens_every_event_arrives_and_those_of_one_subject_in_order(
    subjects: list[str], steps: list[str]
) -> None:
    log = [event(number, subject) for number, subject in enumerate(subjects, 1)]
    progress, now = Progress(0).read(log, len(log)), 0.0
    got: list[Event] = []
    for what in [*steps, *["taken"] * (2 * len(log))]:
        now = max(now + 400.0, progress.attempts.not_before)
        if what == "restart":
            progress = Progress(progress.sent_to).read(log[progress.sent_to :], len(log))
            continue
        chosen = ready(progress, now)
        if chosen is None:
            continue
        progress = progress.begun(chosen)
        if what == "taken":
            got.append(chosen)
            progress = progress.taken(chosen)
        elif what == "refused":
            progress = progress.refused(chosen, now, AT)
        else:
            progress = progress.missed(chosen, now)
    assert set(got) == set(log)
    for subject in set(subjects):
        first = list(dict.fromkeys(item.sequence for item in got if item.subject == subject))
        assert first == sorted(first), "the first time that each arrived"
    assert progress.room == MAX_AHEAD
