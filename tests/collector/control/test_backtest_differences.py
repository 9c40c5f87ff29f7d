"""Where a backtest differs from what happened: what was isolated, asked, told and explained in truth stands beside what would have been."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from plugwarden_collector.command.backtest_tables import show_backtest
from plugwarden_collector.control.backtest import backtest
from plugwarden_collector.rules.file import Rules, load_rules
from plugwarden_collector.store import Database

from tests.collector.control.test_backtest import RULES, minutes
from tests.collector.support.told_seconds import BEGIN

FAULT_AT = BEGIN + timedelta(hours=2)
FAULT = "plugin = 'csv' and operation = 'read' and minute >= $begin::timestamp + interval 2 hours"


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    return load_rules(file)


def happened(folder: Path, table: str, **row: Any) -> None:
    """Write down what came of it in truth."""
    database = Database(folder)
    with database.cursor() as connection:
        names = ", ".join(f'"{name}"' for name in row)
        connection.execute(f"insert into {table} ({names}) values ({', '.join('?' * len(row))})", list(row.values()))
    database.close()


def decided(folder: Path, kind: str, at: datetime, scope: str) -> None:
    happened(
        folder, "decisions", sequence=1, time=at, kind=kind, actor="automation", scope=scope, enforcement="observe", reason="so",
        evidence="{}", previous_hash="", hash="",
    )  # fmt: skip


def isolated(
    folder: Path, at: datetime, *, operation: str | None = "read", ended_at: datetime | None = None, repeats: int = 0
) -> None:
    happened(
        folder, "quarantines", id="q-1", plugin_id="csv", plugin_version="1", plugin_operation=operation, state="healthy", step=0,
        share_ratio=0.0, reason="so", actor="automation", enforcement="enforce", started_at=at, changed_at=at, ended_at=ended_at,
        repeats=repeats, known_versions=[], evidence="{}",
    )  # fmt: skip


def alerted(folder: Path, at: datetime, plugin: str, severity: str, version: str | None, name: str = "burn") -> None:
    happened(
        folder, "alert_events", time=at, fingerprint=f"a-{plugin}", name=f"availability budget {name}", severity=severity,
        plugin_id=plugin, plugin_version=version, before="pending", after="firing", reason="burns",
    )  # fmt: skip


def test_what_was_only_observed_in_truth_stands_beside_what_would_be_isolated(tmp_path: Path, rules: Rules) -> None:
    folder = minutes(tmp_path / "data", 3, FAULT)
    (first,) = backtest(folder, rules).as_dict()["troubles"]
    decided(folder, "would_quarantine", first["isolated"] - timedelta(seconds=90), "csv@1 operation=read")
    (trouble,) = backtest(folder, rules).as_dict()["troubles"]
    assert trouble["happened"]["isolated"] is False
    assert trouble["happened"]["decided"] == "would_quarantine"
    assert trouble["happened"]["says"] == "it was noted and nothing was done, 1.5 min earlier"


@pytest.mark.parametrize(
    ("lasted", "repeats", "said"),
    [
        (None, 0, "automation isolated the same scope, 30 s later, and held it still when these rules would have let it go"),
        (0.0, 0, "automation isolated the same scope, 30 s later, and let it go at the same time"),
        (-300.0, 2, "automation isolated the same scope, 30 s later, and let it go 5 min earlier (isolated again 2 times, not 0)"),
    ],
)  # fmt: skip
def test_a_release_is_compared_with_that_in_truth(
    tmp_path: Path, rules: Rules, lasted: float | None, repeats: int, said: str
) -> None:
    folder = minutes(tmp_path / "data", 5, f"{FAULT} and minute < $begin::timestamp + interval 150 minutes")
    (first,) = backtest(folder, rules).as_dict()["troubles"]
    assert first["until"] is not None
    ended_at = None if lasted is None else first["until"] + timedelta(seconds=lasted)
    started_at = first["isolated"] + timedelta(seconds=30)
    isolated(folder, started_at, ended_at=ended_at, repeats=repeats)
    (trouble,) = backtest(folder, rules).as_dict()["troubles"]
    assert (trouble["happened"]["until"], trouble["happened"]["repeats"]) == (ended_at, repeats)
    assert trouble["happened"]["says"] == f"{said}; calls refused then are not in the data"


@pytest.mark.parametrize(
    ("operation", "named"), [("read", "the same scope"), (None, "csv@1")], ids=["the same", "another"]
)
def test_what_was_isolated_in_truth_stands_beside_what_would_only_be_noted(
    tmp_path: Path, operation: str | None, named: str
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULES.replace('"enforce"', '"observe"'))
    folder, rules = minutes(tmp_path / "data", 3, FAULT), load_rules(file)
    first = backtest(folder, rules).as_dict()["troubles"][0]
    assert (first["kind"], first["scope"]) == ("would_quarantine", "csv@1 operation=read")
    isolated(folder, first["decided"] + timedelta(seconds=30), operation=operation)
    found = backtest(folder, rules).as_dict()
    assert found["troubles"][0]["happened"]["says"] == (
        f"automation isolated {named}, 30 s later; calls refused then are not in the data"
    )
    assert found["only_happened"] == []


def test_what_was_asked_in_truth_alone_is_told(tmp_path: Path, rules: Rules) -> None:
    folder = minutes(tmp_path / "data", 3)
    decided(folder, "suggested", FAULT_AT, "geo@1")
    found = backtest(folder, rules).as_dict()
    assert [(item["kind"], item["scope"], item["time"]) for item in found["only_happened"]] == [
        ("suggested", "geo@1", FAULT_AT)
    ]


@pytest.mark.parametrize("version", [None, "1"], ids=["as now", "of an earlier version"])
def test_alerts_are_compared_with_those_that_fired_in_truth(tmp_path: Path, version: str | None) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULES.replace('"enforce"', '"observe"'))  # what is isolated at once burns no budget
    folder, rules = minutes(tmp_path / "data", 3, FAULT), load_rules(file)
    first = backtest(folder, rules).as_dict()["alerts_fired"][0]
    assert (first["name"], first["plugin"], first["version"]) == ("availability budget burn", "csv", None)
    alerted(folder, first["time"] - timedelta(seconds=30), "csv", "ticket", version)
    alerted(folder, first["time"], "csv", "ticket", None, "exhausted")
    alerted(folder, first["time"], "pdf", "page", "1")
    found = backtest(folder, rules).as_dict()
    fired, *others = found["alerts_fired"]
    assert fired["happened"] == {"fired": True, "time": first["time"] - timedelta(seconds=30), "later_seconds": -30.0}
    assert all(item["happened"] == {"fired": False} for item in others)
    assert [(item["plugin"], item["name"]) for item in found["only_happened_alerts"]] == [
        ("csv", "availability budget exhausted"), ("pdf", "availability budget burn")
    ]  # fmt: skip


def test_incidents_are_compared_and_the_end_says_how_much_agrees(
    tmp_path: Path, rules: Rules, capsys: pytest.CaptureFixture[str]
) -> None:
    at_h3 = "instance = 'h3' and minute >= $begin::timestamp + interval 2 hours"
    folder = minutes(tmp_path / "data", 3, at_h3)
    cause = backtest(folder, rules).as_dict()["incidents"][0]["cause"]
    for number, name in enumerate((cause, "downstream:db")):
        happened(
            folder, "incidents", id=f"i-{number}", cause=name, summary=f"{name} hurts", plugins=["csv"], started_at=FAULT_AT,
            detail="{}",
        )  # fmt: skip
    found = backtest(folder, rules).as_dict()
    assert found["incidents"][0]["happened"]["found"] is True
    assert [item["cause"] for item in found["only_happened_incidents"]] == ["downstream:db"]
    show_backtest(found)
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "These rules would have found 1 incident, of which 1 was found in truth. 1 incident was found in truth that these rules"
        " would not have found." in printed
    )
