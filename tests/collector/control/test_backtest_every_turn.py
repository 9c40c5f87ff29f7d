"""What a backtest skips changes nothing: the same decisions, alerts and words as where every turn is evaluated in full."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from plugwarden_collector.control.backtest.replay import Replay
from plugwarden_collector.control.backtest.tape import second_of
from plugwarden_collector.rules.file import Rules, load_rules
from plugwarden_collector.store import Database, stored_telemetry

from tests.collector.control.test_backtest import minutes as healthy_minutes
from tests.collector.support.told_seconds import BEGIN
from tests.share import repetitions

HOURS = 10
RULES = """
[[slo]]
name = "availability"
objective = 0.99
period = "{period}"
[[slo]]
name = "latency"
sli = "latency"
threshold = "250ms"
objective = 0.95
for = "2m"
[policy]
enforcement = "{enforcement}"
hold = "{hold}"
"""
# Each kind of trouble in a plugin of its own, and one host that hurts all; `geo` comes out anew, and is called by nobody for an hour, and
# then nothing is.
FAULTS = """
insert into {table} (
    bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls,
    duration_seconds_sum, duration_seconds_max, cpu_seconds, bucket_index, bucket_count{columns}
)
with parts as (
    select moment, plugin, operation, instance, '1' as version, epoch(moment) - epoch($begin::timestamp) as since,
        hash(moment, plugin, operation, instance) as dice
    from range($begin::timestamp, $end::timestamp, $step::interval) t(moment)
    cross join (select unnest(['csv', 'geo', 'img', 'pdf', 'seldom', 'xml']) as plugin)
    cross join (select unnest(['read', 'write']) as operation) cross join (select unnest(['h1', 'h2', 'h3']) as instance)
),
called as (
    select * replace (if(plugin = 'geo' and since >= {release}, '2', version) as version),
        case when plugin = 'seldom' then if(dice % 23 = 0, 1, 0)
            when plugin = 'geo' and since between {silent} and {silent} + {length} * 2 then 0 else 20 + dice % 11 end as calls,
        case
            when plugin = 'csv' and operation = 'read' and since between {hard} and {hard} + {length} then 1.0
            when plugin = 'geo' and since between {release} and {release} + {length} then 0.5
            when plugin = 'img' and instance = 'h2' and since between {process} and {process} + {length} * 3 then 1.0
            when plugin = 'xml' and since between {hard} + {length} and {hard} + {length} * 4 then 0.12
            when plugin = 'seldom' and since > {silent} then 1.0
            when instance = 'h3' and since between {host} and {host} + {length} then 0.8
            else 0.0 end as share,
        plugin = 'pdf' and operation = 'write' and since between {process} and {process} + {length} as slowed,
        plugin = 'csv' and operation = 'read' and since between {hard} + {length} // 4 and {hard} + {length} as shut
    from parts
),
ended as (
    select *, if(share > 0, ceil(calls * share), if(dice // 100 % 60 = 0, 1, 0))::bigint as failed,
        if(slowed, calls, if(dice // 10000 % 40 = 0, 1, 0))::bigint as late
    from called where calls > 0 and since not between {night} and {night} + {length}
),
told as (
    select *, unnest(['success', 'error', 'rejected']) as outcome,
        unnest([calls - failed, if(shut, 1, failed), if(shut, failed - 1, 0)]) as count from ended
)
select moment, 'host', instance, plugin, version, operation, outcome, if(outcome = 'success', '', 'plugin'),
    case outcome when 'error' then 'ValueError' when 'rejected' then 'breaker_open' else '' end, count, 0.01 * count, 2.0, 0, [-110, 16],
    if(outcome = 'success', [count - least(count, late), least(count, late)], [count, 0]){values}
from told where count > 0 order by moment
"""


def rules_of(folder: Path, enforcement: str, hold: str, period: str) -> Rules:
    file = folder / "rules.toml"
    file.write_text(RULES.format(enforcement=enforcement, hold=hold, period=period))
    return load_rules(file)


def replayed(folder: Path, rules: Rules, *, every: bool) -> Replay:
    with stored_telemetry(folder) as (telemetry, _):
        recorded = telemetry.replaying.recorded()
        assert recorded is not None
        replay = Replay(telemetry, rules, recorded, every=every)
        since = second_of(recorded.minutes_from)
        assert replay.run(since, second_of(recorded.newest_at) + 65, lambda done, total: None, lambda: False)
    return replay


def assert_the_same(short: Replay, full: Replay) -> None:
    assert [(item.at, item.kind, item.scope, item.reason) for item in short.account.decisions] == [
        (item.at, item.kind, item.scope, item.reason) for item in full.account.decisions
    ]
    assert short.account.alerts == full.account.alerts
    assert short.account.told == full.account.told
    assert short.account.incidents == full.account.incidents
    assert short.account.troubles == full.account.troubles
    assert short.loop.refused == full.loop.refused
    assert short.standing.quarantines == full.standing.quarantines


def minutes(folder: Path) -> Path:
    return _filled(folder, "call_minutes", timedelta(hours=HOURS), timedelta(minutes=1), 3600)


def far_apart(folder: Path) -> Path:
    """Hours in which nothing goes on lie between the troubles, so that they are passed at once."""
    return _filled(folder, "call_minutes", timedelta(hours=4 * HOURS), timedelta(minutes=1), 3600, apart=4)


def seconds(folder: Path) -> Path:
    return _filled(folder, "call_seconds", timedelta(minutes=6), timedelta(seconds=1), 36)


def _filled(folder: Path, table: str, length: timedelta, step: timedelta, unit: int, apart: int = 1) -> Path:
    database = Database(folder)
    connection = database.cursor()
    fine = table == "call_seconds"
    sql = FAULTS.format(
        table=table, columns=", tenant_id, host_name, batch" if fine else "",
        values=", if(dice % 3 = 0, 'a', 'b'), 'm-' || instance, 1" if fine else "",
        hard=unit * apart, process=unit * 2 * apart, host=unit * 7 * apart, release=unit * 5 * apart, silent=unit * 6 * apart,
        night=unit * 8 * apart, length=unit // 2,
    )  # fmt: skip
    end = BEGIN + length
    connection.execute(sql, {"begin": BEGIN, "end": end, "step": step})
    for name, time in (("seconds", BEGIN if fine else end), ("minutes", BEGIN if fine else end), ("hours", BEGIN)):
        connection.execute("insert or replace into progress values (?, null, ?)", [name, time])
    connection.close()
    database.close()
    return folder


@pytest.mark.parametrize(
    ("fill", "enforcement", "hold", "period"),
    [
        (minutes, "suggest", "20m", "2h"),  # budgets are spent, and there again
        (far_apart, "enforce", "20m", "30d"),
        (seconds, "observe", "30s", "30d"),
        (minutes, "enforce", "20m", "30d"),
        (far_apart, "suggest", "20m", "2h"),
        (seconds, "enforce", "30s", "30d"),
        (minutes, "observe", "20m", "30d"),
    ][: repetitions(12)],
)
def test_skipping_turns_changes_nothing(
    tmp_path: Path, fill: Callable[[Path], Path], enforcement: str, hold: str, period: str
) -> None:
    folder, rules = fill(tmp_path / "data"), rules_of(tmp_path, enforcement, hold, period)
    short, full = replayed(folder, rules, every=False), replayed(folder, rules, every=True)
    assert full.turns >= full.looks
    assert short.turns < full.turns
    if fill is far_apart:
        assert short.at_once > short.looks / 4
    assert len(full.account.decisions) > 4
    spent = [item for item in full.account.alerts if "has spent its error budget" in item.summary]
    assert bool(spent) == (period == "2h")
    assert any(item.until is not None for item in spent) == bool(spent)
    assert_the_same(short, full)


def test_a_trouble_that_is_back_after_a_while_is_another_one_though_no_turn_was_taken_between(tmp_path: Path) -> None:
    since = "minute between $begin::timestamp + interval {} minutes and $begin::timestamp + interval {} minutes"
    back = f"({since.format(120, 122)} or {since.format(180, 182)})"
    folder = healthy_minutes(tmp_path / "data", 4, f"plugin = 'csv' and operation = 'read' and {back}")
    rules = rules_of(tmp_path, "observe", "20m", "30d")
    short, full = replayed(folder, rules, every=False), replayed(folder, rules, every=True)
    assert [item.kind for item in full.account.decisions] == ["would_quarantine", "would_quarantine"]
    assert_the_same(short, full)
    assert short.turns < full.turns / 5
