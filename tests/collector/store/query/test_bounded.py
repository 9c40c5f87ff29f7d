"""Which statements run in the collector, and which in a process that may be killed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plugwarden_collector.store.duckdb.engine import connect
from plugwarden_collector.store.duckdb.query.reader.bounded import is_bounded

from tests.collector.support.hostile_statements import HOSTILE
from tests.docs_pages import examples


def bounded(sql: str) -> bool:
    with connect() as connection:
        row = connection.execute("select json_serialize_sql($sql::varchar)", {"sql": sql}).fetchall()[0]
    tree: dict[str, Any] = json.loads(row[0])
    return not tree["error"] and is_bounded(tree["statements"][0]["node"])


@pytest.mark.parametrize("sql", examples(), ids=lambda sql: sql.splitlines()[0][3:60])
def test_questions_of_the_reference_are_quick(sql: str) -> None:
    assert bounded(sql) == ("quantile_cont" not in sql)  # which keeps every value


@pytest.mark.parametrize(
    "sql",
    [
        "select * from spans order by started_at desc limit 100",
        "select plugin_id, count(*), avg(duration_seconds), count(distinct name) from spans group by all",
        "select calls + 1, bucket_start + interval 1 hour, calls + sum(calls) from plugin_calls group by all",
        "select attributes['a'], events[1].name, len(bucket_index) from spans",
        "select unnest(bucket_index) from plugin_calls",
        "select name from logs where body ilike '%timeout%' and contains(body, 'x')",
        "select rank() over (partition by plugin_id order by calls) from plugin_calls",
        "with a as (from spans) select * from a left join logs using (trace_id) where exists (from alerts)",
        "select try_cast(name as decimal(10, 2)), name::varchar(10) from spans",
        "summarize spans",
    ],
)
def test_what_answers_with_something_of_fixed_size_is_bounded(sql: str) -> None:
    assert bounded(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select name || name from spans",
        "select bucket_index + bucket_index from plugin_calls",
        "select a.l + b.l from (select [1] as l) a, (select [2] as l) b",
        "select max(name, 1000000) from spans",
        "select arg_max(name, duration_seconds, 1000000) from spans",
        "select list(name) from spans",
        "select any_value(name order by started_at) from spans",
        "select name::integer[] from spans",
        "select name from logs where body like '%a%b%c%'",
        "select name from logs where body like name",
        "select contains(body, body) from logs",
        "select regexp_matches(body, 'a') from logs",
        "select [body, body, body] from logs",
        "select {'a': body, 'b': body} from logs",
        "select list_transform(bucket_index, lambda x: x + 1) from plugin_calls",
        "select unnest([[1], [2]]) from spans",
        "select count(*) from spans group by cube(name, kind)",
        "select sum(calls) over (order by calls rows between 5 preceding and 5 following) from plugin_calls",
        "select columns('a.*') from spans",
        "select body.repeat(3) from logs",
        "with recursive t as (select 1 as a union all select a + 1 from t) from t",
        "from (pivot spans on outcome in ('success') using count(*))",
        "select a from spans asof join logs on spans.started_at > logs.time",
        "select strftime(started_at, '" + "%c" * 600 + "') from spans",
        "select no_such_function(1)",
        "select " + ", ".join("1" for _ in range(2000)),
        "select " + " + ".join("1" for _ in range(200)),
    ],
)
def test_what_may_grow_or_is_not_known_is_not_bounded(sql: str) -> None:
    assert not bounded(sql)


def test_few_of_the_hostile_statements_are_bounded() -> None:
    """Those that DuckDB interrupts and lets spill: joins, sorts and rows without an end."""
    found = {name for name, sql in HOSTILE.items() if len(sql) < 2000 and bounded(sql)}
    assert found <= {"a cross join", "stars of stars", "one column many times", "many relations"}
