"""Queries: what they may name, how they end, how they stream, and how they are shown."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from plugwarden_collector.api import sql as sql_route
from plugwarden_collector.api.client import ApiError
from plugwarden_collector.api.plain import plain_rows
from plugwarden_collector.command.grid import grid
from plugwarden_collector.errors import QueryError, QueryTimeoutError, StoreError
from plugwarden_collector.receive.decode import Signal, read
from plugwarden_collector.store import Database, QueryStream, Writer, run_query
from plugwarden_collector.store.views import stable_views

from .conftest import Running, running
from .small_store import fill

ENDLESS = "select count(*) from range(1000000000) a, range(1000000000) b where a.range % 7 = b.range % 5"
NEST = "select 'ab' as x"
for _ in range(40):
    NEST = f"select x || y as x from (select x, x as y from ({NEST}))"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = Database(tmp_path_factory.mktemp("store"))
    yield opened
    opened.close()


# -- what a statement may name ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "from spans",
        "table logs",
        "describe spans",
        "summarize plugin_calls",
        "values (1), (2);",
        "explain select * from spans",
        "-- why?\n/* really */ explain analyze from spans",
        "select * from main.spans join logs using (trace_id)",
        "with requests as (select 1 as a) from requests",
        "with recursive t as (select 1 as a union all select a + 1 from t where a < 5) from t",
        "with a as (from spans), b as (from a) select (select count(*) from b)",
        "from (pivot spans on outcome in ('success', 'error') using count(*) group by plugin_id)",
        "select list_transform(bucket_index, lambda x: x + 1), [y * 2 for y in bucket_index] from plugin_calls",
        "select attributes['a'], repeat('ab', 3), lpad(name, 9, ' '), format('{:>10.2f}', 1.5), replace(name, 'a', 'b') from spans",
        "select quantile_cont(duration_seconds, 0.5), count(*) filter (outcome = 'error') from spans",
        "select unnest(bucket_index) as index, unnest(bucket_count) as count from plugin_calls",
        "select sum(calls) over (partition by plugin_id order by bucket_start) from plugin_calls",
        "select json_extract_string(labels, '$.plugin'), random(), uuid(), now(), pg_typeof(1) from alerts",
        "from range(3) t(x), generate_series(timestamp '2026-01-01', timestamp '2026-01-02', interval 1 hour) s(t)",
    ],
)
def test_what_people_ask_is_answered(database: Database, sql: str) -> None:
    run_query(database, sql)


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        # other statements
        ("drop table meta", "only reads"),
        ("select 1; select 2", "one statement"),
        ("copy meta to '/tmp/x'", "only reads"),
        ("export database '/tmp/x'", "only reads"),
        ("set memory_limit = '1TB'", "only reads"),
        ("pragma database_list", "only reads"),
        ("attach '/tmp/other.db'", "only reads"),
        ("install httpfs", "only reads"),
        ("call force_checkpoint()", "only reads"),
        ("checkpoint", "only reads"),
        ("create temp table x (a integer)", "only reads"),
        ("prepare p as select 1", "only reads"),
        ("execute p", "only reads"),
        ("begin", "only reads"),
        ("explain insert into meta values ('a', 'b')", "only reads"),
        ("explain analyze insert into meta values ('a', 'b')", "only reads"),
        ("with x as (insert into meta values ('a', 'b') returning key) from x", "only reads"),
        ("pivot spans on outcome", "name its values"),
        ("", "one statement"),
        ("select 1 \0", "NUL"),
        # files, settings, other databases, the catalog
        ("from '/etc/passwd'", "does not exist"),
        ("from read_csv('/etc/passwd')", "read_csv is not allowed"),
        ("from read_text('/etc/passwd')", "read_text is not allowed"),
        ("from glob('/*')", "glob is not allowed"),
        ("from sniff_csv('/etc/passwd')", "sniff_csv is not allowed"),
        ("from parquet_metadata('/x')", "parquet_metadata is not allowed"),
        ("from query('select 1')", "query is not allowed"),
        ("from query_table('meta')", "query_table is not allowed"),
        ("from histogram(meta, key)", "histogram is not allowed"),
        ("from json_execute_serialized_sql(json_serialize_sql('from meta'))", "not allowed"),
        ("select json_serialize_plan('from meta')", "not allowed"),
        ("from duckdb_settings()", "not allowed"),
        ("from duckdb_secrets()", "not allowed"),
        ("from which_secret('s3://x', 's3')", "not allowed"),
        ("from information_schema.tables", "does not exist"),
        ("from pg_catalog.pg_class", "does not exist"),
        ("from sqlite_master", "does not exist"),
        ("show tables", "DESCRIBE"),
        ("show databases", "DESCRIBE"),
        ("select current_setting('temp_directory')", "not allowed"),
        ("select getvariable('x')", "not allowed"),
        ("select getenv('HOME')", "does not exist"),
        ("from other.spans", "does not exist"),
        ("from plugwarden.main.spans", "does not exist"),
        # functions that act
        ("from force_checkpoint()", "not allowed"),
        ("from enable_logging()", "not allowed"),
        ("from truncate_duckdb_logs()", "not allowed"),
        ("select nextval('s')", "not allowed"),
        ("select write_log('x')", "not allowed"),
        ("select sleep_ms(1000)", "not allowed"),
        ("select pg_sleep(1)", "not allowed"),
        # values that outgrow every limit within one step
        ("select repeat('a', 3000000000)", "up to 1000"),
        ("select \"REPEAT\"('a', 3000000000)", "up to 1000"),
        ("select x.repeat(1000000000) from (select 'a' as x)", "without a name before it"),
        ("select repeat(x, 1000) from (select repeat('a', 1000) as x)", "multiply"),
        ("select repeat('a', n) from (select 3000000000 as n)", "up to 1000"),
        ("select range(1000000000)", "in FROM"),
        ("select lpad('a', 2000000000, 'b')", "up to 1000"),
        ("select format('{:1000000000}', 1)", "widths"),
        ("select format('{:{}}', 1, 1000000000)", "widths"),
        ("select printf('%*d', 1000000000, 1)", "widths"),
        ("select replace(name, 'a', name) from spans", "text in quotes"),
        ("select x || x || x from " + "(select x || x as x from " * 12 + "(select 'a' as x)" + ")" * 12, "multiply"),
        ("select list_distinct([1])", "list.distinct"),
        ("select name && name from spans", "unnest and join"),
        ("select list_reduce([1], lambda a, b: a)", "not allowed"),
        ("select list_transform([1], lambda x: list_contains([1], x))", "lambda"),
        ("select " + "hex(" * 20 + "'a'" + ")" * 20, "multiply"),
        ("select " + ",".join("1" for _ in range(20_001)), "too large"),
        ("select 1 from " + ", ".join(f"spans s{n}" for n in range(41)), "at most 40"),
        ("select '" + "x" * 100_001 + "'", "longer than"),
    ],
)
def test_a_reader_cannot_do_more_than_read(database: Database, sql: str, word: str) -> None:
    with pytest.raises(QueryError, match=word):
        run_query(database, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "from meta",
        "from main.meta",
        "describe meta",
        "summarize select * from meta",
        "with meta as (from meta) from meta",
        "select * from (with meta as (select 1) from meta), meta",
        "with recursive meta as (from meta union all select 'a', 'b' where false) from meta",
        "with t as materialized (from meta) select 1",
        "select (select value from meta limit 1)",
        "select 1 where exists (from meta)",
        "select * from spans where name in (select value from meta)",
        "select * from spans order by (select value from meta)",
        "from spans limit (select 1 from meta)",
        "select sum(1) filter (where exists (from meta)) from spans",
        "select sum(x order by (select value from meta)) from range(3) t(x)",
        "select count(*) over (order by (select value from meta limit 1)) from spans",
        "select * replace ((select value from meta) as name) from spans",
        "select columns(c -> c in (select value from meta)) from spans",
        "select try((select value from meta))",
        "select 1 group by (select value from meta)",
        "select distinct on ((select value from meta)) 1",
        "select * from spans join lateral (from meta) on true",
        "from (values ((select value from meta))) t",
        "from range((select 1 from meta))",
        "from unnest((select [value] from meta))",
        "unpivot meta on value into name n value v",
        "from (pivot meta on key in ('a') using first(value))",
        "select 1 union all select 1 from meta",
        "explain from meta",
        "from span_rows",
        "from duckdb_tables",
    ],
)
def test_internal_tables_do_not_exist_for_readers(database: Database, sql: str) -> None:
    with pytest.raises(QueryError, match=r'view "[\w.]+" does not exist'):
        run_query(database, sql)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select *\nfrom spam", 'line 2, column 6: view "spam" does not exist; did you mean "spans"?'),
        ("select durtion from spans", 'line 1, column 8: Referenced column "durtion" .*"duration_seconds"'),
        ("select\n  'é', durtion from spans", 'line 2, column 8: Referenced column "durtion"'),
        ("select nme, " + "name, " * 40 + " name from spans", 'line 1, column 8: .*"nme".*"name"'),
        ("select " + "name, " * 40 + "nme from spans", 'line 1, column 248: .*"nme".*"name"'),
        ("select roudn(1.5)", "line 1, column 8: Scalar Function with name roudn .*round"),
        ("select 1\nfrm spans", "line 2, column 1|line 2, column 5"),
        ("select 'a'::integer", "line 1, column 11: Could not convert"),
    ],
)
def test_errors_say_where_and_what_is_nearest(database: Database, sql: str, said: str) -> None:
    with pytest.raises(QueryError, match=said.replace("?", "[?]")):
        run_query(database, sql)


def test_python_variables_are_not_tables(database: Database) -> None:
    secret = pa.table({"a": [1]})  # noqa: F841 - what a query must not find
    with pytest.raises(QueryError, match="does not exist"):
        run_query(database, "select * from secret")


def test_every_function_that_acts_is_refused(database: Database) -> None:
    """A newer DuckDB may bring more of them: they are refused without anyone having thought of them."""
    with database.reading() as cursor:
        rows = cursor.execute(
            "select distinct function_name, function_type from duckdb_functions() "
            "where (stability = 'VOLATILE' or function_type in ('table', 'table_macro', 'pragma')) and function_name ~ '^\\w+$'"
        ).fetchall()
    harmless = {"random", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "error"}
    harmless |= {"range", "generate_series", "unnest", "json_each", "json_tree", "repeat_row"}
    assert len(rows) > 100
    for name, kind in rows:
        if name not in harmless:
            sql = f"select {name}()" if kind == "scalar" else f"from {name}()"
            with pytest.raises(QueryError):
                run_query(database, sql)


# -- how they end -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        ENDLESS,
        "with recursive t as (select 1::hugeint as a union all select a + 1 from t) select max(a) from t",
        "select count(*) from range(100000000000) t(a) where regexp_matches(a::varchar || 'aaaaaaaaaaaaaaaa', '(a*)*b|(.*)*c')",
        "select count(*) from (select unnest(l) from (select list(range) as l from range(100000)), range(1000000))",
        "select max(md5(range::varchar)) from range(100000000000)",
        "explain analyze " + ENDLESS,
    ],
)
def test_a_long_query_is_interrupted(database: Database, sql: str) -> None:
    with pytest.raises(QueryTimeoutError, match=r"interrupted after 0\.2 s"):
        run_query(database, sql, timeout_seconds=0.2)
    assert run_query(database, "select 1 as a").table.to_pylist() == [{"a": 1}]


def test_a_query_is_interrupted_while_its_reader_sleeps(database: Database) -> None:
    stream = QueryStream(database, "select a.range from range(1000000000) a", limit=100_000_000, timeout_seconds=0.3)
    try:
        stream.open()
        batches = iter(stream)
        next(batches)
        time.sleep(0.5)
        with pytest.raises(QueryTimeoutError):
            for _ in batches:
                pass
    finally:
        stream.close()


def commit(writer: Writer, number: int) -> None:
    """As a client does it: what could not be stored is answered 503, and the same bytes are sent again."""
    message = logs_service_pb2.ExportLogsServiceRequest()
    record = message.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=time.time_ns())
    record.body.string_value = f"commit {number} " + "x" * 100_000
    batch = read(Signal.LOGS, message.SerializeToString())
    end = time.monotonic() + 30
    while True:
        try:
            writer.submit(number, batch.tables, batch.nbytes).result(timeout=30)
            return
        except StoreError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


@pytest.mark.parametrize(
    "sql",
    [
        "select len(list(a.range)) from range(1000000000) a",
        "select length(string_agg('abcdefgh' || range)) from range(1000000000)",
        NEST,
        "with recursive t as (select 'a' as x union all select x || x from t where length(x) < 4000000000) select max(x) from t",
    ],
)
def test_a_hungry_query_is_refused_while_ingest_goes_on(database: Database, sql: str) -> None:
    writer = Writer(database)
    try:
        with ThreadPoolExecutor(1) as pool:
            query = pool.submit(run_query, database, sql, timeout_seconds=60)
            written = 0
            while not query.done() or written < 5:
                commit(writer, written)
                written += 1
            with pytest.raises(QueryError, match="more memory than it may have"):
                query.result()
        stored = run_query(
            database, "select count(*) as n, count(distinct body) as d from logs where body like 'commit %'"
        ).table.to_pylist()
        assert stored == [{"n": written, "d": written}]
    finally:
        writer.run(lambda connection: connection.execute("delete from log_rows")).result(timeout=30)
        writer.run(lambda connection: connection.execute("delete from requests")).result(timeout=30)
        writer.close(10)


def test_sorting_more_than_memory_spills_and_is_right(database: Database) -> None:
    table = run_query(
        database, "select a from range(20000000) t(a) order by hash(a), a limit 1 offset 19999999", timeout_seconds=60
    ).table
    top = run_query(database, "select max(hash(a)) as h from range(20000000) t(a)", timeout_seconds=60).table
    again = run_query(database, "select hash($a::bigint) as h", {"a": table.column(0)[0].as_py()}).table
    assert top.to_pylist() == again.to_pylist()


def test_rows_beyond_the_limit_are_cut_and_said_so(database: Database) -> None:
    answer = run_query(database, "from range($n)", {"n": 50}, limit=5)
    assert (len(answer.table), answer.truncated) == (5, True)
    answer = run_query(database, "from range(?)", [5], limit=5)
    assert (len(answer.table), answer.truncated) == (5, False)


def test_bytes_beyond_the_limit_are_cut_and_said_so(database: Database) -> None:
    stream = QueryStream(database, "select repeat('x', 1000) from range(10000)", max_bytes=1_000_000)
    try:
        schema = stream.open()
        table = pa.Table.from_batches(list(stream), schema)
    finally:
        stream.close()
    assert stream.truncated == "bytes"
    assert 500 < len(table) <= 1000


# -- the route --------------------------------------------------------------------------------------------------------


def ask(collector: Running, sql: str, **more: Any) -> httpx2.Response:
    return httpx2.post(f"{collector.url}/api/v1/query", json={"sql": sql, **more}, timeout=30)


def metric(collector: Running, name: str) -> float:
    text = httpx2.get(f"{collector.url}/metrics").text
    return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " ")), 0.0)


def until(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_json_holds_every_type_safely(collector: Running) -> None:
    cells = {
        "9007199254740991::bigint": 9007199254740991,
        "9007199254740993::bigint": "9007199254740993",
        "170141183460469231731687303715884105727": "170141183460469231731687303715884105727",
        "sum(2::bigint)": 2,
        "1.50::decimal(10, 2)": 1.5,
        "1234567890123456.789::decimal(20, 3)": "1234567890123456.789",
        "'nan'::double": None,
        "'-inf'::double": None,
        "['nan'::double, 1]": [None, 1.0],
        "{'a': 'inf'::double, 'b': [9007199254740993]}": {"a": None, "b": ["9007199254740993"]},
        "map {'a': 1.5}": {"a": 1.5},
        "[map {1: 2}]": [{"1": 2}],
        "map {date '2026-01-01': 1}": {"2026-01-01": 1},
        "timestamp '2026-01-01 00:00:00.5'": "2026-01-01T00:00:00.500000Z",
        "timestamptz '2026-01-01 00:00:00+00'": "2026-01-01T00:00:00Z",
        "'infinity'::timestamp": None,
        "date '2026-01-01'": "2026-01-01",
        "time '10:00'": "10:00:00",
        "interval '1 month 2 days 3 seconds'": {"months": 1, "days": 2, "seconds": 3.0},
        "'ab'::blob": "6162",
        "true": True,
        "null": None,
        "'x'::enum('x')": "x",
        "union_value(k := 1)": 1,
    }
    answer = ask(collector, "select " + ", ".join(f"{sql} as a" for sql in cells))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["columns"] == ["a"] * len(cells)
    for (sql, expected), value in zip(cells.items(), found["rows"][0], strict=True):
        assert value == expected or sql == "'infinity'::timestamp", sql
    assert found["truncated"] is False
    assert found["elapsed_ms"] > 0


def test_arrow_says_at_its_end_how_it_went(collector: Running) -> None:
    table = collector.api.query("from range(100000)", limit=100_000)
    assert (len(table), table.schema.metadata[b"truncated"]) == (100_000, b"false")
    table = collector.api.query("from range(100000)", limit=99_999)
    assert (len(table), table.schema.metadata[b"truncated"]) == (99_999, b"true")
    empty = collector.api.query("select map {'a': [1]} as m, union_value(k := 1) as u, 'x'::enum('x') as e where false")
    assert (len(empty), empty.column_names) == (0, ["m", "u", "e"])
    with collector.api.stream("from range(40000)") as rows:
        assert sum(len(batch) for batch in rows) == 40_000
        assert rows.elapsed_ms is not None
    with (
        pytest.raises(ApiError, match=r"took too long.*interrupted after 0.3 s"),
        collector.api.stream(
            f"select a from range(100000) t(a) union all ({ENDLESS})",
            timeout_seconds=0.3,
        ) as rows,
    ):
        for _ in rows:
            pass
    with (
        pytest.raises(ApiError, match=r"failed under way.*convert"),
        collector.api.stream("select if(a < 20000000, '1', 'x')::integer from range(20000001) t(a)") as rows,
    ):
        for _ in rows:
            pass


def test_the_answer_begins_before_the_query_ends(collector: Running) -> None:
    with collector.api.stream("from range(1000000000)", timeout_seconds=30) as rows:
        assert len(next(iter(rows))) > 0
        assert metric(collector, "plugwarden_queries_running") == 1
    until(lambda: metric(collector, "plugwarden_queries_running") == 0)


@pytest.mark.parametrize("accept", ["application/json", sql_route.ARROW])
def test_a_reader_that_goes_ends_its_query(collector: Running, accept: str) -> None:
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(
            f"{collector.url}/api/v1/query",
            json={"sql": ENDLESS, "timeout_seconds": 300},
            headers={"accept": accept},
            timeout=0.5,
        )
    until(lambda: metric(collector, 'plugwarden_queries_total{result="abandoned"}') == 1)
    until(lambda: metric(collector, "plugwarden_queries_running") == 0)


def test_a_reader_that_does_not_read_loses_its_seat(collector: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_route, "GRACE_SECONDS", 0.2)
    body = {"sql": "select repeat('x', 1000) from range(100000000)", "limit": 100_000_000, "timeout_seconds": 0.5}
    with httpx2.stream(
        "POST", f"{collector.url}/api/v1/query", json=body, headers={"accept": sql_route.ARROW}, timeout=30
    ) as answer:
        assert answer.status_code == 200
        until(lambda: metric(collector, "plugwarden_queries_running") == 0)
    assert collector.scalar("select 1") == 1


def test_a_full_line_answers_503_and_counts(collector: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_route, "WAITING", 1)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, collector, ENDLESS, timeout_seconds=2.0) for _ in range(3)]
        until(lambda: metric(collector, "plugwarden_queries_waiting") == 1)
        refused = ask(collector, "select 1")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert refused.headers["content-type"] == "application/problem+json"
        statuses = [item.result().status_code for item in asked]
    assert statuses == [504, 504, 504]
    assert metric(collector, 'plugwarden_queries_total{result="busy"}') == 1
    assert metric(collector, 'plugwarden_queries_total{result="timed_out"}') == 3


def test_a_step_that_hears_no_interrupt_does_not_keep_its_caller(
    collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    monkeypatch.setattr(sql_route, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(QueryStream, "open", lambda self: released.wait(30))
    answer = ask(collector, "select 1", timeout_seconds=0.2)
    assert (answer.status_code, metric(collector, "plugwarden_queries_running")) == (504, 1)
    released.set()
    until(lambda: metric(collector, "plugwarden_queries_running") == 0)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"sql": "select 1", "limit": 100_001}, "JSON answer"),
        ({"sql": "select 1", "limit": 0}, "limit"),
        ({"sql": "select 1", "timeout_seconds": 301}, "timeout_seconds"),
        ({"sql": "select 1", "more": 1}, "more"),
        ({"sql": ""}, "sql"),
        ({"sql": "select 1", "params": 3}, "params"),
    ],
)
def test_a_wrong_request_names_its_field(collector: Running, body: dict[str, Any], word: str) -> None:
    answer = httpx2.post(f"{collector.url}/api/v1/query", json=body)
    assert answer.status_code == 422
    assert word in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"sql": "select $a", "params": {}},
        {"sql": "select $a", "params": {"b": 1}},
        {"sql": "select ?", "params": [1, 2]},
        {"sql": "select $a, ?", "params": {"a": 1}},
        {"sql": "select $a::integer", "params": {"a": [[1]]}},
        {"sql": "select $a", "params": {"a": 10**400}},
        {"sql": "select 'infinity'::timestamp / 0"},
        {"sql": "select \ud800"},
    ],
)
def test_wrong_values_are_answered_with_400(collector: Running, body: dict[str, Any]) -> None:
    answer = httpx2.post(f"{collector.url}/api/v1/query", content=json.dumps(body).encode())
    assert answer.status_code in (400, 422), answer.text


# -- the command ------------------------------------------------------------------------------------------------------


def command(collector: Running, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-W", "ignore", "-m", "plugwarden_collector", *arguments]
    if arguments[0] in ("query", "export"):
        line += ["--url", collector.url]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, input=given)


def test_the_command_takes_sql_from_anywhere(collector: Running, tmp_path: Path) -> None:
    file = tmp_path / "ask.sql"
    file.write_text("select 42 as answer")
    for arguments, given in (
        (["select 42 as answer"], None),
        (["-f", str(file)], None),
        (["-"], "select 42 as answer"),
    ):
        answer = command(collector, "query", *arguments, given=given)
        assert (answer.returncode, answer.stdout) == (0, "answer\n------\n    42\n\n1 row\n")


def test_the_command_passes_typed_values(collector: Running) -> None:
    answer = command(
        collector, "query", "select $n + 1 as n, $t as t, $z as z, $l as l, $at::timestamp as at", "--json",
        "--param", "n=41", "--param", "t=it's", "--param", "z:text=007", "--param", "l=[1,2]", "--param", "at=2026-01-01T00:00:00",
    )  # fmt: skip
    found = json.loads(answer.stdout)
    assert found["rows"] == [[42, "it's", "007", [1, 2], "2026-01-01T00:00:00Z"]]
    assert (found["columns"], found["truncated"]) == (["n", "t", "z", "l", "at"], False)


def test_the_command_writes_csv_and_parquet(collector: Running, tmp_path: Path) -> None:
    sql = "select range as n, 'a,\"b' as t, [1, 2] as l, interval 1 day as i from range(3000)"
    text = command(collector, "query", sql, "--csv").stdout
    rows = list(csv.reader(io.StringIO(text)))
    assert (len(rows), rows[0]) == (3001, ["n", "t", "l", "i"])
    assert rows[3000] == ["2999", 'a,"b', "[1, 2]", '{"months": 0, "days": 1, "seconds": 0.0}']
    file = tmp_path / "out.parquet"
    assert command(collector, "query", sql, "--parquet", str(file)).returncode == 0
    assert pq.read_table(file).column("l").to_pylist()[-1] == [1, 2]
    answer = command(collector, "query", "select nothing", "--parquet", str(file))
    assert (answer.returncode, pq.read_table(file).num_rows) == (1, 3000)
    assert [item.name for item in tmp_path.iterdir() if item.name.startswith(".")] == []


def test_the_command_exports_a_view_whole(collector: Running, tmp_path: Path) -> None:
    rows = 250_000

    def fill(connection: Any) -> None:
        sql = f"insert into changes select now()::timestamp, 'test', null, null, null, 'x' || range from range({rows})"
        connection.execute(sql)

    collector.collector.writer.run(fill).result(timeout=60)
    answer = command(collector, "export", "changes", str(tmp_path / "c.parquet"), "--json")
    assert json.loads(answer.stdout) == {"file": str(tmp_path / "c.parquet"), "rows": rows, "truncated": False}
    assert pq.read_metadata(tmp_path / "c.parquet").num_rows == rows
    answer = command(collector, "export", "meta", str(tmp_path / "m.parquet"))
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
def test_the_command_says_what_is_wrong_in_one_line(collector: Running, arguments: list[str], said: str) -> None:
    answer = command(collector, "query", *arguments)
    assert answer.returncode in (1, 2)
    assert said in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_watch_ends_cleanly_with_ctrl_c(collector: Running) -> None:
    line = [sys.executable, "-W", "ignore", "-m", "plugwarden_collector", "query", "select 7 as a", "--watch", "0.5"]
    process = subprocess.Popen(
        [*line, "--url", collector.url],
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


def test_a_grid_fits_and_is_stable() -> None:
    long, wide = "x" * 100, "数" * 60
    text = grid(["name", "n", "text"], [["a", 1, long], ["bb", 22.5, wide]], 80)
    assert all(len(line.encode("utf-16-le")) // 2 <= 80 for line in text.splitlines())
    assert text.splitlines()[0] == "name     n  text"
    assert text.splitlines()[2].endswith("x…")
    many = grid([f"column_{n}" for n in range(25)], [list(range(25))], 80)
    assert many.splitlines()[:2] == ["-- row 1 --", "column_0   0"]
    assert max(map(len, many.splitlines())) <= 80
    assert grid(["a"], [], 80) == "a\n-"
    assert "\x1b" not in grid(["\x1b[31m"], [["\x1b]0;evil\x07"]], 80)
    assert plain_rows(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])) == [[1, 2]]


# -- the reference ----------------------------------------------------------------------------------------------------


def test_the_stable_views_are_what_the_database_has(database: Database) -> None:
    with database.reading() as cursor:
        for view in stable_views().values():
            described = [(str(row[0]), str(row[1])) for row in cursor.execute(f"describe {view.name}").fetchall()]
            assert described == [(column.name, column.type) for column in view.columns], view.name
            assert all(column.text.endswith((".", "`.", ")")) and len(column.text) > 3 for column in view.columns), (
                view.name
            )


def test_the_reference_says_what_the_views_are() -> None:
    checked = subprocess.run(
        [sys.executable, "docs/sql_reference.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def examples() -> list[str]:
    text = (ROOT / "docs/reference/sql.md").read_text("utf-8")
    return [block.split("```")[0].strip() for block in text.split("```sql\n")[1:]]


@pytest.fixture(scope="module")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("small")) as found:
        fill(found)
        yield found


@pytest.mark.parametrize("sql", examples(), ids=lambda sql: sql.splitlines()[0][3:60])
def test_every_example_of_the_reference_finds_something(small_store: Running, sql: str) -> None:
    table = small_store.api.query(sql, {"plugin": "csv"} if "$plugin" in sql else None)
    assert len(table) > 0
    assert not any(column.null_count == len(column) for column in table.columns), table.to_pylist()[:2]


def test_there_are_ten_examples() -> None:
    assert len(examples()) >= 10
