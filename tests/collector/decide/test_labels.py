"""Labels are one thing: a silence by any of them silences, wherever one looks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.announce.message import FIRING, Known, Message
from plugwarden_collector.announce.notice import Notice
from plugwarden_collector.announce.pipeline import due
from plugwarden_collector.announce.receivers.sender import Occasion
from plugwarden_collector.announce.receivers.webhook import payload
from plugwarden_collector.announce.subject import JUDGING, Subject, subject_of_alert, subjects_of
from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState
from plugwarden_collector.decide.labels import LABELS, labels_of
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.silence import SILENCE_ENDS, Silence
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.matcher import equal
from plugwarden_collector.rules.policy import Enforcement
from plugwarden_collector.rules.receiver import Receiver

from tests.collector.conftest import running
from tests.collector.support.played_fleet import AT

FIRES = Alert("a-1", AlertState.FIRING, firing_at=AT)
RECORD = AlertRecord(FIRES, "availability budget burn", "page", "availability", "csv", "2", "it fails", "", AT)
CONDITION = replace(
    RECORD,
    alert=replace(FIRES, fingerprint="c-disk"),
    name="Disk",
    slo="",
    plugin="",
    version="",
    component="collector",
)
WIDE = Scope("csv", "2", operation="export", instance="i", tenant="acme")
ISOLATED = Quarantine("q-1", WIDE, QuarantineState.QUARANTINED, "it fails", "ann", Enforcement.ENFORCE, AT, AT)
SHARED = Incident("i-1", "downstream:db", "db is slow", ("csv", "geo"), AT)
STANDING = Standing(alerts={"a-1": RECORD}, quarantines={"q-1": ISOLATED}, incidents={"i-1": SHARED})
QUIET = Silence("s-1", equal({"plugin": "csv"}), AT - timedelta(hours=1), AT + timedelta(minutes=1), "ann", "known")
SUBJECTS = [
    *subjects_of(STANDING),
    subject_of_alert(CONDITION),
    *(item for item in subjects_of(replace(STANDING, silences=(QUIET,))) if "silence" in item.labels),
]


def muted(subject: Subject, label: str) -> bool:
    silence = Silence("s", equal({label: subject.labels[label]}), AT, AT + timedelta(hours=1), "ann", "known")
    return not due(Known({subject.key: subject}, (JUDGING,), {}, (Receiver("all", "http://a/"),), (silence,)), AT)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda item: item.key)
def test_a_silence_by_any_label_silences(subject: Subject) -> None:
    assert {"alertname", "severity"} <= subject.labels.keys()
    can_be = subject.labels["alertname"] != SILENCE_ENDS  # two silences would hide each other's
    assert all(muted(subject, label) is can_be for label in subject.labels)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda item: item.key)
def test_receivers_are_told_the_labels_that_silences_match(subject: Subject) -> None:
    body = payload(Notice("all", "g", {}, (Message("all", FIRING, subject),), AT), Occasion(AT))
    assert body["alerts"][0]["labels"] == body["commonLabels"] == subject.labels


def test_every_label_is_known_and_documented() -> None:
    assert {label for subject in SUBJECTS for label in subject.labels} == set(LABELS)
    with pytest.raises(ValueError, match="flavour: no such label"):
        labels_of("x", "page", flavour="sour")
    page = (Path(__file__).parents[3] / "docs/how-to/rules.md").read_text("utf-8")
    sentence = re.search(r"The labels are .*?A silence matches any of them\.", page, re.DOTALL)
    assert sentence is not None
    named = {name for name in re.findall(r"`(\w+)`", sentence[0]) if name not in {"page", "ticket"}}
    assert named == set(LABELS)


def test_alerts_of_a_store_of_before_are_shown_with_the_labels_that_silences_match(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        own: dict[str, Any] = {"plugin": "csv", "version": "2", "slo": "availability", "severity": "page"}
        row = [
            "a-1", RECORD.name, "page", "inactive", "availability", "csv", "2", json.dumps(own), "it failed", "", None, None, AT,
            AT, None, "plugwarden", "{}",
        ]  # fmt: skip
        marks = ", ".join("?" * len(row))
        collector.collector.writer.run(
            lambda connection: connection.execute(f"insert into alerts values ({marks})", row)
        ).result(10)
        silence = collector.api.post(
            "silences", {"matchers": {"alertname": RECORD.name}, "seconds": 60, "comment": "known"}
        )
        (alert,) = collector.api.get("alerts")["alerts"]
        assert alert["labels"] == RECORD.labels()
        assert alert["silenced_by"] == silence["id"]
