"""Alerts that rest on no objective, in a running collector: found, told, over, and after a restart."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from plugwarden.contract import Scope
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.control import statements
from plugwarden_collector.control.watching import Watching
from plugwarden_collector.store import stored_telemetry

from tests.collector.conftest import Running, running
from tests.collector.support.hooks import Hook
from tests.collector.support.span_request import PROTOBUF, request
from tests.collector.support.still_clock import StillClock
from tests.collector.support.waiting import eventually

HEAD = """
[[slo]]
name = "works"
objective = 0.99
[policy]
enforcement = "enforce"
newcomer_grace = "0s"
"""
MANY = """
[[alert]]
name = "many calls"
kind = "sql"
severity = "page"
every = "5s"
sql = '''
select plugin_id as plugin, 'eu' as zone, sum(calls) as value from plugin_calls
where bucket_start > $at - interval 1 hour group by all
'''
above = 10
recover = { below = 5 }
no_data = "ok"
owner = "shop"
labels = { tier = "1" }
"""
KEPT = MANY.replace('"ok"', '"keep"').replace("recover = { below = 5 }", 'fails = "2 of 3"')
BROKEN = """
[[alert]]
name = "broken"
kind = "sql"
every = "5s"
sql = "select count(*) as value from orders"
above = 10
no_data = "ok"
"""
QUIET = """
[[alert]]
name = "quiet"
kind = "absence"
every = "5s"
plugins = "*"
silence = "1h"
"""
UNUSUAL = """
[[alert]]
name = "unusual"
kind = "anomaly"
every = "5s"
plugins = "*"
measure = "calls"
"""
FULL = """
[[alert]]
name = "full"
kind = "forecast"
every = "5s"
sql = "select bucket_start as time, sum(calls) as value from plugin_calls group by all"
full = 1000
within = "7d"
no_data = "keep"
"""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first statement waits for the processes of readers, which take long to start where others compute."""
    monkeypatch.setattr(statements, "TIMEOUT_SECONDS", 60.0)


def rules(folder: Path, *alerts: str) -> Path:
    file = folder / "rules.toml"
    file.write_text(HEAD + "".join(alerts))
    return file


def call(collector: Running, plugin: str = "csv", calls: int = 20) -> None:
    """Let calls of a plugin come just now."""
    body = request(calls, **{
        "plugin.id": plugin, "plugin.version": "1", "plugin.operation": "export", "plugin.outcome": "success", "service.name": "shop",
    })  # fmt: skip
    answer = httpx2.post(f"{collector.http}/v1/traces", content=body.SerializeToString(), headers=PROTOBUF)
    assert answer.status_code == 200
    eventually(lambda: collector.scalar("select count(*) from plugin_calls where plugin_id = $p", p=plugin))


def watching(collector: Running) -> Watching:
    return collector.collector.watching


def looked(collector: Running, clock: StillClock, seconds: float = 5.0) -> list[dict[str, Any]]:
    """Let time pass, and return the alerts after every rule was looked at then."""
    clock.move(seconds)
    names = [rule.name for rule in collector.collector.warden.rules.alerts]
    looks = watching(collector).looks
    eventually(lambda: all(name in looks and looks[name].at == clock.at for name in names))
    found: list[dict[str, Any]] = collector.api.get("alerts")["alerts"]
    return found


def test_what_a_statement_finds_is_an_alert_like_any_other(tmp_path: Path) -> None:
    hook, clock = Hook(), StillClock()
    told = f'[[receiver]]\nname = "pager"\nurl = "{hook.url}"\nseverities = ["page"]\n'
    with running(tmp_path / "data", rules(tmp_path, MANY, told), clock=clock) as collector:
        call(collector)
        (alert,) = looked(collector, clock)
        assert (alert["name"], alert["state"], alert["slo"], alert["plugin_id"]) == (
            "many calls",
            "firing",
            None,
            "csv",
        )
        assert (alert["severity"], alert["summary"]) == ("page", "csv, zone=eu: many calls: 20 is above 10")
        assert alert["labels"] == {
            "alertname": "many calls", "severity": "page", "plugin": "csv", "zone": "eu", "owner": "shop", "tier": "1",
        }  # fmt: skip
        assert collector.scalar("select slo is null and plugin_id = 'csv' from alerts")
        sent = eventually(lambda: hook.got)[0].body["alerts"][0]
        assert sent["labels"]["zone"] == "eu"
        clock.move(3600.0)
        (alert,) = looked(collector, clock)
        assert alert["state"] == "inactive"
        assert collector.api.get("alerts")["history"][0]["reason"] == "there is no row of it any more"
        assert eventually(lambda: [got for got in hook.got if got.body["status"] == "resolved"])
        assert collector.api.get("quarantine") == []
        (rule,) = collector.api.get("alert-rules")
        assert (rule["name"], rule["firing"], rule["error"], rule["found"]) == ("many calls", 0, None, 0)
        assert [item["name"] for item in collector.api.get("rules")["alerts"]] == ["many calls"]
        assert "csv, zone=eu: many calls" in collector.api.get(("alerts", alert["fingerprint"], "runbook"))["text"]
    hook.stop()
    with stored_telemetry(tmp_path / "data") as (_, happened):
        assert happened(clock.at - timedelta(days=1), []).alerts == [], "a backtest misses none that it does not replay"


def test_a_silence_covers_it_by_any_of_its_labels(tmp_path: Path) -> None:
    clock = StillClock()
    with running(tmp_path / "data", rules(tmp_path, MANY), clock=clock) as collector:
        call(collector)
        looked(collector, clock)
        silence = collector.api.post("silences", {"matchers": {"zone": "eu"}, "seconds": 600, "comment": "known"})
        (alert,) = collector.api.get("alerts")["alerts"]
        assert alert["silenced_by"] == silence["id"]


def test_a_maintenance_window_of_the_rules_keeps_it_quiet_while_it_is_open(tmp_path: Path) -> None:
    hook, clock = Hook(), StillClock()
    told = f'[[receiver]]\nname = "pager"\nurl = "{hook.url}"\n'
    window = f"""
[[maintenance]]
name = "import"
reason = "it fills the queue"
matchers = {{ plugin = "csv" }}
from = "{clock.at:%H:%M}"
for = "10m"
zone = "UTC"
"""
    with running(tmp_path / "data", rules(tmp_path, MANY, told, window), clock=clock) as collector:
        call(collector)
        (alert,) = looked(collector, clock)
        (silence,) = collector.api.get("silences")
        assert (silence["created_by"], silence["comment"]) == ("the rules", "import: it fills the queue")
        assert (alert["state"], alert["silenced_by"]) == ("firing", silence["id"])
        text = collector.api.get(("alerts", alert["fingerprint"], "runbook"))["text"]
        assert "the rules silenced it until" in text
        assert hook.got == []
        clock.move(700.0)
        assert eventually(lambda: hook.got)[0].body["alerts"][0]["labels"]["alertname"] == "many calls"
        assert collector.api.get("silences") == []
    hook.stop()


def test_looks_go_on_after_a_restart_where_they_were(tmp_path: Path) -> None:
    clock = StillClock()
    with running(tmp_path / "data", rules(tmp_path, KEPT), clock=clock) as collector:
        call(collector)
        assert looked(collector, clock) == [], "one look of two"
        assert collector.collector.ledger.watched()
    with running(tmp_path / "data", rules(tmp_path, KEPT), clock=clock) as collector:
        (alert,) = looked(collector, clock)
        assert (alert["state"], alert["labels"]["tier"]) == ("firing", "1")
    with running(tmp_path / "data", rules(tmp_path, KEPT), clock=clock) as collector:
        (alert,) = looked(collector, clock, 3700.0)
        assert alert["state"] == "firing", "what has no value stays as it was"
        (record,) = collector.collector.warden.standing.alerts.values()
        assert record.labels() == alert["labels"]
    with running(tmp_path / "data", rules(tmp_path), clock=clock) as collector:
        eventually(lambda: collector.api.get("alerts")["alerts"][0]["state"] == "inactive")
        eventually(lambda: not collector.collector.ledger.watched())


def test_a_statement_that_cannot_run_is_told_once_and_costs_no_other(tmp_path: Path) -> None:
    clock, file = StillClock(), rules(tmp_path, BROKEN, MANY)
    with running(tmp_path / "data", file, clock=clock) as collector:
        call(collector)
        for _ in range(3):
            (alert,) = looked(collector, clock)
        assert alert["state"] == "firing"
        assert "orders" in watching(collector).failing()["broken"]
        health = collector.collector.health
        for _ in range(3):
            health.look()
        events = [event for event in health.events if event.name == "alert_rules_failing"]
        assert [(event.after, event.reason.split(":")[0]) for event in events] == [("firing", "broken")]
        broken, many = collector.api.get("alert-rules")
        assert ("orders" in broken["error"], many["error"]) == (True, None)
        metrics = httpx2.get(f"{collector.url}/metrics").text
        assert 'plugwarden_alert_looks_total{result="failed"}' in metrics
        assert "plugwarden_alert_rules_failing 1.0" in metrics
        rules(tmp_path, MANY)
        collector.collector.warden.reload(file)
        looked(collector, clock)
        assert watching(collector).failing() == {}


def test_a_statement_that_takes_too_long_is_ended_and_told_when_it_is_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "TIMEOUT_SECONDS", 0.2)
    slow = BROKEN.replace("from orders", "from range(100000) a, range(1000000) b where a.range * b.range % 7 = 3")
    clock = StillClock()
    with running(tmp_path / "data", rules(tmp_path, slow), clock=clock) as collector:
        looked(collector, clock)
        first = watching(collector).looks["broken"]
        assert "interrupted after 0.2 s" in (first.error or "")
        assert first.failing is (first.failures > 1)
        looked(collector, clock)
        assert watching(collector).looks["broken"].failing


def test_what_is_usual_and_what_is_foreseen_are_looked_at(tmp_path: Path) -> None:
    """They say nothing of so little."""
    clock = StillClock()
    with running(tmp_path / "data", rules(tmp_path, UNUSUAL, FULL), clock=clock) as collector:
        call(collector)
        assert looked(collector, clock, 300.0) == []
        looks = watching(collector).looks
        assert [(look.error, look.found) for look in looks.values()] == [(None, 1), (None, 1)]


def test_a_plugin_that_is_not_called_though_its_host_lives(tmp_path: Path) -> None:
    clock = StillClock()
    with running(tmp_path / "data", rules(tmp_path, QUIET), clock=clock) as collector:
        call(collector)
        assert looked(collector, clock) == []
        clock.move(3700.0)
        call(collector, "geo", 1)  # the same host goes on
        found = {alert["plugin_id"]: alert["state"] for alert in looked(collector, clock)}
        assert found["csv"] == "firing"
        collector.collector.warden.quarantine(Scope("csv"), "by hand", Actor("ci", "ann"))
        found = {alert["plugin_id"]: alert["state"] for alert in looked(collector, clock)}
        assert found["csv"] == "inactive", "nobody misses what is isolated"
