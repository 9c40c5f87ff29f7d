"""An Alertmanager ends what it does not hear of: what lasts is told again, whatever keeps it from people here."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from plugwarden_collector.announce.message import FIRING, Known, Message, Telling
from plugwarden_collector.announce.pipeline import due
from plugwarden_collector.announce.receivers.alertmanager import LASTS
from plugwarden_collector.announce.subject import Subject
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.matcher import equal
from plugwarden_collector.rules.file import parse_rules
from plugwarden_collector.rules.receiver import Receiver

from tests.collector.support.played_fleet import AT

RULES = """[[slo]]
name = "a"
objective = 0.99
[[receiver]]
name = "am"
kind = "alertmanager"
url = "http://a:9093"
[[receiver]]
name = "hook"
url = "http://b/"
"""
SUBJECT = Subject("a-1", {"alertname": "x", "severity": "page", "plugin": "csv"}, "it fails", "", AT)
SPEAKER = replace(SUBJECT, key="q-1")
SILENCE = Silence("s", equal({"plugin": "csv"}), AT, AT + timedelta(days=1), "ann", "known")
KEPT_FROM_PEOPLE: dict[str, dict[str, Any]] = {
    "on its way to its end": {"subject": replace(SUBJECT, quiet=True)},
    "silenced": {"subject": SUBJECT, "silences": [SILENCE]},
    "covered": {"subject": replace(SUBJECT, speaker="q-1"), "besides": [SPEAKER]},
}


def told_to(receivers: tuple[Receiver, ...], at: datetime, subject: Subject, **more: Any) -> list[str]:
    subjects = [subject, *more.get("besides", ())]
    tellings = {(item.name, each.key): Telling(each, AT, AT) for item in receivers for each in subjects}
    active = {item.key: item for item in subjects}
    known = Known(active, {"judging"}, tellings, receivers, more.get("silences", []))
    return [item.receiver for item in due(known, at) if item.subject.key == subject.key]


@pytest.mark.parametrize("why", KEPT_FROM_PEOPLE)
def test_what_lasts_is_told_again_before_an_alertmanager_ends_it(why: str) -> None:
    """Before, it sent people an end of what still failed, 15 minutes after it was told last."""
    receivers = parse_rules(RULES, "rules.toml").receivers
    assert told_to(receivers, AT + LASTS / 2, **KEPT_FROM_PEOPLE[why]) == ["am"]
    assert told_to(receivers, AT + timedelta(seconds=1), **KEPT_FROM_PEOPLE[why]) == []


@pytest.mark.parametrize("why", KEPT_FROM_PEOPLE)
def test_what_it_was_never_told_it_is_not_told_either(why: str) -> None:
    receivers, given = parse_rules(RULES, "rules.toml").receivers, KEPT_FROM_PEOPLE[why]
    subject = given["subject"]
    told = {(item.name, other.key): Telling(other, AT, AT) for item in receivers for other in given.get("besides", ())}
    active = {item.key: item for item in (subject, *given.get("besides", ()))}
    known = Known(active, {"judging"}, told, receivers, given.get("silences", []))
    assert Message("am", FIRING, subject).key not in {item.key for item in due(known, AT + timedelta(minutes=1))}
