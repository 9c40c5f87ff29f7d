"""`plugwarden rules import` and `export`: what they write, where, and how they refuse; a running collector takes a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugwarden_collector.errors import RulesError

from tests.collector.conftest import running
from tests.collector.support.command_line import plugwarden

RULES = """\
[[slo]]
name = "fast"
objective = 0.99
sli = "latency"
threshold = "400ms"
description = "As [red]it[/red] stands: {{ }} and %."

[policy]
enforcement = "enforce"

[[receiver]]
name = "bus"
url = "http://127.0.0.1:9/S3CR3T"
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    return path


def test_what_is_exported_goes_to_the_terminal_or_a_file_and_holds_no_receiver(rules: Path) -> None:
    shown = plugwarden("rules", "export", str(rules), "--as", "toml")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert 'description = "As [red]it[/red] stands: {{ }} and %."' in shown.stdout
    assert "S3CR3T" not in shown.stdout
    file = rules.with_name("again.yaml")
    written = plugwarden("rules", "export", str(rules), "--as", "openslo", "--output", str(file), COLUMNS="400")
    assert (written.returncode, written.stdout) == (0, f"{file}: 1 objective\n")
    back = json.loads(plugwarden("rules", "import", str(file), "--json").stdout)
    assert (back["valid"], back["objectives"], back["warnings"], back["text"]) == (True, 1, [], shown.stdout)


def test_what_prometheus_cannot_show_is_refused_with_the_objective(rules: Path) -> None:
    done = plugwarden("rules", "export", str(rules), "--as", "prometheus", COLUMNS="400")
    said = "fast.threshold: 0.4 s is no bucket that a sidecar shows to Prometheus; write 0.25 s or 0.5 s"
    assert (done.returncode, done.stdout) == (1, f"{rules}: {said}\n")
    as_json = plugwarden("rules", "export", str(rules), "--as", "sloth", "--json")
    assert (as_json.returncode, json.loads(as_json.stdout)["problems"]) == (1, [said])


def test_another_format_is_refused_with_those_that_there_are(rules: Path) -> None:
    done = plugwarden("rules", "export", str(rules), "--as", "nagios", COLUMNS="400")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip().endswith("--as: nagios must be openslo, sloth, prometheus, toml")


def test_a_folder_of_rules_is_taken_and_read_again(rules: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    rules.rename(folder / "a.toml")
    exported = plugwarden("rules", "export", str(folder), "--as", "openslo").stdout
    with running(tmp_path / "data", folder) as collector:
        warden = collector.collector.warden
        assert [item.name for item in warden.rules.objectives] == ["fast"]
        (folder / "b.yaml").write_text(exported.replace("name: fast", "name: other"))
        assert [item.name for item in warden.reload(folder).objectives] == ["fast", "other"]
        (folder / "b.yaml").write_text(exported)
        with pytest.raises(RulesError, match=r"b\.yaml: slo 'fast' stands in a\.toml already"):
            warden.reload(folder)
        assert [item["name"] for item in collector.api.get("rules")["objectives"]] == ["fast", "other"]
        loaded = [item for item in collector.api.get("audit") if item["kind"] == "rules_loaded"]
    content = loaded[0]["evidence"]["content"]
    assert ("# a.toml" in content, "# b.yaml" in content, "S3CR3T" in content) == (True, True, False)


def test_what_is_done_about_pushed_alerts_and_when_nobody_is_told_is_listed(rules: Path) -> None:
    """Before, nothing showed that a policy isolates by alerts of others."""
    rules.write_text(
        RULES
        + """[[policy.pushed]]
name = "slow"
matchers = ['alertname="PluginSlow"']
enforcement = "suggest"
[[maintenance]]
name = "nightly"
reason = "it fills the queue"
matchers = { plugin = "import" }
from = "23:30"
for = "4h"
zone = "Europe/Berlin"
"""
    )
    shown = plugwarden("rules", "check", str(rules))
    assert 'pushed alerts slow: alertname="PluginSlow"; suggest' in shown.stdout
    assert 'nobody is told of plugin="import" from 23:30 Europe/Berlin, for 4 h' in shown.stdout
    found = json.loads(plugwarden("rules", "check", str(rules), "--json").stdout)
    assert [item["name"] for item in (*found["pushed"], *found["maintenance"])] == ["slow", "nightly"]
