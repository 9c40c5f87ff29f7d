"""`plugwarden traces` and `plugwarden trace`: of what a real collector holds, at the width of a terminal."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from tests.collector.conftest import Running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.hostile_names import HOSTILE_NAMES
from tests.collector.support.sent_trace import SentTrace, send_logs

PLUGIN = {"plugin_id": "csv", "plugin_version": "1.4"}


def shown(collector: Running, *arguments: str, width: int = 80) -> str:
    answer = plugwarden(*arguments, url=collector.url, COLUMNS=str(width))
    assert (answer.returncode, answer.stderr) == (0, "")
    assert max(map(cell_len, answer.stdout.splitlines())) <= width
    return answer.stdout


def test_a_trace_is_a_waterfall_with_what_went_wrong(shared: Running) -> None:
    made = SentTrace()
    root = made.span("GET /orders", took=100)
    call = made.span("export", root, 10, 60, "disk full", plugin_operation="export", error_type="OSError", **PLUGIN)
    made.span("write", call, 20, 10)
    made.span("late", b"nobody__", 5, 1)
    made.span("ahead", root, -7, 8)
    refused = {"plugin_outcome": "rejected", "plugin_rejection_reason": "breaker_open", "plugin_operation": "lookup"}
    made.span("lookup", root, 80, 1, plugin_id="geo", plugin_version="2", **refused)
    identity = made.send(shared)
    send_logs(shared, "about to export", at_ns=made.began_ns + 12 * 10**6, trace_id=made.id, span_id=call)
    text = shown(shared, "trace", identity)
    assert "6 spans, 1 error, 1 service" in text
    assert "1 orphan: the parent was not kept" in text
    assert "1 span begins before the parent, by up to 7 ms" in " ".join(text.split())
    lines = text.splitlines()
    at = next(index for index, line in enumerate(lines) if "ERROR export" in line)
    assert lines[at].split()[-4:] == ["60", "ms", "50", "ms"]
    assert "! error OSError" in lines[at + 1]
    assert "disk full" in lines[at + 1]
    assert "INFO about to export" in lines[at + 2]
    assert "└ write" in lines[at + 3]
    assert "refused by the gate: breaker_open" in text
    assert "█" in lines[at]
    answer = json.loads(plugwarden("trace", identity, "--json", url=shared.url).stdout)
    assert {span["name"]: span["self_seconds"] for span in answer["spans"]}["export"] == pytest.approx(0.05)
    assert sum(item["end_us"] - item["begin_us"] for item in answer["critical_path"]) == 101_000
    only = shown(shared, "trace", identity, "--errors")
    assert "write" not in only
    assert "GET /orders" in only


def test_a_trace_of_twelve_thousand_spans_shows_its_one_error(shared: Running) -> None:
    made = SentTrace()
    root = made.span("import", took=20_000)
    for number in range(12_000):
        above = made.span("db.query", root, number, 1)
    made.span("commit", above, 19_000, 1, "deadlock")
    identity = made.send(shared)
    text = shown(shared, "trace", identity)
    assert "12,002 spans, 1 error" in text
    assert "Only 10,000 spans are read" in text
    assert "ERROR commit" in text
    assert "×9,997 db.query" in text.replace("×9997", "×9,997")
    assert len(text.splitlines()) < 30
    assert "deadlock" in shown(shared, "trace", identity, "--errors", width=60)


def test_no_name_breaks_a_line_or_moves_a_cursor(shared: Running) -> None:
    made = SentTrace("\x1b[2Jhost")
    above = b""
    names = [*HOSTILE_NAMES, "\x1b]0;evil\x07", "a\u202eb", "x\n\r\ny", "数" * 90]
    for number, name in enumerate(names):
        above = made.span(name, above, number, 900 - number, name, plugin_id=name, plugin_version=name, error_type=name)
    identity = made.send(shared)
    for width in (60, 80):
        text = shown(shared, "trace", identity, width=width)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert text.count("数") >= 180
        assert "\x1b" not in shown(shared, "traces", "--limit", "5", width=width)


def test_traces_are_found_by_what_their_spans_say(shared: Running, name: str) -> None:
    for operation, took, error in (("read", 5, ""), ("write", 900, "full")):
        made = SentTrace()
        outcome = "error" if error else "success"
        made.span(operation, took=took, error=error, plugin_id=name, plugin_version="1", plugin_operation=operation,
                  plugin_outcome=outcome)  # fmt: skip
        made.send(shared)

    def found(*arguments: str) -> list[str]:
        answer = plugwarden("traces", "--plugin", name, *arguments, "--json", url=shared.url)
        return [row["root"] for row in json.loads(answer.stdout)]

    assert sorted(found()) == ["read", "write"]
    assert found("--operation", "read") == ["read"]
    assert found("--status", "error") == ["write"]
    assert found("--min-duration", "250ms") == ["write"]
    assert found("--version", "2") == []
    assert len(found("--limit", "1")) == 1
    text = shown(shared, "traces", "--plugin", name)
    assert "2 traces, 1 with errors" in text
    assert "took     900 ms" in text
    for arguments, said in (
        (["traces", "--status", "bad"], "--status: 'bad' is none of success"),
        (["traces", "--min-duration", "long"], "--min-duration: 'long' is not a duration"),
        (["trace", "xyz"], "it has 32 hex digits"),
    ):
        wrong = plugwarden(*arguments, url=shared.url)
        assert (wrong.returncode, said in wrong.stderr) == (2, True), wrong.stderr
    gone = plugwarden("trace", "0" * 31 + "1", url=shared.url)
    assert (gone.returncode, "sampled out, expired, or not arrived yet" in gone.stderr) == (1, True)
