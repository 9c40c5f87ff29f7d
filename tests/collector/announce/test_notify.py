"""Delivery to real receivers: they may be away, fail, hang or answer a byte at a time, and the collector may stop."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plugwarden_collector.announce import attempt
from plugwarden_collector.announce.receivers import post
from plugwarden_collector.health import conditions, watch
from plugwarden_collector.store import notes

from tests.collector.conftest import RULES as RULES_TEXT
from tests.collector.conftest import Running, running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.moody_hook import DRIPS, FAILS, HANGS, REFUSES, TAKES, MoodyHook
from tests.collector.support.still_clock import StillClock
from tests.collector.support.waiting import eventually

LOG = "select id, status, error, finished_at is not null as finished from notifications order by time, id"


@pytest.fixture
def hook() -> Iterator[MoodyHook]:
    found = MoodyHook()
    yield found
    found.stop()


def rules_for(folder: Path, port: int) -> Path:
    path = folder / "rules.toml"
    path.write_text(f'{RULES_TEXT}\n[[receiver]]\nname = "hook"\nurl = "http://127.0.0.1:{port}/"\n')
    return path


def told(hook: MoodyHook) -> list[tuple[str, str, str]]:
    """Status, quarantine and description of all that was taken."""
    alerts = [(item.body["status"], item.body["alerts"][0]) for item in hook.taken]
    return [(status, alert["labels"]["quarantine"], alert["annotations"]["description"]) for status, alert in alerts]


def nothing_owed(collector: Running) -> bool:
    return collector.scalar("select count(*) from tellings where told_at is null or ended is not null") == 0


def test_what_a_receiver_missed_is_told_once_after_a_restart_and_ends_there(tmp_path: Path, hook: MoodyHook) -> None:
    port = hook.server_port
    rules = rules_for(tmp_path, port)
    hook.stop()
    with running(tmp_path / "data", rules) as first:
        held = first.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        eventually(lambda: first.scalar("select count(*) from notifications where status = 'failed'"))
    back = MoodyHook(port=port)
    try:
        with running(tmp_path / "data", rules) as second:
            eventually(lambda: back.taken)
            eventually(lambda: second.scalar("select count(*) from notifications where status = 'sent'"))
        with running(tmp_path / "data", rules) as third:
            third.api.post(f"quarantine/{held['id']}/release", {"reason": "enough", "actor": "ann"})
            eventually(lambda: len(back.taken) > 1)
            eventually(lambda: nothing_owed(third))
        assert [(status, quarantine) for status, quarantine, _ in told(back)] == [
            ("firing", held["id"]), ("resolved", held["id"]),
        ]  # fmt: skip
        assert "enough" in told(back)[1][2]
        assert "released by local operator" in told(back)[1][2]
    finally:
        back.stop()


def test_what_begins_and_ends_while_a_receiver_is_away_is_told_with_its_end(tmp_path: Path, hook: MoodyHook) -> None:
    port = hook.server_port
    rules = rules_for(tmp_path, port)
    hook.stop()
    with running(tmp_path / "data", rules) as first:
        held = first.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        first.api.post(f"quarantine/{held['id']}/release", {"reason": "enough"})
        eventually(lambda: first.scalar("select count(*) from tellings where ended is not null"))
    back = MoodyHook(port=port)
    try:
        with running(tmp_path / "data", rules) as second:
            eventually(lambda: len(back.taken) == 2)
            eventually(lambda: second.scalar("select count(*) from tellings") == 0)
        assert [(status, quarantine) for status, quarantine, _ in told(back)] == [
            ("firing", held["id"]), ("resolved", held["id"]),
        ]  # fmt: skip
        assert all("enough" in text for _, _, text in told(back)), "the beginning says that it is over"
    finally:
        back.stop()


@pytest.mark.parametrize(
    ("mood", "error"),
    [
        (FAILS, "the receiver answered 503"), (REFUSES, "the receiver answered 400"),
        (HANGS, "no answer within 0.2 s"), (DRIPS, "no answer within 0.3 s"),
    ],
)  # fmt: skip
def test_every_attempt_at_a_receiver_in_trouble_is_a_row_with_its_result(
    mood: str, error: str, tmp_path: Path, hook: MoodyHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "TIMEOUT_SECONDS", 5.0 if mood == DRIPS else 0.2)
    monkeypatch.setattr(post, "WHOLE_SECONDS", 0.3)
    hook.moods = (mood,)
    with running(tmp_path / "data", rules_for(tmp_path, hook.server_port)) as collector:
        collector.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        eventually(lambda: collector.scalar("select count(*) from notifications where status = 'failed'") >= 2)
        hook.moods = (TAKES,)
        eventually(lambda: nothing_owed(collector), timeout=40)
        log = collector.api.query(LOG).to_pylist()
        assert [row["status"] for row in log] == ["failed"] * (len(log) - 1) + ["sent"]
        assert all(row["finished"] for row in log)
        assert all(row["error"].startswith(error) for row in log[:-1])
        assert {item.attempt for item in hook.heard} <= {row["id"] for row in log}
        assert len(hook.taken) == 1


def test_people_are_told_though_the_store_takes_no_record_and_the_record_follows(
    tmp_path: Path, hook: MoodyHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "RECORD_SECONDS", 0.1)
    monkeypatch.setattr(notes, "RETRY_SECONDS", 0.05)
    with running(tmp_path / "data", rules_for(tmp_path, hook.server_port)) as collector:
        writer = collector.collector.writer
        writer.run(lambda connection: connection.execute("alter table notifications rename to away")).result(30)
        collector.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        eventually(lambda: hook.taken)
        writer.run(lambda connection: connection.execute("alter table away rename to notifications")).result(30)
        count = "select count(*) from notifications where status = 'sent'"
        eventually(lambda: writer.run(lambda connection: connection.execute(count).fetchall()).result(30) == [(1,)])


def test_a_receiver_that_leaves_the_rules_is_owed_nothing_and_the_log_says_so(tmp_path: Path, hook: MoodyHook) -> None:
    rules = rules_for(tmp_path, hook.server_port)
    hook.moods = (FAILS,)
    with running(tmp_path / "data", rules) as first:
        first.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        eventually(lambda: first.scalar("select count(*) from notifications where status = 'failed'"))
    rules.write_text(RULES_TEXT)
    with running(tmp_path / "data", rules) as second:
        eventually(lambda: second.scalar("select count(*) from tellings") == 0)
        sql = "select error, body::varchar as body from notifications where status = 'given_up'"
        (row,) = eventually(lambda: second.api.query(sql).to_pylist())
        assert row["error"] == "the receiver is not in the rules"
        entries = [item for item in second.api.get("audit", stream="decisions") if item["kind"] == "given_up"]
        assert [item["scope"] for item in entries] == ["receiver hook"]
        assert json.loads(row["body"])["status"] == "firing"


def test_a_silence_by_the_name_of_an_alert_holds_for_as_long_as_it_lasts(tmp_path: Path, hook: MoodyHook) -> None:
    with running(tmp_path / "data", rules_for(tmp_path, hook.server_port)) as collector:
        body: dict[str, Any] = {
            "matchers": {"alertname": "plugin quarantined"}, "seconds": 600, "comment": "known",
        }  # fmt: skip
        silence = collector.api.post("silences", body)
        collector.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        time.sleep(1.5)
        assert hook.heard == []
        collector.api.post(f"silences/{silence['id']}/end", {"reason": "enough"})
        eventually(lambda: hook.taken)
        assert collector.scalar("select count(*) from notifications") <= 1


@pytest.mark.parametrize("ended", ["by a person", "by time", "while the collector was down"])
def test_what_a_silence_hid_is_told_when_it_ends_over_a_restart(tmp_path: Path, hook: MoodyHook, ended: str) -> None:
    rules, clock = rules_for(tmp_path, hook.server_port), StillClock()
    with running(tmp_path / "data", rules, clock=clock) as first:
        body: dict[str, Any] = {"matchers": {"plugin": "csv"}, "seconds": 600, "comment": "known"}
        silence = first.api.post("silences", body)
        held = first.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        first.api.post("quarantine", {"force": True, "plugin": "geo", "reason": "by hand"})
        eventually(lambda: hook.taken)
        eventually(lambda: nothing_owed(first))
    if ended == "while the collector was down":
        clock.move(601)
    with running(tmp_path / "data", rules, clock=clock) as second:
        if ended == "by a person":
            second.api.post(f"silences/{silence['id']}/end", {"reason": "enough"})
        elif ended == "by time":
            clock.move(601)
        eventually(lambda: [status for status, quarantine, _ in told(hook) if quarantine == held["id"]])
        eventually(lambda: nothing_owed(second))
    assert [status for status, quarantine, _ in told(hook) if quarantine == held["id"]] == ["firing"]
    assert len(told(hook)) == 2, "what was told before is not told again"


def test_what_a_receiver_is_owed_is_listed_until_a_person_gives_it_up(tmp_path: Path, hook: MoodyHook) -> None:
    hook.moods = (FAILS,)
    with running(tmp_path / "data", rules_for(tmp_path, hook.server_port)) as collector:
        held = collector.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        other = collector.api.post("quarantine", {"force": True, "plugin": "geo", "reason": "by hand"})
        collector.api.post(f"quarantine/{held['id']}/release", {"reason": "enough"})
        eventually(lambda: collector.scalar("select count(*) from notifications where status = 'failed'"))
        found = collector.api.get("notifications")
        assert {(item["receiver"], item["fingerprint"], item["status"]) for item in found["owed"]} == {
            ("hook", held["id"], "firing"), ("hook", other["id"], "firing"),
        }  # fmt: skip
        assert {item["status"] for item in found["attempts"]} <= {"begun", "failed"}
        listed = plugwarden("notifications", url=collector.url).stdout
        assert held["id"] in listed
        assert "the receiver answered 503" in " ".join(listed.split())
        nobody = plugwarden("notifications", "give-up", "nobody", "--reason", "a test", url=collector.url)
        assert nobody.returncode == 1
        assert "'nobody' is not owed anything" in nobody.stderr
        one = plugwarden("notifications", "give-up", "hook", held["id"], "--reason", "a test", url=collector.url)
        assert one.stdout == "hook is not told of 1 subject any more\n"
        answer = collector.api.post("notifications/give-up", {"receiver": "hook", "reason": "its channel is gone"})
        assert answer["fingerprints"] == [other["id"]]
        assert collector.api.get("notifications")["owed"] == []
        log = collector.api.get("audit", stream="decisions")
        assert [row["scope"] for row in log if row["kind"] == "given_up"] == ["receiver hook"] * 2
        sql = "select count(*) from notifications where status = 'given_up' and error like 'given up by local operator: %'"
        eventually(lambda: collector.scalar(sql) == 2)
        hook.moods = (TAKES,)
        collector.api.post(f"quarantine/{other['id']}/release", {"reason": "enough"})
        eventually(lambda: collector.scalar("select count(*) from tellings") == 0)
        assert hook.taken == [], "neither the beginning nor the end of what was given up"


def test_that_a_receiver_takes_nothing_is_told_to_the_others(
    tmp_path: Path, hook: MoodyHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "UNTOLD_SECONDS", 0.5)
    monkeypatch.setattr(watch, "EVERY_SECONDS", 0.2)
    hook.moods = (FAILS,)
    well = MoodyHook()
    rules = rules_for(tmp_path, hook.server_port)
    rules.write_text(f'{rules.read_text()}[[receiver]]\nname = "well"\nurl = "{well.url}"\n')
    with running(tmp_path / "data", rules) as collector:
        collector.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        eventually(lambda: "receiver_untold" in str([item.body for item in well.taken]))
        assert "'hook' for" in str([item.body for item in well.taken])
    well.stop()
