"""A suggestion from the first failure to the refused call: a receiver hears of it, a person approves or declines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plugwarden import PluginQuarantined, Sidecar
from plugwarden_collector.api.client import ApiError

from tests.collector.conftest import RULES, Running, running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.hooks import Hook
from tests.collector.support.waiting import eventually, while_calling


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()
    yield found
    found.stop()


@pytest.fixture
def suggesting(tmp_path: Path, hook: Hook) -> Iterator[Running]:
    path = tmp_path / "rules.toml"
    text = RULES.replace('"enforce"', '"suggest"')
    path.write_text(f'{text}\n[[receiver]]\nname = "hook"\nurl = "{hook.url}"\n')
    with running(tmp_path / "data", path) as found:
        yield found


def fail() -> None:
    raise OSError("disk")


def suggestion(collector: Running, sidecar: Sidecar) -> Any:
    bad = sidecar.wrap(fail, plugin="csv", version="2", operation="x", breaker=False)
    good = sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")

    def calls() -> None:
        good()
        with pytest.raises(OSError):
            bad()

    return while_calling(calls, lambda: next(iter(collector.api.get("quarantine")), None))


def told(hook: Hook, name: str, status: str = "firing") -> list[dict[str, Any]]:
    entries = [entry for item in list(hook.got) for entry in item.body["alerts"]]
    return [entry for entry in entries if (entry["labels"]["alertname"], entry["status"]) == (name, status)]


def refused(call: Any) -> bool:
    try:
        call()
    except PluginQuarantined:
        return True
    except OSError:
        pass
    return False


def sidecar_of(collector: Running) -> Sidecar:
    return Sidecar(service="host", endpoint=collector.http, collector_url=collector.url, export_interval_seconds=0.2)


def run(collector: Running, *arguments: str) -> subprocess.CompletedProcess[str]:
    return plugwarden(*arguments, url=collector.url)


def test_a_person_who_is_told_of_a_suggestion_approves_it_and_every_host_obeys(suggesting: Running, hook: Hook) -> None:
    sidecar = sidecar_of(suggesting)
    try:
        item = suggestion(suggesting, sidecar)
        assert (item["state"], item["enforcement"]) == ("degraded", "suggest")
        page = eventually(lambda: told(hook, "quarantine suggested"))[0]
        assert f"plugwarden approve {item['id']} --reason" in page["annotations"]["description"]
        assert page["labels"]["severity"] == "page"
        answer = run(suggesting, "approve", item["id"], "--reason", "so it is", "--actor", "ann", "--json")
        approved = json.loads(answer.stdout)
        assert (approved["scope"], approved["state"]) == ("csv@2", "quarantined")
        bad = sidecar.wrap(fail, plugin="csv", version="2", operation="x", breaker=False)
        eventually(lambda: refused(bad))
        eventually(lambda: told(hook, "quarantine suggested", "resolved"))
        begun = eventually(lambda: told(hook, "plugin quarantined"))[0]
        assert "approved by" in begun["annotations"]["summary"]
        now = next(row for row in suggesting.api.get("quarantine") if row["id"] == approved["id"])
        assert now["actor"] == "automation"
        assert now["evidence"]["suggestion"] == item["id"]
        assert set(item["evidence"]) <= set(now["evidence"]), "the automation's evidence is kept"
        assert now["hold_until"] is not None
        with pytest.raises(ApiError, match="ended at"):
            suggesting.api.post(f"quarantine/{item['id']}/approve", {"reason": "once more"})
        (decision,) = [row for row in suggesting.api.get("audit") if row["kind"] == "approved"]
        assert (decision["says"], decision["reason"]) == ("ann", "so it is")
    finally:
        sidecar.close(timeout=10)


def test_a_suggestion_that_is_declined_is_not_made_again_for_as_long_as_the_person_said(
    suggesting: Running, hook: Hook
) -> None:
    sidecar = sidecar_of(suggesting)
    try:
        item = suggestion(suggesting, sidecar)
        answer = run(suggesting, "decline", item["id"], "--reason", "a known blip", "--for", "2h")
        assert (answer.returncode, answer.stderr) == (0, "")
        assert "csv@2 stays in service" in answer.stdout
        bad = sidecar.wrap(fail, plugin="csv", version="2", operation="x", breaker=False, fallback=lambda: None)
        log = while_calling(bad, lambda: [row for row in suggesting.api.get("audit") if row["kind"] == "prevented"])
        assert "declined it at" in log[0]["reason"]
        assert "a person's decision stands until" in log[0]["reason"]
        assert [row["id"] for row in suggesting.api.get("quarantine")] == [item["id"]]
        eventually(lambda: told(hook, "quarantine suggested", "resolved"))
    finally:
        sidecar.close(timeout=10)


@pytest.mark.parametrize(("length", "code"), [("8d", 1), ("soon", 2)])
def test_a_length_that_cannot_be_is_refused(shared: Running, length: str, code: int) -> None:
    held = shared.api.post("quarantine", {"force": True, "plugin": f"csv-{length}", "reason": "by hand"})
    answer = run(shared, "release", held["id"], "--reason", "enough", "--for", length)
    assert answer.returncode == code
    assert len(answer.stderr.splitlines()) == 1
