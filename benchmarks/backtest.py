"""How long a backtest takes over a month of 300 plugins: two operations in three processes each, every minute, with faults of all kinds.

The store is built once, in a folder that is used again (`--days` and `--plugins` make it smaller): minutes and hours as the
rollups would have them, the last two hours as seconds. Then the real command's own function replays all of it, in a process of its own,
and a part of it twice: as it does, and with each turn evaluated in full, as live. Both must come to the same.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from plugwarden_collector.control.backtest import backtest
from plugwarden_collector.control.backtest.replay import Replay
from plugwarden_collector.control.backtest.tape import second_of
from plugwarden_collector.rules.file import load_rules
from plugwarden_collector.store import Database, stored_telemetry

TARGET_SECONDS = 300.0
SECONDS_KEPT = timedelta(hours=2)
"""`store.duckdb.retention.slices.SECONDS_KEPT`."""
RULES = """
[[slo]]
name = "availability"
objective = 0.99
[[slo]]
name = "latency"
sli = "latency"
threshold = "1s"
objective = 0.95
[policy]
enforcement = "enforce"
"""
KINDS = ("hard", "half", "fifth", "operation", "process", "slow", "host")
"""Of faults, in turn: of a whole version, or of a part of it; the last one hits every third plugin in one process."""

_FAULTS = """
create temporary table faults as
select
    n, ['hard', 'half', 'fifth', 'operation', 'process', 'slow', 'host'][n % 7 + 1] as kind, (n * 37 + 11) % $plugins as plugin,
    $begin::timestamp + to_seconds(floor((n + 0.5) * $length / $faults)) as first,
    first + to_minutes(5 + n % 5 * 10) as before
from range($faults) t(n)
"""
# What a part does in one slice: `calls` are drawn around its rate, failures and slow calls by a hash of where and when it is.
_CALLS = """
insert into {table} (
    bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls,
    duration_seconds_sum, duration_seconds_max, cpu_seconds, bucket_index, bucket_count{more}
)
with parts as (
    select bucket_start, plugin, operation, instance, hash(bucket_start, plugin, operation, instance) as dice,
        (5 + plugin % 7 * 8) * $rate as mean, if(plugin % 10 = 0, 0.004, 0.001) as norm
    from range($first::timestamp, $before::timestamp, $step::interval) t(bucket_start)
    cross join range($plugins) p(plugin) cross join range(2) o(operation) cross join range(3) i(instance)
),
drawn as (
    select *, floor(mean * (0.7 + 0.6 * (dice % 1000) / 1000.0) + (dice // 1000 % 1000) / 1000.0)::bigint as calls,
        (dice // 1000000 % 1000000) / 1e6 as luck, (dice // 1000000000000 % 10000) / 1e4 as late
    from parts
),
hit as (
    select d.*, coalesce(max(case when f.kind is null or f.kind = 'slow' then 0.0
            when f.kind = 'half' then 0.5 when f.kind = 'fifth' then 0.2 else 1.0 end), 0.0) as share,
        coalesce(bool_or(f.kind = 'slow'), false) as slowed
    from drawn as d left join faults as f on d.bucket_start >= f.first and d.bucket_start < f.before
        and (f.plugin = d.plugin or f.kind = 'host' and d.plugin % 3 = 0)
        and (f.kind <> 'operation' or d.operation = 0) and (f.kind not in ('process', 'host') or d.instance = 1)
    group by all
),
ended as (
    select *, least(calls, if(share > 0, round(calls * share), if(luck < calls * norm, 1, 0)))::bigint as failed,
        if(slowed, calls, if(late < calls * 0.002, 1, 0))::bigint as slow
    from hit where calls > 0
)
select
    bucket_start, 'service', 'host-' || instance, format('plugin-{{:03d}}', plugin), '1.0', ['read', 'write'][operation + 1], outcome,
    if(outcome = 'success', '', 'plugin'), if(outcome = 'success', '', 'ValueError'), count,
    count * 0.01, if(late_ones > 0, 2.0, 0.02), count * 0.003, [-112, -104, -98, -92, 16],
    [count // 4, count // 4, count // 4, count - count // 4 * 3 - late_ones, late_ones]{values}
from (
    select *, unnest(['success', 'error']) as outcome, unnest([calls - failed, failed]) as count,
        unnest([least(slow, (calls - failed) // 4), 0]) as late_ones from ended
) where count > 0 order by date_trunc('hour', bucket_start), {order}
"""
_HOURS = """
insert into call_hours
select date_trunc('hour', bucket_start), * exclude (bucket_start, calls, duration_seconds_sum, duration_seconds_max, cpu_seconds,
        bucket_index, bucket_count),
    sum(calls)::ubigint, sum(duration_seconds_sum), max(duration_seconds_max), sum(cpu_seconds), [-112, -104, -98, -92, 16],
    [sum(bucket_count[1]), sum(bucket_count[2]), sum(bucket_count[3]), sum(bucket_count[4]), sum(bucket_count[5])]::ubigint[]
from call_minutes where bucket_start >= $first::timestamp and bucket_start < $before::timestamp group by all
"""


def build(folder: Path, plugins: int, days: int, faults: int) -> None:
    """Fill the folder, unless it has it already."""
    mark = folder / "built.json"
    shape = {"plugins": plugins, "days": days, "faults": faults}
    if mark.exists():
        if json.loads(mark.read_text("utf-8")) != shape:
            raise SystemExit(f"{folder} holds another store; name an empty folder with --data")
        return
    database = Database(folder, memory_limit="4GB")
    connection = database.cursor()
    until = datetime.now(UTC).replace(tzinfo=None, second=0, microsecond=0)
    hour = until.replace(minute=0)
    begin = hour - timedelta(days=days)
    length = (until - begin).total_seconds()
    connection.execute(_FAULTS, {"plugins": plugins, "begin": begin, "length": length, "faults": faults})
    at = begin
    while at < until:
        before = min(at + timedelta(hours=6), until)
        _fill(connection, "call_minutes", plugins, at, before, timedelta(minutes=1), 1.0)
        connection.execute(_HOURS, {"first": at, "before": min(before, hour)})
        if (at - begin) % timedelta(days=5) == timedelta(0):
            connection.execute("checkpoint")
        print(f"\rbuilding: {(at - begin) / (until - begin):.0%}", end="", file=sys.stderr, flush=True)
        at = before
    seconds = until - SECONDS_KEPT
    _fill(connection, "call_seconds", plugins, seconds, until, timedelta(seconds=1), 1 / 60)
    for name, batch, time_ in (
        ("rolled", 1, None),
        ("seconds", None, seconds),
        ("minutes", None, until),
        ("hours", None, hour),
    ):
        connection.execute("insert or replace into progress values (?, ?, ?)", [name, batch, time_])
    connection.execute("checkpoint")
    connection.close()
    database.close()
    mark.write_text(json.dumps(shape), "utf-8")
    print("\r", end="", file=sys.stderr)


def _fill(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    plugins: int,
    first: datetime,
    before: datetime,
    step: timedelta,
    rate: float,
) -> None:
    of_seconds = table == "call_seconds"
    sql = _CALLS.format(
        table=table,
        more=", tenant_id, host_name, batch" if of_seconds else "",
        values=", 'tenant-' || (dice % 5), 'machine-' || instance, 1" if of_seconds else "",
        order="bucket_start" if of_seconds else "dice",
    )
    connection.execute(sql, {"plugins": plugins, "first": first, "before": before, "step": step, "rate": rate})


def measure(folder: Path, over: str) -> dict[str, Any]:
    """Replay, and say what it took."""
    rules = folder / "rules.toml"
    rules.write_text(RULES, "utf-8")
    began, cpu = time.perf_counter(), time.process_time()
    report = backtest(folder, load_rules(rules), over=over, told=_tell)
    print(file=sys.stderr)
    spent, cpu = time.perf_counter() - began, time.process_time() - cpu
    found = report.as_dict()
    return {
        "replayed": f"{report.since} to {report.until}{'' if report.complete else ', INCOMPLETE'}",
        "seconds": round(spent, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "looks": report.looks,
        "full turns": report.turns,
        "decisions": dict(Counter(item["kind"] for item in found["decisions"])),
        "incidents": len(found["incidents"]),
        "alerts": found["alerts"],
        "told": len(found["told"]),
        "isolated": [(str(item["began"]), item["scope"]) for item in found["troubles"] if item["isolated"]],
    }


def _tell(done: int, total: int) -> None:
    spent = f"{time.process_time():.0f} s of CPU"
    print(f"\rreplaying: {done / total:.1%}, {spent}", end="", file=sys.stderr, flush=True)


def compare(folder: Path, hours: int) -> dict[str, Any]:
    """Replay the middle of the store both ways, and say in what they differ."""
    rules = load_rules(folder / "rules.toml")
    replays, spent = [], []
    with stored_telemetry(folder) as (telemetry, _):
        recorded = telemetry.replaying.recorded()
        if recorded is None:
            raise SystemExit(f"{folder}: no plugin call is stored")
        since = second_of(recorded.minutes_from + (recorded.newest_at - recorded.minutes_from) / 2) // 3600 * 3600
        for every in (False, True):
            began = time.process_time()
            replays.append(Replay(telemetry, rules, recorded, every=every))
            replays[-1].run(since, since + hours * 3600, lambda done, total: None, lambda: False)
            spent.append(round(time.process_time() - began, 1))
    short, full = replays
    same = {
        "decisions": [(item.at, item.kind, item.scope, item.reason) for item in short.account.decisions]
        == [(item.at, item.kind, item.scope, item.reason) for item in full.account.decisions],
        "alerts": short.account.alerts == full.account.alerts,
        "told": short.account.told == full.account.told,
        "incidents": short.account.incidents == full.account.incidents,
        "refused calls": short.loop.refused == full.loop.refused,
    }
    return {
        "hours replayed both ways": hours,
        "turns in full": f"{short.turns} and {full.turns}",
        "cpu_seconds both ways": f"{spent[0]} and {spent[1]}",
        "compared": f"{len(full.account.decisions)} decisions, {len(full.account.alerts)} alerts, {len(full.account.told)} told",
        "differ in": [name for name, equal in same.items() if not equal] or "nothing",
    }


def main() -> None:
    """Build, measure in a fresh process, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("/tmp/plugwarden-backtest"))
    parser.add_argument("--plugins", type=int, default=300)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--faults", type=int, default=42)
    parser.add_argument("--hours", type=int, default=12, help="of the part that is replayed both ways")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.data, f"{given.days + 1}d") | compare(given.data, given.hours)))
        return
    given.data.mkdir(parents=True, exist_ok=True)
    build(given.data, given.plugins, given.days, given.faults)
    answer = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--measure"], check=True, stdout=subprocess.PIPE, text=True
    )
    found = json.loads(answer.stdout)
    with duckdb.connect(str(given.data / "plugwarden.duckdb"), read_only=True) as connection:
        for table in ("call_hours", "call_minutes", "call_seconds"):
            row = connection.execute(f"select count(*) from {table}").fetchone()
            print(f"{table}: {row[0] if row else 0:,} rows")
    for name, value in found.items():
        if name == "isolated":
            print("isolated:")
            for began, scope in value:
                print(f"  {began}  {scope}")
        else:
            print(f"{name}: {value}")
    print(f"target: {TARGET_SECONDS:.0f} s; {'met' if found['seconds'] <= TARGET_SECONDS else 'missed'}")


if __name__ == "__main__":
    main()
