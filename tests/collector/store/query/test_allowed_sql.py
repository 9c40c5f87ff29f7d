"""What a statement may name: the stable views, and functions that only read."""

from __future__ import annotations

import pyarrow as pa
import pytest
from plugwarden_collector.errors import QueryError
from plugwarden_collector.store import Database, run_query


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
