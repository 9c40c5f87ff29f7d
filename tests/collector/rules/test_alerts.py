"""The keys of `[[alert]]`: what they mean, and what is said of each that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugwarden_collector.errors import RulesError
from plugwarden_collector.rules.alert_rule import AlertKind, Limit, NoData, Severity
from plugwarden_collector.rules.file import load_rules, parse_rules

from tests.collector.support.command_line import plugwarden
from tests.docs_pages import commands_of, write_files

SLO = '[[slo]]\nname = "works"\nobjective = 0.99\n'
SQL = '[[alert]]\nname = "a"\nkind = "sql"\nsql = "…"\n'
ABSENCE = '[[alert]]\nname = "a"\nkind = "absence"\n'
ANOMALY = '[[alert]]\nname = "a"\nkind = "anomaly"\n'
FORECAST = '[[alert]]\nname = "a"\nkind = "forecast"\nsql = "…"\n'


def test_an_alert_over_a_statement() -> None:
    text = f"""{SLO}
[[alert]]
name = "orders wait"
kind = "sql"
severity = "page"
every = "30s"
for = "2m"
keep_firing = "5m"
fails = "3 of 5"
sql = \"\"\"
from x
\"\"\"
above = 100
recover = {{ below = 80 }}
no_data = "keep"
owner = "shop"
runbook = "https://wiki.example.net/orders"
labels = {{ tier = "1" }}
description = "Orders wait."
"""
    (rule,) = parse_rules(text, "rules.toml").alerts
    assert (rule.name, rule.kind, rule.severity) == ("orders wait", AlertKind.SQL, Severity.PAGE)
    assert (rule.every_seconds, rule.for_seconds, rule.keep_firing_seconds) == (30.0, 120.0, 300.0)
    assert (rule.fails, rule.looks, rule.no_data) == (3, 5, NoData.KEEP)
    assert (rule.limit, rule.recover) == (Limit(above=100.0), Limit(below=80.0))
    assert (rule.owner, rule.labels, rule.description) == ("shop", {"tier": "1"}, "Orders wait.")
    assert (rule.place, rule.line) == ("alert[0]", 13)


def test_an_alert_on_calls_that_do_not_come() -> None:
    text = f'{SLO}{ABSENCE}plugins = ["backup-*", "export"]\noperations = "nightly"\nsilence = "2h"\n'
    (rule,) = parse_rules(text, "rules.toml").alerts
    assert (rule.severity, rule.silence_seconds) == (Severity.TICKET, 7200.0)
    assert rule.covers("backup-eu", "nightly")
    assert not rule.covers("backup-eu", "hourly")
    assert not rule.covers("csv", "nightly")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[[alert]]\nname = "a"\n', "alert[0].kind: is missing; write one of sql, absence"),
        ('[[alert]]\nname = "a"\nkind = "sqll"\n', "alert[0].kind: 'sqll' must be sql, absence, anomaly or forecast"),
        (SQL + "above = 1\n", "alert[0].no_data: is missing; write what a row means"),
        (SQL + 'no_data = "ok"\n', "alert[0].above: is missing; write above or below"),
        (SQL + 'no_data = "ok"\nabove = "1"\n', "alert[0].above: '1' must be a number"),
        (SQL + 'no_data = "ok"\nabove = nan\n', "alert[0].above: nan must be a number"),
        (SQL + 'no_data = "ok"\nabove = 1\nbelow = 2\n', "alert[0].above: 1 must be 2 or more"),
        (SQL + 'no_data = "ok"\nabove = 1\nrecover = 2\n', "alert[0].recover: 2 must be a condition of its own"),
        (
            SQL + 'no_data = "ok"\nabove = 1\nrecover = { below = 2 }\n',
            "alert[0].recover: below 2 holds while above 1 does",
        ),
        (
            SQL + 'no_data = "ok"\nabove = 1\nrecover = { above = 0 }\n',
            "alert[0].recover: above 0 holds while above 1 does",
        ),
        (SQL + 'no_data = "ok"\nabove = 1\nrecover = {}\n', "alert[0].recover: write one of above and below"),
        (SQL + 'no_data = "fine"\nabove = 1\n', "alert[0].no_data: 'fine' must be ok, keep or alert"),
        (
            SQL + 'no_data = "ok"\nabove = 1\nsilence = "1h"\n',
            "alert[0].silence: only an alert of the kind absence has one",
        ),
        (
            SQL + 'no_data = "ok"\nabove = 1\nfails = "5 of 3"\n',
            "alert[0].fails: '5 of 3' must be so many of the last looks",
        ),
        (SQL + 'no_data = "ok"\nabove = 1\nfails = 3\n', "alert[0].fails: 3 must be so many of the last looks"),
        (SQL + 'no_data = "ok"\nabove = 1\nevery = "1s"\n', "alert[0].every: '1s' must be from 5s to 1d"),
        (SQL + 'no_data = "ok"\nabove = 1\nseverity = "high"\n', "alert[0].severity: 'high' must be page or ticket"),
        (SQL + 'no_data = "ok"\nabove = 1\nkeep = "1m"\n', "alert[0].keep: unknown"),
        (SQL.replace('"…"', '""') + 'no_data = "ok"\nabove = 1\n', "alert[0].sql: '' must be a statement"),
        (SQL.replace('"…"', f'"{"x" * 10_001}"') + 'no_data = "ok"\nabove = 1\n', "alert[0].sql: has 10001 characters"),
        (ABSENCE + 'silence = "1h"\n', "alert[0].plugins: is missing"),
        (ABSENCE + 'plugins = "*"\n', "alert[0].silence: is missing"),
        (ABSENCE + 'plugins = "*"\nsilence = "30s"\n', "alert[0].silence: '30s' must be from 1m to 7d"),
        (
            ABSENCE + 'plugins = "*"\nsilence = "1h"\nno_data = "ok"\n',
            "alert[0].no_data: only an alert of the kind sql or forecast has one",
        ),
        (
            ABSENCE + 'plugins = "*"\nsilence = "1h"\noperations = ""\n',
            "alert[0].operations: '' must be a non-empty string",
        ),
        ((ABSENCE + 'plugins = "*"\nsilence = "1h"\n') * 2, "alert[1].name: 'a' is given twice"),
        (ANOMALY + 'plugins = "*"\n', "alert[0].measure: is missing; write one of calls, failed, duration"),
        (ANOMALY + 'measure = "calls"\n', "alert[0].plugins: is missing"),
        (ANOMALY + 'plugins = "*"\nmeasure = "calls"\nover = "7m"\n', "alert[0].over: '7m' must divide a day"),
        (ANOMALY + 'plugins = "*"\nmeasure = "calls"\nover = "2h"\n', "alert[0].over: '2h' must be from 5m"),
        (ANOMALY + 'plugins = "*"\nmeasure = "calls"\ndeviations = 1\n', "alert[0].deviations: 1 must be from 3 to 50"),
        (FORECAST + 'within = "7d"\nno_data = "ok"\n', "alert[0].full: is missing"),
        (FORECAST + 'full = 100\nno_data = "ok"\n', "alert[0].within: is missing"),
        (FORECAST + 'full = 100\nwithin = "7d"\n', "alert[0].no_data: is missing"),
        (
            FORECAST + 'full = 1\nabove = 2\nwithin = "7d"\nno_data = "ok"\n',
            "alert[0].above: only an alert of the kind sql has one",
        ),
        ("[alert]\n", "alert: write each one as a table headed [[alert]]"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_mend(text: str, problem: str) -> None:
    with pytest.raises(RulesError) as refused:
        parse_rules(SLO + text, "rules.toml")
    assert len(refused.value.problems) == 1, refused.value.problems
    assert refused.value.problems[0].startswith(problem)
    assert "(line " in refused.value.problems[0]


def test_alerts_of_the_files_of_a_folder_have_names_of_their_own(tmp_path: Path) -> None:
    alert = ABSENCE + 'plugins = "*"\nsilence = "1h"\n'
    (tmp_path / "a.toml").write_text(SLO + alert)
    (tmp_path / "b.toml").write_text(alert)
    with pytest.raises(RulesError, match=r"alert 'a' stands in a\.toml already"):
        load_rules(tmp_path)
    (tmp_path / "b.toml").write_text(alert.replace('"a"', '"b"'))
    assert [rule.place for rule in load_rules(tmp_path).alerts] == ["a.toml: alert[0]", "b.toml: alert[0]"]


def test_the_pages_alerts_are_read_and_their_statements_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "how-to/alerts-on-anything.md"
    assert write_files(page, tmp_path) == ["anything.toml"]
    monkeypatch.chdir(tmp_path)
    for command in commands_of(page, "plugwarden"):
        done = plugwarden(*command)
        assert (done.returncode, "1 objective, 4 alerts besides" in done.stdout) == (0, True), done.stdout
        assert all(len(line) <= 80 for line in done.stdout.splitlines())
        assert [item["name"] for item in json.loads(plugwarden(*command, "--json").stdout)["alerts"]] == [
            "many retries", "backup is missed", "calls are not as usual", "traces fill the disk",
        ]  # fmt: skip
