"""A disk that takes nothing more while people are told: they are told, and no kill loses the attempts."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from plugwarden_collector.api.client import CollectorClient
from plugwarden_collector.command.processes import collector_command

from tests.collector.conftest import RULES
from tests.collector.support.moody_hook import FAILS, TAKES, MoodyHook
from tests.collector.support.waiting import eventually


@pytest.fixture
def hook() -> Iterator[MoodyHook]:
    found = MoodyHook()
    yield found
    found.stop()


@contextmanager
def collector(folder: Path) -> Iterator[tuple[CollectorClient, int]]:
    """A collector in a process of its own, which is killed at the end."""
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    command = collector_command("--data", str(folder / "data"), "--rules", str(folder / "rules.toml"), *free)
    environ = {**os.environ, "PLUGWARDEN_AUDIT_KEY_FILE": str(folder / "key/audit.key")}
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
    (tmp_path / "rules.toml").write_text(f'{RULES}\n[[receiver]]\nname = "hook"\nurl = "{hook.url}"\n')
    with collector(tmp_path) as (api, process):
        held = api.post("quarantine", {"plugin": "csv", "reason": "by hand"})
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
