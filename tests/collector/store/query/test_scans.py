"""What a reader process gets of the store: columns and rows that it needs, of one state, and nothing that it makes up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import duckdb
import pyarrow as pa
import pytest
from duckdb._sources import nodes
from plugwarden_collector.errors import QueryError
from plugwarden_collector.store import Database, QueryStream, run_query
from plugwarden_collector.store.answer import collect
from plugwarden_collector.store.duckdb.query.limits import End, Watch
from plugwarden_collector.store.duckdb.query.reader import scans
from plugwarden_collector.store.duckdb.query.reader.bounded import SAFE_FUNCTIONS
from plugwarden_collector.store.duckdb.query.reader.pool import ReaderPool
from plugwarden_collector.store.duckdb.query.reader.scans import OPERATOR_MEMORY, question
from plugwarden_collector.store.duckdb.query.reader.source import ViewSource
from plugwarden_collector.store.duckdb.query.stream import _described, _schemas
from plugwarden_collector.store.views import stable_views

AT = datetime(2026, 1, 1)
FORCED = "select * from ({sql}) q where len(list_distinct([1])) = 1"
"""The same in a reader process, whatever it is."""


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "filled")
    cursor = database.cursor()
    cursor.execute(
        "insert into changes select $at + range * interval 1 minute, 'kind ' || range % 3, 'plugin ' || range % 7, "
        "if(range % 5 = 0, null, range::varchar), null, 'it''s \"' || range from range(1000)",
        {"at": AT},
    )
    cursor.close()
    yield database
    database.close()


@pytest.mark.parametrize(
    "condition",
    [
        "true",
        "plugin_id = 'plugin 3'",
        "time > timestamp '2026-01-01 05:00' and time <= timestamp '2026-01-01 08:20'",
        "plugin_id in ('plugin 1', 'plugin 2', 'it''s') or kind <> 'kind 0'",
        "plugin_version is null",
        "plugin_version is not null and not (kind = 'kind 1' or plugin_id < 'plugin 2')",
        "text = 'it''s \"17'",
        "plugin_id between 'plugin 2' and 'plugin 4'",
        "time > now()::timestamp",
        "plugin_id = 'plugin ' || 1 and regexp_matches(kind, '[12]')",
    ],
)
def test_rows_are_the_same_in_either_place(filled: Database, condition: str) -> None:
    sql = f"select * from changes where {condition} order by time"
    here, there = run_query(filled, sql).table, run_query(filled, FORCED.format(sql=sql) + " order by time").table
    assert there.to_pylist() == here.to_pylist()
    assert there.schema.types == here.schema.types


@pytest.mark.parametrize("view", stable_views())
def test_views_have_the_same_types_in_either_place(database: Database, view: str) -> None:
    described = f"select column_name, column_type from (describe from {view})"
    here = run_query(database, described).table.to_pylist()
    there = run_query(database, FORCED.format(sql=described)).table.to_pylist()
    assert there == here == [{"column_name": c.name, "column_type": c.type} for c in stable_views()[view].columns]


def test_several_scans_of_a_statement_read_one_state(filled: Database) -> None:
    cursors = filled.snapshot(3, OPERATOR_MEMORY)
    writing = filled.cursor()
    try:
        writing.execute("begin")
        writing.execute("delete from changes where kind = 'kind 0'")
        filled.commit(writing)
        counts = [cursor.execute("select count(*) from changes").fetchall()[0][0] for cursor in cursors]
        assert counts == [1000] * 3
    finally:
        for cursor in (*cursors, writing):
            cursor.close()
    counted = "(select count(*) from changes), (select string_agg(kind) from changes)"
    sql = f"select {counted} from changes a join changes b using (time)"
    assert len(run_query(filled, sql).table) > 500


def test_a_scan_that_fails_under_way_is_no_shorter_answer(filled: Database) -> None:
    cursor = filled.cursor()
    cursor.execute(
        "insert into resource_rows select range, 's', 'i', 'h', 'e', false, if(range = 49000, 'no json', '{}') from range(50000)"
    )
    cursor.close()
    with pytest.raises(QueryError, match="JSON"):
        run_query(filled, "select len(list(attributes)) from resources")
    assert run_query(filled, "select len(list(id)) as n from resources").table.to_pylist() == [{"n": 50000}]
    ids = run_query(filled, "select list_sort([id]) from resources limit 3").table  # stops its scan early
    assert len(ids) == 3


def test_a_scan_that_is_ended_is_no_shorter_answer(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    real, begun = Watch.begin, []

    def begin(self: Watch, cursor: Any, seconds: float) -> Any:
        ticket = real(self, cursor, seconds)
        begun.append(ticket)
        ticket.ended = End.MEMORY  # before its first row; the watch goes on interrupting it
        return ticket

    monkeypatch.setattr(Watch, "begin", begin)
    with pytest.raises(QueryError, match="more memory"):
        run_query(filled, "select len(list(kind)) from changes")
    assert begun


@pytest.mark.parametrize(
    "asked",
    [
        {"view": "meta", "columns": ["key"]},
        {"view": "spans", "columns": []},
        {"view": "spans", "columns": ["trace_hi"]},
        {"view": "spans", "columns": ['name" from meta --']},
        {"view": "spans", "columns": ["name"], "conditions": [["= 1 or", "name", "VARCHAR", "x"]]},
        {"view": "spans", "columns": ["name"], "conditions": [["=", "trace_hi", "UBIGINT", "1"]]},
        {"view": "spans", "columns": ["name"], "conditions": [["=", "name", "VARCHAR) or (1", "x"]]},
        {"view": "spans", "columns": ["name"], "conditions": [["=", "name", "VARCHAR", 1]]},
        {"view": "spans", "columns": ["name"], "conditions": ["true"]},
    ],
)
def test_nothing_that_a_process_makes_up_becomes_sql(asked: dict[str, Any]) -> None:
    with pytest.raises(QueryError, match="a reader process asked for"):
        question(asked)


def test_values_of_conditions_are_bound() -> None:
    sql, values = question(
        {"view": "spans", "columns": ["name"], "conditions": [["=", "name", "VARCHAR", "x' or '1'='1"]]}
    )
    assert sql == 'select "name" from "spans" where ("name" = $v0::varchar::VARCHAR)'
    assert values == {"v0": "x' or '1'='1"}


def test_only_what_is_said_exactly_is_left_to_the_collector(database: Database) -> None:
    source = ViewSource("spans", _schemas(database)["spans"], lambda *_: pa.table({}).to_reader())
    name, number = nodes.Col(("name",)), nodes.Col(("duration_seconds",))
    assert source.accepts(nodes.Binary("=", name, nodes.Lit("x", "VARCHAR")))
    assert source.accepts(
        nodes.Binary(">", nodes.Col(("started_at",)), nodes.Lit(AT + timedelta(microseconds=1), "TIMESTAMP"))
    )
    assert not source.accepts(nodes.Binary("=", number, nodes.Lit(float("nan"), "DOUBLE")))
    assert not source.accepts(nodes.Binary("=", nodes.Col(("events", "name")), nodes.Lit("x", "VARCHAR")))
    assert not source.accepts(nodes.In(name, [nodes.Lit(str(n), "VARCHAR") for n in range(5000)]))


def test_bounded_functions_exist_and_none_of_them_makes_longer_values(database: Database) -> None:
    growing = {
        "concat",
        "||",
        "repeat",
        "lpad",
        "rpad",
        "replace",
        "format",
        "printf",
        "string_agg",
        "list",
        "histogram",
    }
    assert not SAFE_FUNCTIONS & growing
    with database.reading() as cursor:
        known = {row[0] for row in cursor.execute("select distinct function_name from duckdb_functions()").fetchall()}
    spoken = {
        "current_date",
        "current_timestamp",
        "count_if",
        "position",
        "nullif",
        "ifnull",
        "element_at",
    }
    assert SAFE_FUNCTIONS - known - spoken == set()
    assert scans.MAX_SCANS >= 8


def test_a_process_is_given_back_whatever_becomes_of_its_scans(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, pool = scans.Scans.close, ReaderPool(1)

    def failing(self: scans.Scans) -> None:
        close(self)
        raise duckdb.Error("it refuses")

    def ask() -> int:
        sql = FORCED.format(sql="select * from changes")
        return len(collect(QueryStream(filled, sql, pool=pool, timeout_seconds=5.0)).table)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(scans.Scans, "close", failing)
            with pytest.raises(QueryError, match="it refuses"):
                ask()
        assert ask() == 1000
    finally:
        pool.close()


def test_whoever_asks_while_views_are_looked_up_knows_every_one(filled: Database) -> None:
    """Before, a process that was started meanwhile knew only some of them for as long as it ran."""
    _described.clear()
    known = []

    class Slow:
        @contextmanager
        def reading(self) -> Iterator[Any]:
            with filled.reading() as cursor:

                def sql(text: str) -> Any:
                    known.append(len(_described))
                    return cursor.sql(text)

                yield SimpleNamespace(sql=sql)

    assert len(_schemas(cast(Database, Slow()))) == len(stable_views())
    assert set(known) == {0}
