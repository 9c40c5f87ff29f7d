"""`plugwarden quarantine --drain`: no call begins any more, those that run are let end, and the command waits for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from threading import Event, Thread

from plugwarden import PluginQuarantined, Sidecar

from tests.collector.conftest import Running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.waiting import eventually


def test_a_scope_has_drained_once_its_last_call_has_ended(collector: Running, sidecar: Sidecar) -> None:
    inside, go_on = Event(), Event()

    def work() -> str:
        inside.set()
        assert go_on.wait(60)
        return "ran to its end"

    call = sidecar.wrap(work, plugin="csv", version="1", operation="x")
    ended: list[str] = []
    thread = Thread(target=lambda: ended.append(call()))
    thread.start()
    assert inside.wait(30)
    sidecar.flush()
    eventually(lambda: collector.api.get("quarantine/forecast", plugin="csv")["running"])

    early = plugwarden("quarantine", "csv", "--reason", "drain it", "--drain", "--timeout", "0s", url=collector.url)
    assert early.returncode == 1
    assert "csv is isolated, and after" in early.stderr
    (held,) = collector.api.get("quarantine")

    def running() -> dict[str, int]:
        (found,) = collector.api.get("quarantine/running")
        assert found["id"] == held["id"]
        return dict(found)

    eventually(lambda: (running()["running"], running()["not_obeying"], running()["drained"]) == (1, 0, False))
    collector.api.post(f"quarantine/{held['id']}/release", {"reason": "once more"})
    environ = {**os.environ, "PLUGWARDEN_COLLECTOR_URL": collector.url, "PYTHONWARNINGS": "ignore"}
    command = [
        sys.executable,
        "-m",
        "plugwarden_collector",
        "quarantine",
        "csv",
        "--reason",
        "drain it",
        "--drain",
        "--json",
    ]
    waits = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    eventually(lambda: [row for row in collector.api.get("quarantine/running") if row["not_obeying"] == 0])
    assert waits.poll() is None, "a call still runs"
    try:
        call()
        raise AssertionError("it began although it is isolated")
    except PluginQuarantined:
        pass
    go_on.set()
    thread.join(30)
    assert ended == ["ran to its end"], "isolated, and let end"
    out, _ = waits.communicate(timeout=60)
    assert waits.returncode == 0
    assert {key: json.loads(out)[key] for key in ("running", "hosts", "drained")} == {
        "running": 0, "hosts": 1, "drained": True,
    }  # fmt: skip
