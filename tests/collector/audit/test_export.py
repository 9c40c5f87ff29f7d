"""The log as a file with what its decisions rest on: each line replays by itself, and what nobody else may read is masked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugwarden_collector.command import audit_export

from tests.collector.conftest import running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.failing_plugin import failing_until, rules_for

SECRET = "hunter2hunter2"


def test_a_line_of_the_export_is_a_decision_that_can_be_made_again(tmp_path: Path) -> None:
    file, line = tmp_path / "log.jsonl", tmp_path / "line.json"
    with running(tmp_path / "data", rules_for(tmp_path, "enforce")) as collector:
        isolated = failing_until(collector, "quarantined")[0]
        plugwarden(
            "quarantine", "geo", "--force", "--reason", f"it leaks password={SECRET}", "--json", url=collector.url
        )
        done = plugwarden("audit", "export", str(file), "--facts", url=collector.url)
        assert (done.returncode, done.stderr) == (0, "")
        plain = tmp_path / "plain.jsonl"
        assert plugwarden("audit", "export", str(plain), url=collector.url).returncode == 0
    *rows, heads = map(json.loads, file.read_text("utf-8").splitlines())
    assert heads["stream"] == "heads"
    decisions = [row for row in rows if row["stream"] == "decisions"]
    assert [row["sequence"] for row in decisions] == list(range(heads["decisions"]["sequence"], 0, -1))
    found = next(row for row in decisions if row["sequence"] == isolated["sequence"])
    assert (found["redacted"], found["hash"]) == (False, isolated["hash"])
    line.write_text(json.dumps(found))
    again = plugwarden("audit", "replay", str(line))
    assert (again.returncode, again.stderr) == (0, ""), again.stdout
    masked = next(row for row in decisions if row["actor"] != "automation" and row["kind"] == "quarantined")
    assert (masked["reason"], masked["redacted"]) == ("it leaks password=[redacted]", True)
    assert "in 1 of them" in done.stdout
    assert SECRET not in file.read_text("utf-8")
    assert SECRET in plain.read_text("utf-8"), "without what decisions rest on, the log is told to the letter"
    assert "facts" not in json.loads(plain.read_text("utf-8").splitlines()[0])


def test_names_in_what_a_decision_rests_on_are_masked_and_such_a_decision_says_why_it_cannot_be_made_again(
    tmp_path: Path,
) -> None:
    facts = json.dumps({"form": 3, "tenant": "ann@example.org", "calls": 12})
    entry = {
        "stream": "decisions", "sequence": 1, "time": "2026-01-01T00:00:00Z", "kind": "quarantined", "scope": "csv",
        "actor": "automation", "reason": "it fails", "enforcement": "enforce", "quarantine_id": "q-1",
        "evidence": {"facts": "a" * 64}, "facts": facts,
    }  # fmt: skip
    found = audit_export._redacted(entry)
    assert json.loads(found["facts"]) == {"form": 3, "tenant": "[redacted]", "calls": 12}
    assert found["redacted"] is True
    file = tmp_path / "line.json"
    file.write_text(json.dumps(found))
    answer = plugwarden("audit", "replay", str(file))
    assert answer.returncode == 1
    assert "masked" in answer.stdout


def test_however_many_entries_there_are_a_page_and_one_of_them_with_its_facts_are_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Entries are asked for a page at a time, and each that rests on something by itself, just before it is written."""
    asked: list[str] = []

    class Api:
        def get(self, path: object, **parameters: int) -> object:
            if path == "audit":
                asked.append("page")
                first = parameters["before"] - 1
                return [
                    {"stream": "decisions", "sequence": number, "evidence": {"facts": "a"}}
                    for number in range(first, max(0, first - parameters["limit"]), -1)
                ]
            asked.append(str(path))
            return {"sequence": int(path[1])}  # type: ignore[index]

    monkeypatch.setattr(audit_export, "PAGE", 2)
    heads = {"decisions": {"sequence": 4}, "access": {"sequence": 0}}
    api: object = Api()
    found = audit_export._with_facts(api, audit_export._entries(api, heads))  # type: ignore[arg-type]
    assert next(found)["sequence"] == 4
    assert asked == ["page", "('audit', '4')"]
    assert [item["sequence"] for item in found] == [3, 2, 1]
    assert asked[2:] == ["('audit', '3')", "page", "('audit', '2')", "('audit', '1')"]
