"""What happens to deliveries when the disk is full, the rules change meanwhile, a second collector starts, and who may not acts."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from plugwarden_collector.api.client import CollectorClient
from plugwarden_collector.command.processes import collector_command

from tests.collector.conftest import RULES, running
from tests.collector.support.moody_hook import FAILS, HANGS, TAKES, MoodyHook
from tests.collector.support.still_clock import StillClock
from tests.collector.support.waiting import eventually


@pytest.fixture
def hook() -> Iterator[MoodyHook]:
    found = MoodyHook()
    yield found
    found.stop()


def command_for(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a collector on a folder."""
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    command = collector_command("--data", str(folder / "data"), "--rules", str(folder / "rules.toml"), *free)
    return command, {**os.environ, "PLUGWARDEN_AUDIT_KEY_FILE": str(folder / "key/audit.key")}


def write_rules(folder: Path, **receivers: str) -> Path:
    """Rules with receivers of such names and addresses."""
    path = folder / "rules.toml"
    tables = (f'[[receiver]]\nname = "{name}"\nurl = "{url}"\n' for name, url in receivers.items())
    path.write_text(f"{RULES}\n{''.join(tables)}")
    return path


@contextmanager
def collector(folder: Path) -> Iterator[tuple[CollectorClient, int]]:
    """A collector in a process of its own, which is killed at the end."""
    command, environ = command_for(folder)
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            api = CollectorClient(f"http://{json.loads(process.stdout.readline())['api']}")
            yield api, process.pid
            api.close()
        finally:
            process.send_signal(signal.SIGKILL)


def test_on_a_full_disk_people_are_told_and_a_kill_loses_no_attempt(tmp_path: Path, hook: MoodyHook) -> None:
    hook.moods = (FAILS,)
    write_rules(tmp_path, hook=hook.url)
    with collector(tmp_path) as (api, process):
        held = api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        eventually(lambda: hook.heard)
        log = max(file.stat().st_size for file in (tmp_path / "data").glob("*.duckdb.wal*"))
        resource.prlimit(process, resource.RLIMIT_FSIZE, (log, resource.RLIM_INFINITY))
        hook.moods = (TAKES,)
        eventually(lambda: hook.taken, timeout=60)
    assert hook.taken[-1].body["alerts"][0]["labels"]["quarantine"] == held["id"]
    with collector(tmp_path) as (api, _):
        heard = {item.attempt for item in hook.heard}
        rows = "select id, status, body ->> '$.status' as told from notifications"
        log_rows = eventually(lambda: [*api.query(rows).to_pylist()], timeout=60)
        assert heard <= {row["id"] for row in log_rows}
        lost = next(row for row in log_rows if row["id"] == hook.taken[0].attempt)
        assert (lost["status"], lost["told"]) == ("begun", "firing")


def test_rules_that_are_read_again_in_the_middle_of_a_delivery_lose_and_repeat_nothing(
    tmp_path: Path, hook: MoodyHook
) -> None:
    hook.moods, other = (HANGS,), MoodyHook()
    write_rules(tmp_path, hook=hook.url)
    with collector(tmp_path) as (api, process):
        held = api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        eventually(lambda: hook.heard)
        write_rules(tmp_path, hook=hook.url, other=other.url)
        os.kill(process, signal.SIGHUP)
        eventually(lambda: other.taken)
        hook.moods = (TAKES,)
        eventually(lambda: hook.taken, timeout=60)
        eventually(lambda: not api.get("notifications")["owed"])
        heard = {item.attempt for item in (*hook.heard, *other.heard)}
        assert heard <= {item["id"] for item in api.get("notifications")["attempts"]}
    for told in (hook, other):
        assert [item.body["alerts"][0]["labels"]["quarantine"] for item in told.taken] == [held["id"]]
    other.stop()


def test_a_receiver_that_is_renamed_is_told_what_lasts_and_what_was_over_is_given_up_on_record(
    tmp_path: Path, hook: MoodyHook
) -> None:
    hook.moods = (FAILS,)
    write_rules(tmp_path, hook=hook.url)
    with collector(tmp_path) as (api, process):
        lasts = api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        over = api.post("quarantine", {"force": True, "plugin": "geo", "reason": "by hand"})
        api.post(f"quarantine/{over['id']}/release", {"reason": "enough"})
        eventually(lambda: len({item["fingerprint"] for item in api.get("notifications")["owed"]}) == 2)
        hook.moods = (TAKES,)
        write_rules(tmp_path, renamed=hook.url)
        os.kill(process, signal.SIGHUP)
        eventually(lambda: [item for item in hook.taken if item.body["receiver"] == "renamed"])
        eventually(lambda: not api.get("notifications")["owed"])
        (entry,) = (row for row in api.get("audit", stream="decisions") if row["kind"] == "given_up")
        assert (entry["scope"], entry["reason"]) == ("receiver hook", "the receiver is not in the rules")
        assert set(entry["evidence"]["fingerprints"]) <= {lasts["id"], over["id"]}
        rows = api.get("notifications")["attempts"]
        gone = {row["fingerprint"] for row in rows if row["status"] == "given_up" and row["receiver"] == "hook"}
        assert gone == set(entry["evidence"]["fingerprints"])
    told = [item.body["alerts"][0]["labels"]["quarantine"] for item in hook.taken if item.body["receiver"] == "renamed"]
    assert told == [lasts["id"]]


def test_a_second_collector_on_one_store_does_not_start_and_tells_nobody(tmp_path: Path, hook: MoodyHook) -> None:
    write_rules(tmp_path, hook=hook.url)
    with collector(tmp_path) as (api, _):
        command, environ = command_for(tmp_path)
        second = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode != 0
        assert "another process has it open" in second.stderr
        api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        eventually(lambda: hook.taken)
        eventually(lambda: not api.get("notifications")["owed"])
    assert len(hook.taken) == 1


def test_a_token_that_may_only_read_silences_acknowledges_and_gives_up_nothing_and_that_is_on_record(
    tmp_path: Path, hook: MoodyHook
) -> None:
    hook.moods = (FAILS,)
    tokens = tmp_path / "tokens"
    tokens.write_text(f"looker read {'r' * 32}\n")
    tokens.chmod(0o600)
    rules = write_rules(tmp_path, hook=hook.url)
    with running(tmp_path / "data", rules, token="t" * 32, PLUGWARDEN_TOKENS_FILE=str(tokens)) as found:
        held = found.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        eventually(lambda: found.api.get("notifications")["owed"])
        acts = {
            "silences": {"matchers": {"plugin": "csv"}, "seconds": 600, "comment": "known"},
            "acknowledgements": {"subject": held["id"], "seconds": 600, "reason": "known"},
            "notifications/give-up": {"receiver": "hook", "reason": "enough"},
        }
        for path, body in acts.items():
            headers = {"authorization": f"Bearer {'r' * 32}"}
            answer = httpx2.post(f"{found.url}/api/v1/{path}", json=body, headers=headers)
            assert (path, answer.status_code) == (path, 403)
        assert found.api.get("notifications")["owed"]
        assert found.api.get("silences") == []
        expected = {("looker", f"POST /api/v1/{path}") for path in acts}

        def refused() -> set[tuple[str, str]]:
            rows = found.api.get("audit", stream="access")
            return {(row["actor"], row["scope"]) for row in rows if row["kind"] == "refused"}

        eventually(lambda: refused() == expected)


def test_a_clock_that_is_set_back_puts_nothing_off_and_repeats_nothing(tmp_path: Path, hook: MoodyHook) -> None:
    clock = StillClock()
    rules = write_rules(tmp_path, hook=hook.url)
    rules.write_text(f'{rules.read_text()}group_by = []\ngroup_wait = "30s"\n')
    with running(tmp_path / "data", rules, clock=clock) as found:
        held = found.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        eventually(lambda: found.api.get("notifications")["owed"])
        clock.move(-3600)
        back = "select count(*) from tellings where due_at <= $at::timestamp"
        eventually(lambda: found.scalar(back, at=clock().isoformat()))
        clock.move(31)
        eventually(lambda: hook.taken)
        eventually(lambda: not found.api.get("notifications")["owed"])
        clock.move(600)
        found.api.post(f"quarantine/{held['id']}/release", {"reason": "enough"})
        eventually(lambda: len(hook.taken) == 2)
        eventually(lambda: found.scalar("select count(*) from tellings") == 0)
    assert [item.body["status"] for item in hook.taken] == ["firing", "resolved"]
