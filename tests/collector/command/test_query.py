"""`plugwarden query` and `plugwarden export`, as a shell sees them."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plugwarden_collector.api.plain import plain_rows
from rich.cells import cell_len

from tests.collector.conftest import Running
from tests.collector.support.command_line import plugwarden, plugwarden_process


def test_the_command_takes_sql_from_anywhere(shared: Running, tmp_path: Path) -> None:
    file = tmp_path / "ask.sql"
    file.write_text("select 42 as answer")
    for arguments, given in (
        (["select 42 as answer"], None),
        (["-f", str(file)], None),
        (["-"], "select 42 as answer"),
    ):
        answer = plugwarden("query", *arguments, url=shared.url, given=given)
        assert (answer.returncode, answer.stdout) == (0, "answer\n------\n    42\n\n1 row\n")


def test_the_command_passes_typed_values(shared: Running) -> None:
    answer = plugwarden(
        "query", "select $n + 1 as n, $t as t, $z as z, $l as l, $at::timestamp as at", "--json",
        "--param", "n=41", "--param", "t=it's", "--param", "z:text=007", "--param", "l=[1,2]", "--param", "at=2026-01-01T00:00:00",
        url=shared.url,
    )  # fmt: skip
    found = json.loads(answer.stdout)
    assert found["rows"] == [[42, "it's", "007", [1, 2], "2026-01-01T00:00:00Z"]]
    assert (found["columns"], found["truncated"]) == (["n", "t", "z", "l", "at"], False)


def test_the_command_writes_csv_and_parquet(shared: Running, tmp_path: Path) -> None:
    sql = "select range as n, 'a,\"b' as t, [1, 2] as l, interval 1 day as i from range(3000)"
    text = plugwarden_process("query", sql, "--csv", url=shared.url).stdout
    rows = list(csv.reader(io.StringIO(text)))
    assert (len(rows), rows[0]) == (3001, ["n", "t", "l", "i"])
    assert rows[3000] == ["2999", 'a,"b', "[1, 2]", '{"months": 0, "days": 1, "seconds": 0.0}']
    file = tmp_path / "out.parquet"
    assert plugwarden("query", sql, "--parquet", str(file), url=shared.url).returncode == 0
    assert pq.read_table(file).column("l").to_pylist()[-1] == [1, 2]
    answer = plugwarden("query", "select nothing", "--parquet", str(file), url=shared.url)
    assert (answer.returncode, pq.read_table(file).num_rows) == (1, 3000)
    assert [item.name for item in tmp_path.iterdir() if item.name.startswith(".")] == []


def test_the_command_exports_a_view_whole(collector: Running, tmp_path: Path) -> None:
    rows = 250_000

    def fill(connection: Any) -> None:
        sql = f"insert into changes select now()::timestamp, 'test', null, null, null, 'x' || range from range({rows})"
        connection.execute(sql)

    collector.collector.writer.run(fill).result(timeout=60)
    answer = plugwarden("export", "changes", str(tmp_path / "c.parquet"), "--json", url=collector.url)
    assert json.loads(answer.stdout) == {"file": str(tmp_path / "c.parquet"), "rows": rows, "truncated": False}
    assert pq.read_metadata(tmp_path / "c.parquet").num_rows == rows
    answer = plugwarden("export", "meta", str(tmp_path / "m.parquet"), url=collector.url)
    assert answer.returncode == 1
    assert "is not a view" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["select name from spam"], 'line 1, column 18: view "spam" does not exist; did you mean "spans"?'),
        ([], "--views"),
        (["select 1", "--csv", "--json"], "choose one"),
        (["select 1", "--param", "x"], "NAME=VALUE"),
        (["select 1", "--param", "x:date=2026-01-01"], "cast"),
        (["-f", "/nonexistent"], "--file"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(shared: Running, arguments: list[str], said: str) -> None:
    answer = plugwarden("query", *arguments, url=shared.url)
    assert answer.returncode in (1, 2)
    assert said in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_watch_ends_cleanly_with_ctrl_c(shared: Running) -> None:
    line = [sys.executable, "-W", "ignore", "-m", "plugwarden_collector", "query", "select 7 as a", "--watch", "0.5"]
    process = subprocess.Popen(
        [*line, "--url", shared.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A job that a shell runs in the background ignores the signal, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    shown = "".join(process.stdout.readline() for _ in range(10))
    process.send_signal(2)
    _, errors = process.communicate(timeout=20)
    assert shown == "a\n-\n7\n\n1 row\n" * 2
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("width", ["60", "80"])
def test_rows_that_fit_no_table_are_records_and_nothing_is_left_out(shared: Running, width: str) -> None:
    columns = ", ".join(f"{n} as column_{n}" for n in range(25))
    wide = "'数' || repeat('数', 59) as wide"
    text = plugwarden(
        "query", f"select {columns}, {wide}, repeat('x', 100) as long", url=shared.url, COLUMNS=width
    ).stdout
    lines = text.splitlines()
    assert lines[:2] == ["column_0   0", "column_1   1"]
    assert max(map(cell_len, lines)) <= int(width)
    assert (text.count("数"), text.count("x")) == (60, 100)
    assert plain_rows(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])) == [[1, 2]]
