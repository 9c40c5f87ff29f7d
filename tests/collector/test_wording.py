"""Text from elsewhere does nothing to who reads it: not in a terminal, a table, a spreadsheet or a log."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx2
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.announce.message import Message
from plugwarden_collector.announce.notice import Notice
from plugwarden_collector.announce.receivers.sender import Occasion
from plugwarden_collector.announce.receivers.webhook import payload
from plugwarden_collector.announce.subject import subject_of_alert
from plugwarden_collector.command.row_files import write_csv
from plugwarden_collector.decide.alert import Alert, AlertRecord
from plugwarden_collector.wording import HarmlessFormatter, cell, escaped_json, harmless, one_line

from tests.collector.support.command_line import plugwarden

from .conftest import RULES, Running, running

VISIBLE_FORMATS = {
    *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13460),
}  # fmt: skip
"""Of category Cf, but seen: signs that enclose the letters after them."""
EVIL = "a\x1b]0;owned\x07\x1b[2J\u202egpj.exe\u2066\u200b\x9b31m\r\nroot# \u2028\U000e0041\ufeff\x00b"
FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    '=HYPERLINK("http://evil","x")',
    "-",
    "=",
    "+A1",
]
NUMBERS = ["-5", "+5", "-5.25", "-1e-9", "-.5", "12", ""]


def hostile(text: str, allowed: str = "") -> set[str]:
    """What of a text would do something to a terminal or deceive its reader."""
    return {
        sign
        for sign in text
        if unicodedata.category(sign) in {"Cc", "Cf", "Zl", "Zp", "Cs"} and ord(sign) not in VISIBLE_FORMATS
    } - {*allowed}


def test_every_control_and_format_character_of_unicode_is_hostile() -> None:
    for code in range(sys.maxunicode + 1):
        sign = chr(code)
        shown = one_line(f"a{sign}b")
        if hostile(sign):
            assert sign not in shown, f"U+{code:04X}"
        elif unicodedata.category(sign) != "Cn" and code not in {0x034F, 0x115F, 0x1160, 0x3164, 0xFFA0}:
            assert sign in shown, f"U+{code:04X}"


@given(st.text())
def test_a_line_is_one_line_and_json_stays_true(text: str) -> None:
    assert hostile(one_line(text)) == set()
    assert hostile(harmless(text), "\n\t") == set()
    document = escaped_json(json.dumps({text: [text]}, ensure_ascii=False))
    assert hostile(document) == set()
    assert json.loads(document) == {text: [text]}


def test_what_is_cut_says_so() -> None:
    assert one_line("abc", 3) == "abc"
    assert one_line("abcd", 3) == "ab…"
    assert one_line("a\r\nb\tc") == "a ⏎ b c"


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text).startswith("'")


@pytest.mark.parametrize("text", [*NUMBERS, "a=b", "1-1", "csv"])
def test_numbers_and_names_stay_as_they_are(text: str) -> None:
    assert cell(text) == text


def test_a_csv_file_holds_no_formula_and_no_control_character() -> None:
    table = pa.table(
        {
            "=name": [*FORMULAS, EVIL, "-5", None],
            "number": pa.array([-1.5] * len(FORMULAS) + [0.0, 2.0, None]),
            "decimal": pa.array([None] * len(FORMULAS) + ["-1.50", "2.00", "3.00"]).cast(pa.decimal128(9, 2)),
            "nested": pa.array([[EVIL]] * (len(FORMULAS) + 3)),
        }
    )

    class Rows:
        schema = table.schema

        def __iter__(self) -> Iterator[pa.RecordBatch]:
            return iter(table.to_batches())

    sink = io.BytesIO()
    assert write_csv(Rows(), sink) == len(table)  # type: ignore[arg-type]
    text = sink.getvalue().decode()
    assert hostile(text, "\n\t") == set()
    head, *rows = csv.reader(io.StringIO(text))
    assert head == ["'=name", "number", "decimal", "nested"]
    for row in rows:
        for value in row:
            assert value == "" or value[0] not in "=+@\t\r\n＝", value
    assert [row[0] for row in rows[:2]] == ["'=1+1", "'+1+1"]
    assert rows[0][1] == "-1.5"
    assert rows[-3][2] == "-1.5"
    assert rows[-2][0] == "-5"
    assert "\\u202egpj" in rows[-3][0]


def test_a_log_line_stays_one_line(caplog: pytest.LogCaptureFixture) -> None:
    record = logging.LogRecord("a", logging.ERROR, "f", 1, "refused %s", (EVIL,), None)
    line = HarmlessFormatter("%(levelname)s %(message)s").format(record)
    assert hostile(line) == set()
    try:
        raise ValueError(EVIL)
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "f", 1, "failed", (), sys.exc_info())
    assert hostile(HarmlessFormatter("%(message)s").format(record), "\n") == set()


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A collector that was sent everything in its worst form, by somebody who needs no sidecar."""
    folder = tmp_path_factory.mktemp("evil")
    (folder / "rules.toml").write_text(RULES)
    with running(folder / "data", folder / "rules.toml") as collector:
        message = trace_service_pb2.ExportTraceServiceRequest()
        resource = message.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = "svc"
        spans = resource.scope_spans.add()
        at = int(collector.scalar("select epoch_ns(now()::timestamp)"))
        for number in range(40):
            span = spans.spans.add(
                trace_id=bytes([number + 1] * 16), span_id=bytes([number + 1] * 8), name=EVIL.replace("\x00", ""),
                start_time_unix_nano=at - 10**6, end_time_unix_nano=at,
            )  # fmt: skip
            span.status.code = 2
            span.status.message = EVIL.replace("\x00", "")
            said = {"plugin.id": "=evil", "plugin.version": "1", "plugin.operation": "op", "plugin.outcome": "error",
                    "plugin.error.source": "plugin", "error.type": "E\u202eE", "more": EVIL.replace("\x00", "")}  # fmt: skip
            for key, value in said.items():
                span.attributes.add(key=key).value.string_value = value
        answer = httpx2.post(
            f"{collector.http}/v1/traces", content=message.SerializeToString(), headers={"content-type": "application/x-protobuf"}
        )  # fmt: skip
        assert answer.status_code == 200
        alert = {"labels": {"alertname": "A", "plugin": "csv"}, "annotations": {"summary": EVIL.replace("\x00", "")}}
        httpx2.post(f"{collector.url}/api/v2/alerts", json=[alert])
        collector.api.post("quarantine", {"force": True, "plugin": "csv", "reason": EVIL.replace("\x00", "")})
        yield collector


COMMANDS = [
    ["plugins"], ["alerts"], ["quarantines"], ["capacity"], ["capacity", "--forecast"], ["capacity", "--by", "tenant"],
    ["capacity", "--what-if", "traffic=2"], ["audit", "list"], ["doctor"],
    ["query", "select name, status_message, error_type, attributes, plugin_id from spans limit 3"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command)[:20])
def test_no_command_prints_what_a_terminal_would_obey(evil: Running, command: list[str]) -> None:
    table = plugwarden(*command, url=evil.url)
    assert hostile(table.stdout, "\n") == set()
    answer = plugwarden(*command, "--json", url=evil.url)
    assert hostile(answer.stdout, "\n") == set()
    json.loads(answer.stdout)


def test_a_query_as_json_is_true_and_as_csv_is_harmless(evil: Running) -> None:
    sql = "select name, plugin_id, -1 as number from spans limit 1"
    (row,) = json.loads(plugwarden("query", sql, "--json", url=evil.url).stdout)["rows"]
    assert row == [EVIL.replace("\x00", ""), "=evil", -1]
    text = plugwarden("query", sql, "--csv", url=evil.url).stdout
    assert hostile(text, "\n") == set()
    (_, cells) = csv.reader(io.StringIO(text))
    assert cells[1].startswith("'=evil")
    assert cells[2] == "-1"


def test_a_watch_shows_harmless_rows_each_time(evil: Running) -> None:
    command = [
        sys.executable,
        "-m",
        "plugwarden_collector",
        "query",
        "select name from spans limit 1",
        "--watch",
        "0.5",
    ]
    environ = {**os.environ, "PLUGWARDEN_COLLECTOR_URL": evil.url, "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(12)]
        process.send_signal(signal.SIGINT)
    assert sum("1 row" in line for line in lines) >= 2
    assert hostile("".join(lines), "\n") == set()


@pytest.mark.parametrize("arguments", [["no\u202esuch"], ["plugins", "a", "b\u202e\x1b[2J"], ["plugins", "--b\u2066"]])
def test_a_usage_error_quotes_its_arguments_harmlessly(arguments: list[str]) -> None:
    answer = plugwarden(*arguments)
    assert answer.returncode == 2
    assert hostile(answer.stdout + answer.stderr, "\n") == set()


def test_an_error_is_one_harmless_line(evil: Running) -> None:
    answer = plugwarden("plugins", "--", "no\u202esuch\x1b[2J", url=evil.url)
    assert answer.returncode == 1
    assert hostile(answer.stderr, "\n") == set()
    assert len(answer.stderr.splitlines()) == 1


def test_a_file_with_a_hostile_name_is_named_harmlessly(tmp_path: Path) -> None:
    file = tmp_path / "rules\u202e\x1b[2J.toml"
    file.write_text('[[slo]]\nname = "a\\u202e"\nobjective = 0.99\n')
    for arguments in (["rules", "check", str(file)], ["rules", "check", str(file), "--json"]):
        answer = plugwarden(*arguments)
        assert hostile(answer.stdout + answer.stderr, "\n") == set()


def test_what_is_sent_to_people_is_harmless_and_labels_stay_true() -> None:
    record = AlertRecord(Alert("f"), "a", "page", "slo", "csv\u202e", "1", EVIL, EVIL, datetime(2026, 1, 1))
    message = Message("pager", "firing", subject_of_alert(record))
    body = payload(Notice("pager", "g", {}, (message,), datetime(2026, 1, 1)), Occasion(datetime(2026, 1, 1)))
    assert all(hostile(text) == set() for text in body["alerts"][0]["annotations"].values())
    assert {"scope", "summary"} <= body["alerts"][0]["annotations"].keys()
    assert hostile(body["commonAnnotations"]["description"]) == set()
    assert body["commonLabels"]["plugin"] == "csv\u202e"
