"""`plugwarden doctor` names what is wrong and what to do next, whatever it is."""

from __future__ import annotations

import json
import time
from pathlib import Path

from plugwarden import Sidecar

from tests.collector.conftest import Running, running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.own_health import conditions, post
from tests.collector.support.still_clock import StillClock


def test_a_collector_with_a_sidecar_is_well(collector: Running, sidecar: Sidecar) -> None:
    call = sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")
    call()
    assert sidecar.flush()
    for _ in range(200):
        if collector.api.get("status")["listeners"] and collector.api.get("status")["data_age_seconds"] is not None:
            break
        time.sleep(0.05)
    collector.collector.health.look()
    answer = plugwarden("doctor", "--json", url=collector.url)
    checks = json.loads(answer.stdout)
    assert [item for item in checks if not item["ok"]] == []
    assert answer.returncode == 0
    assert checks[-1]["check"] == "collector is well"
    table = plugwarden("doctor", url=collector.url)
    assert table.returncode == 0
    assert "NOT OK" not in table.stdout
    assert all(len(line) <= 80 for line in table.stdout.splitlines())


def test_no_collector_is_a_finding_with_a_next_step() -> None:
    answer = plugwarden("doctor", "--json")
    (check,) = json.loads(answer.stdout)
    assert (answer.returncode, check["ok"]) == (1, False)
    assert "plugwarden up" in check["next_step"]


def test_a_token_that_is_missing_is_a_finding_with_a_next_step(tmp_path: Path) -> None:
    with running(tmp_path / "data", token="0123456789abcdef0123") as collector:
        answer = plugwarden("doctor", "--json", url=collector.url)
    (check,) = json.loads(answer.stdout)
    assert answer.returncode == 1
    assert "PLUGWARDEN_TOKEN" in check["next_step"]


def test_a_condition_that_fires_is_named_with_its_next_step(tmp_path: Path, clock: StillClock) -> None:
    with running(tmp_path / "data", clock=clock) as collector:
        for _ in range(4):
            assert post(collector, "a") == 200
            clock.move(10)
        clock.move(60)
        assert conditions(collector)["no_telemetry"] == "firing"
        answer = plugwarden("doctor", url=collector.url)
        assert answer.returncode == 1
        assert "No telemetry arrives (firing)" in answer.stdout
        assert "next: Check that hosts run" in answer.stdout
