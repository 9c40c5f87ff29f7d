"""A collector that starts again goes on where it was: what was said is not said again, and what was suspected lately still is."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from plugwarden.contract import Scope
from plugwarden_collector.cycle.causes import LINGER
from plugwarden_collector.cycle.quarantines import SUSPECTED_FOR
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.noted import SUSPECTED
from plugwarden_collector.decide.standing import Incident, Standing

from tests.collector.conftest import Running, running
from tests.collector.support.failing_plugin import entries, fail, failing_until, rules_for
from tests.collector.support.still_clock import StillClock
from tests.collector.support.suggested import suggested
from tests.collector.support.waiting import eventually


def seen_again(collector: Running) -> bool:
    """Let calls fail until the collector noticed them after its start."""
    before = max(collector.collector.warden.standing.noted.values())
    eventually(
        lambda: (fail(collector), max(collector.collector.warden.standing.noted.values()) > before)[1], timeout=30
    )
    return True


@pytest.mark.parametrize(("enforcement", "kind"), [("observe", "would_quarantine"), ("enforce", "prevented")])
def test_what_was_said_before_a_restart_is_not_said_again(tmp_path: Path, enforcement: str, kind: str) -> None:
    file = rules_for(tmp_path, enforcement, actions=0)
    with running(tmp_path / "data", file) as collector:
        said = failing_until(collector, kind)
    with running(tmp_path / "data", file) as collector:
        assert seen_again(collector)
        assert entries(collector, kind) == said


def test_a_suggestion_is_over_after_a_restart_when_it_would_have_been_without(tmp_path: Path) -> None:
    clock = StillClock()
    with running(tmp_path / "data", clock=clock) as collector:
        identity = suggested(collector, Scope("csv", "2"), "it fails")
        warden = collector.collector.warden
        eventually(lambda: (identity, "", SUSPECTED) in warden.standing.noted)
        seen_at = warden.standing.noted[identity, "", SUSPECTED]
        clock.move(SUSPECTED_FOR.total_seconds() - 5)
        warden._watch_at = 0.0  # it is kept every few seconds: as if the last of them were past
        warden.tick()
    with running(tmp_path / "data", clock=clock) as collector:
        warden = collector.collector.warden
        assert warden.standing.noted[identity, "", SUSPECTED] == seen_at
        assert warden.standing.quarantines[identity].ended_at is None
        clock.move(6)
        eventually(lambda: warden.standing.quarantines[identity].ended_at is not None)
        ended = warden.standing.quarantines[identity].ended_at
        assert ended is not None
        assert ended - seen_at < SUSPECTED_FOR + timedelta(seconds=5), "it was not as good as new"


@pytest.mark.parametrize("away_seconds", [0.0, 3_600.0])
def test_an_incident_is_over_after_a_restart_when_it_would_have_been_without(
    tmp_path: Path, away_seconds: float
) -> None:
    """That nothing pointed at it while nobody looked does not end it."""
    clock = StillClock()

    def opens(now: Standing, at: datetime) -> tuple[Standing, Changes]:
        found = Incident("i-1", "downstream:db", "db is slow", ("csv", "geo"), at, seen_at=at)
        fresh = now.copy()
        fresh.incidents[found.id] = found
        return fresh, Changes(at=at, incidents=[found])

    with running(tmp_path / "data", clock=clock) as collector:
        warden = collector.collector.warden
        warden.act(opens)
        began = clock()
        clock.move(LINGER.total_seconds() - 5)
        warden._watch_at = 0.0  # it is kept every few seconds: as if the last of them were past
        warden.tick()
    clock.move(away_seconds)
    with running(tmp_path / "data", clock=clock) as collector:
        warden = collector.collector.warden
        assert warden.standing.incidents["i-1"].seen_at == began + timedelta(seconds=away_seconds)
        clock.move(6)
        eventually(lambda: "i-1" not in warden.standing.incidents)
        (over,) = collector.api.get("alerts")["incidents"]
        assert over["ended_at"] == clock().isoformat() + "Z", "it was not as good as new"


def test_a_budget_goes_on_over_a_restart_and_a_release(tmp_path: Path) -> None:
    def left(collector: Running, total: int) -> dict[str, Any]:
        return next(iter(row for row in collector.api.get("budgets") if row["total"] == total), {})

    file = rules_for(tmp_path, "observe")
    with running(tmp_path / "data", file) as collector:
        fail(collector)
        assert eventually(lambda: left(collector, 60), timeout=30)
    with running(tmp_path / "data", file) as collector:
        assert left(collector, 60), "as it was judged last, before the first look"
        fail(collector, 40, version="3")
        row = eventually(lambda: left(collector, 100), timeout=30)
        assert (row["plugin_id"], row["versions"], row["bad"], row["slo"]) == ("csv", 2, 100, "availability")
        by_version = {item["plugin_version"]: item["total"] for item in collector.api.get("slos")}
        assert by_version == {"2": 60, "3": 40}
        assert collector.api.get("plugins/csv")["budgets"] == [row]
        assert collector.api.get("plugins/csv")["budget_version"] == "2"
