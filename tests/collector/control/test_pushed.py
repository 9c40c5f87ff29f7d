"""A whole collector follows pushed alerts, over a restart, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
from plugwarden import Sidecar

from tests.collector.conftest import RULES, Running, running
from tests.collector.support.waiting import eventually

POLICY = """
[[policy.pushed]]
name = "slow"
matchers = ["alertname=Slow"]
enforcement = "enforce"
"""
ALERT: dict[str, Any] = {"labels": {"alertname": "Slow", "plugin_id": "csv", "plugin_version": "1"}}


def push(collector: Running, **more: str) -> None:
    assert httpx2.post(f"{collector.url}/api/v2/alerts", json=[{**ALERT, **more}]).status_code == 200


def state(collector: Running) -> str | None:
    return next((row["state"] for row in collector.api.get("quarantine") if row["plugin_id"] == "csv"), None)


def test_an_alert_isolates_over_a_restart_until_it_is_over(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES.replace('hold = "1h"', 'hold = "1s"') + POLICY)
    with running(tmp_path / "data", rules) as first:
        sidecar = Sidecar(service="host", endpoint=first.http, export_interval_seconds=0.2)
        sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")()
        sidecar.close(5)
        push(first, endsAt="2999-01-01T00:00:00Z")
        eventually(lambda: state(first) == "quarantined")
    with running(tmp_path / "data", rules) as second:
        seen = second.collector.warden.stats.ticks
        eventually(lambda: second.collector.warden.stats.ticks > seen + 3)
        assert state(second) == "quarantined", "the hold is over, the alert is not"
        push(second, endsAt="2026-01-01T00:00:00Z")
        eventually(lambda: state(second) == "probation")
        kinds = [row["kind"] for row in second.api.get("audit", stream="decisions")]
        assert kinds[:3] == ["probation", "alert_over", "quarantined"]
        assert second.api.get("audit/verify")["valid"]
