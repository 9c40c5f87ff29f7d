"""Fills a store of the collector's own layout with as much as a fleet makes, faster than a fleet makes it.

Spans over the last day, calls by the minute and by the hour over a month, and by the second over the last minutes; written in
the order of time, as the collector would have, with the collector's own index of traces.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.traces.index import TraceIndex

__all__ = ["Shape", "build", "identity_of", "name_of", "prepare"]

MARK = "built.json"
CHUNK = 1_000_000
BATCH = 2_048
"""Spans a commit, at a load at which commits are not full row groups."""
TRACE = 5
"""Spans a trace."""
VARIANTS = 8
"""Minutes of one plugin that differ."""
SECONDS_KEPT = timedelta(minutes=10)
LOG_MEDIAN, LOG_SIGMA = float(np.log(0.008)), 1.1
"""Durations are log-normal: 8 ms in the middle, one in a thousand above a quarter of a second."""
ERRORS = 0.01

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Shape:
    """How much."""

    spans: int = 50_000_000
    plugins: int = 1_000
    days: int = 30


def name_of(rank: int) -> str:
    """The plugin with this rank by calls, from 1."""
    return f"plugin-{rank:04d}"


def identity_of(rank: int) -> tuple[str, str, str, str]:
    """Service, plugin, version and operation of the plugin with this rank: what the store says of it too (_MACROS)."""
    operation = ("export", "import", "render", "score", "lookup", "sync")[rank % 6]
    return f"service-{rank % 20:02d}", name_of(rank), f"1.{rank % 7}.0", operation


def prepare(folder: Path, shape: Shape, say: Say) -> datetime:
    """Build the store unless the folder has it already; answers when its data end."""
    mark = folder / MARK
    if mark.exists():
        found = json.loads(mark.read_text("utf-8"))
        if found["shape"] == asdict(shape):
            return datetime.fromisoformat(found["until"])
        raise SystemExit(f"{folder} holds another store ({found['shape']}); name an empty folder with --data")
    if (folder / "plugwarden.duckdb").exists():
        raise SystemExit(f"{folder} holds a store that was not built to its end; name an empty folder with --data")
    until = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    build(folder, shape, until, say)
    mark.write_text(json.dumps({"shape": asdict(shape), "until": until.isoformat()}), "utf-8")
    return until


def build(folder: Path, shape: Shape, until: datetime, say: Say) -> None:
    """Fill an empty folder."""
    database = Database(folder, memory_limit="4GB")
    connection = database.cursor()
    try:
        connection.execute(_MACROS)
        _resources(connection)
        batches = _spans(connection, shape, until, say)
        _calls(connection, shape, until, say)
        _progress(connection, batches, until)
        say("checkpoint")
        connection.execute("checkpoint")
    finally:
        connection.close()
        database.close()


_MACROS = """
create temporary macro chance(i, salt) as (hash(i * 16 + salt) >> 11) / 9007199254740992.0;
create temporary macro plugin_name(rank) as format('plugin-{:04d}', rank);
create temporary macro operation_name(rank) as ['export', 'import', 'render', 'score', 'lookup', 'sync'][rank % 6 + 1];
create temporary macro service(rank) as format('service-{:02d}', rank % 20);
create temporary macro version(rank) as format('1.{}.0', rank % 7);
"""


def _resources(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "insert into resource_rows select i + 1, service(i), service(i) || '-a', 'host', 'prod', false, '{}' from range(20) t(i)"
    )


# The rank of a plugin is log-uniform, so that the one on rank n gets about 1/n of the calls of the first (Zipf).
_SPANS = """
insert into span_rows by name
with drawn as (
    select i, floor(pow($plugins + 1, chance(i, 4)))::int as rank, chance(i, 5) as luck,
        $begin::timestamp + to_microseconds((i * $step)::bigint) as started_at,
        exp($median + $sigma * sqrt(-2 * ln(greatest(chance(i, 6), 1e-12))) * cos(2 * pi() * chance(i, 7))) as seconds
    from range($first::bigint, $last::bigint) t(i)
)
select
    (i // $batch + 1)::ubigint as batch, hash(i // $trace, 1) as trace_hi, hash(i // $trace, 2) as trace_lo, hash(i, 3) as span_id,
    if(i % $trace = 0, null, hash(i // $trace * $trace, 3)) as parent_span_id,
    plugin_name(rank) || ' ' || operation_name(rank) as name, 1 as kind, started_at, (seconds * 1e9)::bigint as duration_ns,
    if(luck < $errors, 2, 0) as status_code,
    case when luck >= $errors then '' when luck < $errors * 1e-4 then 'no space left on shard ' || i % 17
        else ['order could not be read', 'upstream said no', 'took too long'][i % 3 + 1] end as status_message,
    (rank % 20 + 1)::ubigint as resource_id, service(rank) as service_name, service(rank) || '-a' as instance_id,
    'load' as scope_name, '1' as scope_version,
    plugin_name(rank) as plugin_id, version(rank) as plugin_version, operation_name(rank) as plugin_operation,
    case when luck >= $errors then 'success' when i % 3 = 2 then 'timeout' else 'error' end as outcome,
    if(luck < $errors, 'plugin', null) as error_source,
    if(luck < $errors, ['ValueError', 'ConnectionError', 'TimeoutError'][i % 3 + 1], null) as error_type,
    'tenant ' || i % 50 as tenant_id, '{"region":"eu","n":"' || i % 2000 || '"}' as attributes,
    0 as dropped, started_at + interval 1 second as received_at, false as clock_adjusted
from drawn order by i
"""


def _spans(connection: duckdb.DuckDBPyConnection, shape: Shape, until: datetime, say: Say) -> int:
    index = TraceIndex(connection)
    chunk = CHUNK // BATCH * BATCH
    for first in range(0, shape.spans, chunk):
        last = min(first + chunk, shape.spans)
        parameters = {
            "first": first, "last": last, "plugins": shape.plugins, "begin": until - timedelta(days=1),
            "step": 86_400e6 / shape.spans, "median": LOG_MEDIAN, "sigma": LOG_SIGMA, "batch": BATCH, "trace": TRACE,
            "errors": ERRORS,
        }  # fmt: skip
        connection.execute("begin")
        connection.execute(_SPANS, parameters)
        connection.execute("commit")
        traces = connection.sql(
            "select hash(i // $trace, 1) as hi, hash(i // $trace, 2) as lo from range($first::bigint, $last::bigint) t(i)",
            params={"trace": TRACE, "first": first, "last": last},
        ).to_arrow_table()
        for offset in range(0, last - first, BATCH):
            part = traces.slice(offset, BATCH)
            index.add((first + offset) // BATCH + 1, part.column("hi"), part.column("lo"))
            if index.full:
                index.close_block(index.make_block(connection))
        if last % (10 * chunk) == 0 or last == shape.spans:
            connection.execute("checkpoint")
        say(f"{last:,} of {shape.spans:,} spans")
    return (shape.spans - 1) // BATCH + 1


_CALLS = """
insert into {table} (
    bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls,
    duration_seconds_sum, duration_seconds_max, cpu_seconds, bucket_index, bucket_count
)
select
    bucket_start, service(rank), service(rank) || '-a', plugin_name(rank), version(rank), operation_name(rank), outcome,
    if(outcome = 'success', '', 'plugin'), if(outcome = 'success', '', ['ValueError', 'ConnectionError'][rank % 2 + 1]),
    calls, seconds, longest, 0.3 * seconds, bucket_index, bucket_count
from range($begin::timestamp, $end::timestamp, $step::interval) t(bucket_start)
cross join range(1, $plugins + 1) p(rank)
join patterns using (rank)
where variant = hash(bucket_start, rank) % $variants and calls > 0
order by date_trunc('hour', bucket_start), hash(bucket_start, rank)
"""


def _calls(connection: duckdb.DuckDBPyConnection, shape: Shape, until: datetime, say: Say) -> None:
    """Rollups whose rows are drawn from some patterns a plugin, within an hour in no order (as folding leaves them)."""
    hour = until.replace(minute=0, second=0)
    per_second = shape.spans / 86_400
    begin = hour - timedelta(days=shape.days)
    for table, unit, first, last in (
        ("call_hours", timedelta(hours=1), begin, hour),
        ("call_minutes", timedelta(minutes=1), begin, until.replace(second=0)),
        ("call_seconds", timedelta(seconds=1), until.replace(second=0) - SECONDS_KEPT, until),
    ):
        patterns = _patterns(shape.plugins, per_second * unit.total_seconds())
        connection.register("drawn_patterns", patterns)
        connection.execute("create or replace temporary table patterns as from drawn_patterns")
        connection.unregister("drawn_patterns")
        for day in range((last - first) // timedelta(days=1) + 1):
            parameters = {
                "begin": first + timedelta(days=day), "end": min(last, first + timedelta(days=day + 1)), "step": unit,
                "plugins": shape.plugins, "variants": VARIANTS,
            }  # fmt: skip
            connection.execute(_CALLS.format(table=table), parameters)
            if day % 5 == 4:
                connection.execute("checkpoint")
            say(f"{table}: day {day + 1}")


def _patterns(plugins: int, calls: float) -> pa.Table:
    """Per plugin, variant and outcome: what a row of rollups holds when the whole fleet makes `calls` calls in it."""
    random = np.random.default_rng(4)
    rows: list[dict[str, Any]] = []
    for rank in range(1, plugins + 1):
        share = float(np.log((rank + 1) / rank) / np.log(plugins + 1))
        for variant in range(VARIANTS):
            for outcome, part in (("success", 1 - ERRORS), ("error", ERRORS)):
                count = int(random.poisson(calls * share * part))
                drawn = np.exp(random.normal(LOG_MEDIAN, LOG_SIGMA, min(count, 20_000)))
                index, counts = np.unique((np.ceil(np.log2(drawn) * 16) - 1).astype(np.int32), return_counts=True)
                scale = count / max(1, len(drawn))
                counts = np.maximum(1, (counts * scale).astype(np.int64))
                rows.append(
                    {
                        "rank": rank, "variant": variant, "outcome": outcome, "calls": int(counts.sum()),
                        "seconds": float(drawn.sum() * scale), "longest": float(drawn.max(initial=0.0)),
                        "bucket_index": index.tolist(), "bucket_count": counts.tolist(),
                    }
                )  # fmt: skip
    return pa.Table.from_pylist(rows)


def _progress(connection: duckdb.DuckDBPyConnection, batches: int, until: datetime) -> None:
    minute = until.replace(second=0)
    for name, batch, time in (
        ("rolled", batches, None),
        ("seconds", None, minute - SECONDS_KEPT),
        ("minutes", None, minute),
        ("hours", None, until.replace(minute=0, second=0)),
    ):
        connection.execute("insert or replace into progress values (?, ?, ?)", [name, batch, time])
