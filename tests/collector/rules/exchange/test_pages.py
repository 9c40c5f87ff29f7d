"""Pages for who comes from another tool are followed word by word: files are saved, commands run, and what they show is seen."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path

import httpx2
import pytest
import yaml
from plugwarden_collector.rules.file import load_rules, parse_rules
from plugwarden_collector.rules.tiers import BUILT_IN

from tests.collector.conftest import running
from tests.collector.support.command_line import NOBODY, plugwarden
from tests.collector.support.hooks import Hook
from tests.docs_pages import PAGES, write_files


def follow(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch, url: str = NOBODY) -> list[str]:
    """Run the commands of a page in a folder with its files; what they say is in the page. Return what each said."""
    monkeypatch.chdir(folder)
    said = []
    for block in re.findall(r"^```console\n(.*?)^```", (PAGES / page).read_text("utf-8"), re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.strip().splitlines()
            program, *arguments = shlex.split(command)
            assert program == "plugwarden"
            done = plugwarden(*arguments, url=url, COLUMNS="400")
            assert done.returncode == 0, (command, done)
            lines = (done.stdout + done.stderr).splitlines()
            assert set(shown) <= set(lines), (command, lines)
            said.append(done.stdout)
    return said


def blocks(page: str, language: str) -> list[str]:
    """Blocks of a language that are no files."""
    found = re.findall(rf"^```{language}\n(.*?)^```", (PAGES / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [block for block in found if not re.match(r"# \S+\.\w+\n", block)]


def test_from_sloth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "how-to/from-sloth.md"
    assert write_files(page, tmp_path) == ["slos.yml", "windows.yaml"]
    follow(page, tmp_path, monkeypatch)
    assert blocks(page, "toml") == [(tmp_path / "rules.toml").read_text("utf-8")]
    assert load_rules(tmp_path / "again.yml").objectives == load_rules(tmp_path / "rules.toml").objectives
    assert len(yaml.safe_load((tmp_path / "prometheus-rules.yml").read_text("utf-8"))["groups"]) == 3
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("slos.yml", "windows.yaml"):
        (tmp_path / name).rename(folder / name)
    (found,) = load_rules(folder).objectives
    assert [(tier.severity, round(tier.factor, 6), tier.long_seconds) for tier in found.tiers] == [
        ("page", 14.4, 7_200), ("page", 7.2, 21_600), ("ticket", 3, 86_400), ("ticket", 1, 259_200),
    ]  # fmt: skip


def test_from_pyrra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "how-to/from-pyrra.md"
    assert write_files(page, tmp_path) == ["exports.yaml"]
    follow(page, tmp_path, monkeypatch)
    assert blocks(page, "toml") == [(tmp_path / "rules.toml").read_text("utf-8")]
    (found,) = load_rules(tmp_path / "rules.toml").objectives
    assert found.burn_windows == BUILT_IN["pyrra"]
    assert [tier.long_seconds for tier in found.tiers] == [1_800, 10_800, 43_200, 172_800]


def test_from_alertmanager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, hook = "how-to/from-alertmanager.md", Hook()
    assert write_files(page, tmp_path) == ["alertmanager.yml", "rules.toml", "prometheus.yml"]
    rules = tmp_path / "rules.toml"
    before = yaml.safe_load((tmp_path / "alertmanager.yml").read_text("utf-8"))
    assert {item["name"]: item["webhook_configs"][0]["url"] for item in before["receivers"]} == {
        item.name: item.url for item in parse_rules(rules.read_text("utf-8"), "rules.toml").receivers
    }
    rules.write_text(rules.read_text("utf-8").replace("http://127.0.0.1:9000/", hook.url))
    pushed = {
        "labels": {"alertname": "PluginBudgetBurn", "severity": "page", "plugin": "csv"},
        "annotations": {"summary": "it burns"},
    }
    try:
        with running(tmp_path / "data", rules) as collector:
            assert httpx2.post(f"{collector.url}/api/v2/alerts", json=[pushed]).status_code == 200
            said = follow(page, tmp_path, monkeypatch, collector.url)
            until = time.monotonic() + 30
            while not hook.got and time.monotonic() < until:
                time.sleep(0.05)
    finally:
        hook.stop()
    assert "it burns" in said[-1]
    (got,) = [item.body for item in hook.got if item.body["commonLabels"].get("plugin") == "no-such-plugin"]
    assert (got["version"], got["receiver"], got["commonLabels"]["severity"]) == ("4", "tickets", "ticket")
    read = yaml.safe_load((tmp_path / "prometheus.yml").read_text("utf-8"))
    assert (tmp_path / read["rule_files"][0]).exists()
