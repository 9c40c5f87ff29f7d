"""Who must be told what: nothing that fails stays untold, and nobody is told twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.announce.message import FIRING, RESOLVED, Known, Message, Told
from plugwarden_collector.announce.pipeline import due
from plugwarden_collector.announce.receivers.webhook import payload, subject_in
from plugwarden_collector.announce.stages.dedup import UPDATE
from plugwarden_collector.announce.subject import HEALTH, JUDGING, Subject, subjects_of
from plugwarden_collector.cycle import evaluate
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.file import Receiver
from plugwarden_collector.rules.policy import Enforcement, Policy

from tests.collector.conftest import RULES as RULES_TEXT
from tests.collector.conftest import running
from tests.collector.cycle.test_cycle import AT, RULES, seen
from tests.collector.cycle.test_cycle import Known as Evidence

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
    silence = Silence("s", {"plugin": "csv"}, AT, AT + timedelta(hours=1), "ann", "known")
    assert told(subject("a"), silences=(silence,)) == []
    assert told(subject("a"), silences=(silence,), at=AT + timedelta(hours=1)) == [("all", FIRING, "a")]


def test_an_end_is_told_under_a_silence_too() -> None:
    silence = Silence("s", {"plugin": "csv"}, AT, AT + timedelta(hours=1), "ann", "known")
    assert told(known={("all", "a"): Told(AT, subject("a"))}, silences=(silence,)) == [("all", RESOLVED, "a")]


def test_whoever_is_told_of_the_speaker_need_not_be_told_of_what_it_speaks_for() -> None:
    spoken = subject("a", speaker="q-1")
    assert told(spoken, subject("q-1"), receivers=(ALL,)) == [("all", FIRING, "q-1")]
    assert told(spoken) == [("all", FIRING, "a")], "the speaker has ended"
    person = subject("q-1", "ticket")
    assert told(spoken, person, receivers=(PAGER,)) == [("pager", FIRING, "a")], "the pager is not told of the speaker"


def test_a_silence_on_the_speaker_does_not_silence_what_it_speaks_for() -> None:
    speaker = subject("q-1", labels={"alertname": "plugin quarantined", "severity": "page"})
    silence = Silence("s", {"alertname": "plugin quarantined"}, AT, AT + timedelta(hours=1), "ann", "known")
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
                    silent[key] = Silence(key, {"alertname": key}, AT, AT + timedelta(days=1), "", "")
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


# -- what there is to tell --------------------------------------------------------------------------------------------


def names(standing: Standing) -> set[tuple[str, str]]:
    return {(item.labels["alertname"], item.severity) for item in subjects_of(standing) if item.speaker is None}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (Enforcement.OBSERVE, "availability budget burn"),
        (Enforcement.SUGGEST, "quarantine suggested"),
        (Enforcement.ENFORCE, "plugin quarantined"),
    ],
)
def test_a_failing_plugin_pages_whatever_the_policy(how: Enforcement, said: str) -> None:
    standing = Standing()
    rules = replace(RULES, policy=Policy(how))
    standing, _ = evaluate(rules, standing, seen({("csv", "2"): 50}), Evidence(), lambda: 0.0)
    assert (said, "page") in names(standing)
    page = next(item for item in subjects_of(standing) if item.severity == "page" and item.labels["alertname"] == said)
    assert (page.labels["plugin"], page.labels["version"]) == ("csv", "2")


def test_a_shared_cause_is_one_page() -> None:
    standing = Standing()
    standing, _ = evaluate(
        RULES, standing, seen({(f"p{number}", "1"): 50 for number in range(4)}, running=8), Evidence(), lambda: 0.0
    )
    assert names(standing) == {("shared cause", "page")}


def test_a_plugin_that_fails_on_when_the_others_are_well_is_told_by_itself() -> None:
    standing, known = Standing(), Evidence()
    bad = {(f"p{number}", "1"): 50 for number in range(3)}
    standing, _ = evaluate(RULES, standing, seen(bad, running=8), known, lambda: 0.0)
    for second in range(1, 200):
        well = {**dict.fromkeys(bad, 0), ("p0", "1"): 50}
        standing, _ = evaluate(
            RULES, standing, seen(well, running=8, at=AT + timedelta(seconds=second)), known, lambda: 0.0
        )
    assert {item.labels["plugin"] for item in subjects_of(standing) if item.labels["severity"] == "page" and not item.speaker
            and "plugin" in item.labels} == {"p0"}  # fmt: skip


def test_a_quarantine_that_does_not_help_speaks_for_nothing() -> None:
    standing, known = Standing(), Evidence()
    for second in range(0, 60, 10):
        standing, _ = evaluate(
            RULES, standing, seen({("csv", "2"): 50}, at=AT + timedelta(seconds=second)), known, lambda: 0.0
        )
        told_of_itself = ("availability budget burn", "page") in names(standing)
        assert told_of_itself == (second > 35), f"after {second} s"


def quarantine(**more: Any) -> Quarantine:
    item = Quarantine(
        "q-1", Scope("csv", "2"), QuarantineState.QUARANTINED, "it fails", "automation", Enforcement.ENFORCE, AT, AT
    )
    return replace(item, **more)


def summaries(item: Quarantine) -> list[str]:
    return [found.summary for found in subjects_of(Standing(quarantines={item.id: item}))]


def test_each_turn_of_a_quarantine_that_people_must_know_of_says_something_new() -> None:
    first = summaries(quarantine())
    again = summaries(quarantine(repeats=1))
    stuck = summaries(
        quarantine(state=QuarantineState.PROBATION, evidence={"inconclusive": AT.isoformat()}, successor_of="q-0")
    )
    assert first == ["csv@2 is quarantined by automation: it fails"]
    assert again == ["csv@2 is quarantined by automation again, 2 times by now: it fails"]
    assert stuck[0].startswith("A person must decide on csv@2")
    assert summaries(quarantine(state=QuarantineState.PROBATION)) == first, "probation by itself is no news"
    assert summaries(quarantine(ended_at=AT)) == []
    assert summaries(quarantine(superseded_by="3")) == []
    assert summaries(quarantine(state=QuarantineState.PROBATION, successor_of="q-0")) == []


def test_a_message_is_read_back_as_what_was_told() -> None:
    item = subject("a", started_at=AT + timedelta(microseconds=1500))
    body = json.dumps(payload(Message("all", FIRING, item), AT))
    found = subject_in(body)
    assert found is not None
    assert told(item, known={("all", "a"): Told(AT, found)}) == []
    assert subject_in("{}") is None
    assert subject_in("[1") is None


# -- delivering -------------------------------------------------------------------------------------------------------


class Hook(ThreadingHTTPServer):
    """A receiver that can be away, and come back at the same place."""

    def __init__(self, port: int = 0) -> None:
        self.got: list[tuple[str, dict[str, str]]] = []
        super().__init__(("127.0.0.1", port), HookHandler)
        Thread(target=self.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class HookHandler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.got.append((body["status"], body["alerts"][0]["labels"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()
    yield found
    found.stop()


def eventually(look: Callable[[], Any]) -> Any:
    for _ in range(400):
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def rules_for(folder: Path, port: int) -> Path:
    path = folder / "rules.toml"
    path.write_text(f'{RULES_TEXT}\n[[receiver]]\nname = "hook"\nurl = "http://127.0.0.1:{port}/"\n')
    return path


def test_what_a_receiver_missed_is_told_once_after_a_restart_and_ends_there(tmp_path: Path, hook: Hook) -> None:
    port = hook.server_port
    rules = rules_for(tmp_path, port)
    hook.stop()
    with running(tmp_path / "data", rules) as first:
        held = first.api.post("quarantine", {"plugin": "csv", "reason": "by hand"})
        eventually(lambda: first.scalar("select count(*) from notifications where status = 'failed'"))
    back = Hook(port)
    try:
        with running(tmp_path / "data", rules) as second:
            eventually(lambda: back.got)
            eventually(lambda: second.scalar("select count(*) from notifications where status = 'sent'"))
        with running(tmp_path / "data", rules) as third:
            third.api.post(f"quarantine/{held['id']}/release", {"reason": "enough"})
            eventually(lambda: len(back.got) > 1)
        assert [(status, labels["quarantine"]) for status, labels in back.got] == [
            ("firing", held["id"]), ("resolved", held["id"]),
        ]  # fmt: skip
    finally:
        back.stop()


def test_a_silence_by_the_name_of_an_alert_holds_for_as_long_as_it_lasts(tmp_path: Path, hook: Hook) -> None:
    with running(tmp_path / "data", rules_for(tmp_path, hook.server_port)) as collector:
        body = {"matchers": {"alertname": "plugin quarantined"}, "seconds": 600, "comment": "known"}
        silence = collector.api.post("silences", body)
        collector.api.post("quarantine", {"plugin": "csv", "reason": "by hand"})
        time.sleep(1.5)
        assert hook.got == []
        collector.api.post(f"silences/{silence['id']}/end", {"reason": "enough"})
        eventually(lambda: hook.got)
        assert collector.scalar("select count(*) from notifications") <= 1
