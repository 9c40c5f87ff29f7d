"""Debian's amtool reads alerts and makes, lists, changes and ends silences here."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.collector.conftest import Running, running

AMTOOL = shutil.which("amtool")


def amtool(collector: Running, *arguments: str) -> str:
    """What it prints."""
    command = [str(AMTOOL), "--no-version-check", f"--alertmanager.url={collector.url}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(collector: Running, *arguments: str) -> str:
    """What it prints of a refusal."""
    command = [str(AMTOOL), "--no-version-check", f"--alertmanager.url={collector.url}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0, done.stdout
    return done.stderr


def listed(collector: Running, *arguments: str) -> Any:
    """What it prints as JSON."""
    return json.loads(amtool(collector, "-o", "json", *arguments))


@pytest.mark.e2e
@pytest.mark.skipif(AMTOOL is None, reason="amtool is not installed (Debian: apt install prometheus-alertmanager)")
def test_amtool_works_against_us(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(
        '[[slo]]\nname = "a"\nobjective = 0.99\n\n[[receiver]]\nname = "pager"\nurl = "http://127.0.0.1:9/"\n'
    )
    with running(tmp_path / "data", rules, judging=False) as collector:
        held = collector.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "it leaks"})
        pushed = [{"labels": {"alertname": "HostDown", "host": "h1"}}]
        assert httpx2.post(f"{collector.url}/api/v2/alerts", json=pushed).status_code == 200
        assert {item["labels"]["alertname"] for item in listed(collector, "alert", "query")} == {
            "plugin quarantined",
            "HostDown",
        }
        (found,) = listed(collector, "alert", "query", "plugin=~c.*")
        assert (found["fingerprint"], found["status"]["state"], found["receivers"]) == (
            held["id"],
            "active",
            [{"name": "pager"}],
        )
        identity = amtool(
            collector, "silence", "add", "-a", "ann", "-d", "1h", "-c", "a test", "plugin=csv", "tenant!=x"
        ).strip()
        (row,) = listed(collector, "silence", "query")
        assert (row["id"], row["status"]["state"], row["comment"]) == (identity, "active", "a test")
        assert {(item["name"], item["value"], item["isEqual"]) for item in row["matchers"]} == {
            ("plugin", "csv", True),
            ("tenant", "x", False),
        }
        assert listed(collector, "alert", "query", "plugin=csv") == []
        (found,) = listed(collector, "alert", "query", "--silenced", "plugin=csv")
        assert found["status"] == {"state": "suppressed", "silencedBy": [identity], "inhibitedBy": []}
        updated = amtool(collector, "silence", "update", "-d", "3h", identity)
        assert identity in updated
        assert listed(collector, "silence", "query")[0]["endsAt"] > row["endsAt"]
        amtool(collector, "silence", "expire", identity)
        assert listed(collector, "silence", "query") == []
        assert [item["id"] for item in listed(collector, "silence", "query", "--expired", "--within", "1h")] == [
            identity
        ]
        assert "pager" in amtool(collector, "config", "show")
        assert "disabled" in amtool(collector, "cluster", "show")
        groups = httpx2.get(f"{collector.url}/api/v2/alerts/groups").json()
        assert [(item["labels"], item["receiver"]) for item in groups] == [({"plugin": "csv"}, {"name": "pager"})]
        kinds = [item["kind"] for item in collector.api.get("audit", stream="decisions")]
        assert kinds == ["unsilenced", "extended", "silenced", "quarantined"]
        assert httpx2.get(f"{collector.url}/api/v2/alerts", params={"filter": "nonsense"}).status_code == 400
        add = ("silence", "add", "-a", "ann", "plugin=csv")
        assert "a silence lasts 31 days at most" in refused(collector, *add, "-c", "a test", "-d", "40d")
        assert "body.comment: String should have at most" in refused(collector, *add, "-d", "1h", "-c", "x" * 5000)
        assert "receiver" in refused(collector, "alert", "query", "--receiver", "(")
