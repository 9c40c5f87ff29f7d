"""How queries end: in time, in memory, and at their limits, while ingest goes on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from plugwarden_collector.errors import QueryError, QueryTimeoutError, StoreError
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.store import Database, QueryStream, Writer, run_query
from plugwarden_collector.store.answer import collect

from tests.collector.support.hostile_statements import ENDLESS

# Opening is in the time as well: a process starts, and on a busy machine that has taken over 0.3 s.
ENOUGH_TO_OPEN = 3.0
NEST = "select 'ab' as x"
for _ in range(40):
    NEST = f"select x || y as x from (select x, x as y from ({NEST}))"


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
    stream = QueryStream(
        database, "select a.range from range(1000000000) a", limit=100_000_000, timeout_seconds=ENOUGH_TO_OPEN
    )
    try:
        stream.open()
        batches = iter(stream)
        next(batches)
        time.sleep(ENOUGH_TO_OPEN)
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


@pytest.mark.parametrize("value", ["repeat('x', 1000)", "name"])
def test_bytes_beyond_the_limit_are_cut_and_said_so(database: Database, value: str) -> None:
    name = "x" * 1000  # in a reader process, and in the collector
    sql = f"select {value} from (select $name::varchar as name) n, range(10000)"
    stream = QueryStream(database, sql, {"name": name}, max_bytes=1_000_000)
    answer = collect(stream)
    assert stream.truncated == "bytes"
    assert answer.truncated
    assert 500 < len(answer.table) <= 1000
