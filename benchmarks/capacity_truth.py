"""How true what planners are told is, on worlds whose truth is known: intervals, days until full, observed ceilings, the bottleneck of a
what-if; and what a fleet of 300 plugins costs.

The worlds are those of tests/collector/support/grown_load.py: seasons, growth, noise that hangs together, levels that wander, outliers and
gaps. `--statsmodels` compares with Holt and Winters' method, where that package is installed (it is no dependency: ADR 0066).
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from plugwarden_collector.capacity.ceiling import Bend, LoadStep, ceiling_of
from plugwarden_collector.capacity.demand import Demand
from plugwarden_collector.capacity.forecast import forecasts
from plugwarden_collector.capacity.full import AHEAD_DAYS, until_full
from plugwarden_collector.capacity.gaps import Floats
from plugwarden_collector.capacity.held import Held, Machine
from plugwarden_collector.capacity.limit import LimitKind, Utilisation, machine_utilisation, plugin_utilisation
from plugwarden_collector.capacity.load import busiest
from plugwarden_collector.capacity.outlook import outlooks
from plugwarden_collector.capacity.resource import Resource
from plugwarden_collector.capacity.season import levels_of
from plugwarden_collector.capacity.whatif import change_of, what_if
from plugwarden_collector.control.planner import Planner
from plugwarden_collector.rules.file import DEFAULT_RULES
from plugwarden_collector.store import Database, Telemetry, stored_telemetry
from plugwarden_collector.store.upkeep import Keep

from tests.collector.support.grown_load import made_worlds, queue_steps

_HOURS = """
insert into call_hours
select
    hour, 'service', 'host-' || instance, format('plugin-{:03d}', plugin), '1', 'run-' || operation, 'success', '', '',
    greatest(1, floor(
        1000 * (1 + 0.01 * datediff('day', $first::timestamp, hour)) * (1.5 + sin(hour(hour) / 24 * 2 * pi()))
    ))::ubigint as n,
    n * 0.01, 0.05, n * 0.003, [-104, -98], [n // 2, n - n // 2]
from range($first::timestamp, $before::timestamp, interval 1 hour) t(hour)
cross join range($plugins) p(plugin) cross join range(2) o(operation) cross join range(3) i(instance)
"""
DISTANCES = ((0, 1), (1, 7), (7, 14), (14, 28), (28, 56))
"""Days ahead, from and before."""


def intervals(worlds: int, days: int) -> dict[str, Any]:
    """Return how much of what came the intervals held, by hour."""
    made = made_worlds(worlds, days, seed=1000 + days)
    found = forecasts(made.seen, DISTANCES[-1][1])
    came = made.future[:, : DISTANCES[-1][1]]
    held = []
    for level in range(2):
        low, high = found.bounds(level)
        held.append((low <= came) & (came <= high))
    return {
        "days of data": days,
        "held by 80 %": round(float(held[0].mean()), 3),
        "held by 95 %": round(float(held[1].mean()), 3),
        "by days ahead": {f"{a + 1}-{b}": round(float(held[0][:, a:b].mean()), 3) for a, b in DISTANCES},
        "said of its own past": round(float(np.nanmean(found.coverage_ratio)), 3),
        "median error a week ahead": round(float(np.nanmedian(found.error_ratio)), 3),
    }


def ends(worlds: int, days: int) -> dict[str, Any]:
    """Return how well days until full were told: limits that the busiest hour reaches in 7 to 90 days, a tenth above today and more."""
    made = made_worlds(worlds, days, seed=2000 + days)
    rng = np.random.default_rng(days)
    rows, after = np.arange(worlds), np.maximum.accumulate(made.busiest[:, days:], 1)
    limits = after[rows, rng.integers(7, 91, worlds) - 1]
    truth = np.array([np.argmax(own >= limit) + 1 for own, limit in zip(after, limits, strict=True)])
    grows = (made.growth > 0) & (limits > made.busiest[:, days - 14 : days].max(1) * 1.1)
    found = forecasts(busiest(made.seen), AHEAD_DAYS, levels_of(made.seen))
    told = [until_full(chances) for chances in found.over(limits)]
    median = np.array([item.median_days or AHEAD_DAYS for item in told])
    error = np.abs(median - truth) / truth
    within = np.array(
        [
            (item.soonest_days or AHEAD_DAYS) <= day <= (item.latest_days or AHEAD_DAYS)
            for item, day in zip(told, truth, strict=True)
        ]
    )
    steady = grows & made.steady

    def said(chosen: Floats) -> dict[str, Any]:
        return {
            "worlds": int(chosen.sum()),
            "median error": round(float(np.median(error[chosen])), 3),
            "within a fifth": round(float((error[chosen] <= 0.2).mean()), 3),
            "truth within the interval": round(float(within[chosen].mean()), 3),
        }

    return {"days of data": days, "steady growth": said(steady), "all that grow": said(grows)}


def ceilings(worlds: int) -> dict[str, Any]:
    """Return how well the load was found at which a call takes twice as long, of queues that came near it, and that did not."""
    found: dict[str, Any] = {}
    for name, ratio in (("well beyond", 1.0), ("just beyond", 0.97), ("never near", 0.6)):
        errors: list[float] = []
        bends: list[Bend] = []
        inside: dict[str, list[bool]] = {}
        for seed in range(worlds):
            rate, seconds, truth = queue_steps(seed, ratio)
            ceiling = ceiling_of([LoadStep(float(a), float(b)) for a, b in zip(rate, seconds, strict=True)])
            bends.append(ceiling.bend)
            if ceiling.calls_per_second and ceiling.low and ceiling.high:
                errors.append(abs(ceiling.calls_per_second / truth - 1))
                inside.setdefault(ceiling.bend.value, []).append(ceiling.low <= truth <= ceiling.high)
        found[name] = {
            "said": {bend.value: bends.count(bend) for bend in Bend if bend in bends},
            "median error": round(float(np.median(errors)), 3) if errors else None,
            "within the interval": {bend: round(float(np.mean(held)), 3) for bend, held in inside.items()},
        }
    return found


def bottlenecks(worlds: int, error: float) -> dict[str, Any]:
    """Return how often what is full first after changes was named, of fleets whose loads were measured with an error."""
    named, alike, near = [], [], 0
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        plugins, hosts = int(rng.integers(3, 20)), int(rng.integers(2, 8))
        rate = rng.uniform(1, 200, plugins)
        seconds = 10 ** rng.uniform(-3, -0.5, plugins)
        cpu = seconds * rng.uniform(0.1, 0.9, plugins)
        bulkhead, most = rate * seconds * rng.uniform(1.2, 6, plugins), rate * rng.uniform(1.2, 6, plugins)
        spare = rng.uniform(1.2, 6)
        processors = (rate * cpu).sum() * spare / hosts
        traffic, cheaper, more = rng.uniform(0.5, 3), rng.uniform(0.5, 1), int(rng.integers(-1, 3))
        one = int(rng.integers(plugins))
        changes = [f"traffic={traffic}", f"cost={cheaper}", f"hosts={more:+d}", f"traffic:p{one}=1.7"]
        times = np.full(plugins, traffic)
        times[one] *= 1.7
        size = (hosts + more) / hosts
        truth = {
            **{
                ("bulkhead", n): rate[n] * times[n] * (seconds[n] - (1 - cheaper) * cpu[n]) / (bulkhead[n] * size)
                for n in range(plugins)
            },
            **{("rate", n): rate[n] * times[n] / (most[n] * size) for n in range(plugins)},
            ("machine", -1): (rate * times * cpu).sum() * cheaper / (processors * hosts * size),
        }
        first, second = sorted(truth, key=truth.__getitem__)[:-3:-1]
        near += truth[second] > 0.97 * truth[first]
        measured = 1 + rng.normal(0, error, (3, plugins))
        rows = []
        for n in range(plugins):
            calls, busy, used = (
                rate[n] * measured[0, n],
                rate[n] * seconds[n] * measured[1, n],
                rate[n] * cpu[n] * measured[2, n],
            )
            rows.append(
                Demand(
                    f"p{n}",
                    "run",
                    None,
                    1000,
                    3600.0,
                    calls,
                    calls,
                    60.0,
                    busy,
                    busy,
                    used,
                    used,
                    None,
                    None,
                    None,
                    None,
                    None,
                    None,
                )
            )
        held = [
            Held(f"p{n}", "run", hosts, None, None, bulkhead[n], most[n], None, None, None, None)
            for n in range(plugins)
        ]
        used = sum(row.cpu_cores or 0 for row in rows) / hosts
        machines = [Machine(f"m{n}", 1, processors, used, used) for n in range(hosts)]
        limits = plugin_utilisation(rows, held) + machine_utilisation(machines)
        answer = what_if([change_of(text) for text in changes], limits, rows, machines).bottleneck
        assert answer is not None
        kind = (
            "machine" if answer.plugin_id is None else "rate" if answer.resource == "calls_per_second" else "bulkhead"
        )
        told = (kind, -1 if answer.plugin_id is None else int(answer.plugin_id[1:]))
        named.append(told == first)
        alike.append(truth[told] > 0.97 * truth[first])
    return {
        "fleets": worlds,
        "error of measurement": error,
        "named right": round(float(np.mean(named)), 3),
        "right, or within 3 % of it": round(float(np.mean(alike)), 3),
        "fleets whose first two are within 3 %": int(near),
    }


def cost(plugins: int, days: int) -> dict[str, Any]:
    """Return what days until full of all plugins cost, of two resources each."""
    made = made_worlds(plugins, days, seed=5)
    series, means = busiest(made.seen), levels_of(made.seen)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, spent = time.perf_counter(), time.process_time()
    for _ in range(2):
        forecasts(series, AHEAD_DAYS, means)
    return {
        "plugins": plugins,
        "days": days,
        "seconds": round(time.perf_counter() - wall, 2),
        "cpu_seconds": round(time.process_time() - spent, 2),
        "more memory (MB)": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024,
    }


def stored(plugins: int, days: int) -> dict[str, Any]:
    """Return what the planner's questions cost over a store of hours: two operations of each plugin in three processes."""
    until = datetime.now(UTC).replace(tzinfo=None, minute=0, second=0, microsecond=0)
    found: dict[str, Any] = {"plugins": plugins, "days": days}
    with TemporaryDirectory() as folder:
        database = Database(Path(folder))
        connection = database.cursor()
        connection.execute(_HOURS, {"plugins": plugins, "first": until - timedelta(days=days), "before": until})
        for name in ("minutes", "hours", "seconds"):
            connection.execute("insert or replace into progress values (?, 0, ?)", [name, until])
        found["rows"] = connection.execute("select count(*) from call_hours").fetchall()[0][0]
        connection.close()
        database.close()
        with stored_telemetry(Path(folder)) as (telemetry, _):
            planner = Planner(telemetry.planning, telemetry.condition, DEFAULT_RULES, Keep())
            planner.demand(until - timedelta(minutes=1), until, None, "plugin")
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for name, ask in (
                ("demand", lambda: planner.demand(until - timedelta(days=days), until, None, "plugin")),
                ("load by the hour", lambda: telemetry.planning.load(until - timedelta(days=days), until)),
                ("days until full", lambda: _ends_of_all(planner, telemetry, until)),
                ("what if", lambda: planner.what_if([change_of("traffic=2")], until - timedelta(days=7), until)),
                ("showback", lambda: planner.showback(until - timedelta(days=days), until, "owner")),
                ("a plugin's forecast", lambda: planner.forecast(until, "plugin-001", Resource.CALLS, 28)),
            ):
                wall, spent = time.perf_counter(), time.process_time()
                ask()
                found[name] = f"{time.perf_counter() - wall:.2f} s, {time.process_time() - spent:.2f} s of CPU"
            found["more memory (MB)"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    return found


def _ends_of_all(planner: Planner, telemetry: Telemetry, until: datetime) -> None:
    """What `Planner.until_full` does where each plugin has a limit of two resources; in this store no host tells of one."""
    rows = planner.demand(until - timedelta(days=7), until, None, "plugin")
    limits = [
        Utilisation(row.plugin_id, None, None, resource, LimitKind.ENFORCED, 10.0, 5.0, 4.0, 0.5)
        for row in rows
        for resource in (Resource.CALLS, Resource.CONCURRENCY)
    ]
    found = outlooks(telemetry.planning.load(until - timedelta(days=90), until), limits, rows)
    assert len(found) == len(limits)


def compared(worlds: int, days: int) -> dict[str, Any]:
    """Return errors and intervals of ours, and of Holt and Winters' method with a damped trend and a week of seasons, on daily means."""
    from statsmodels.tsa.holtwinters import ExponentialSmoothing  # type: ignore[import-not-found]

    made = made_worlds(worlds, days, seed=3000 + days)
    levels, came = levels_of(made.seen), made.future[:, :28].mean(2)
    wall = time.perf_counter()
    ours = forecasts(levels[:, :, None], 28)
    ours_seconds = time.perf_counter() - wall
    low, high = ours.bounds(0)
    errors, held, wall = [], [], time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in range(worlds):
            known = ~np.isnan(levels[row])
            filled = np.interp(np.arange(days), np.flatnonzero(known), levels[row, known])
            fit = ExponentialSmoothing(
                np.log(filled), trend="add", damped_trend=True, seasonal="add", seasonal_periods=7
            ).fit()
            middle = np.exp(fit.forecast(28))
            draws = np.exp(fit.simulate(28, repetitions=200, random_state=row))
            bounds = np.quantile(draws, (0.1, 0.9), axis=1)
            errors.append(np.abs(middle - came[row]) / came[row])
            held.append((bounds[0] <= came[row]) & (came[row] <= bounds[1]))
    return {
        "days of data": days,
        "ours": {"error": round(float(np.median(np.abs(ours.expected[:, :, 0] - came) / came)), 3),
                 "held by 80 %": round(float(((low[:, :, 0] <= came) & (came <= high[:, :, 0])).mean()), 3),
                 "seconds": round(ours_seconds, 2)},
        "Holt-Winters": {"error": round(float(np.median(errors)), 3), "held by 80 %": round(float(np.mean(held)), 3),
                         "seconds": round(time.perf_counter() - wall, 2)},
    }  # fmt: skip


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=300)
    parser.add_argument("--statsmodels", action="store_true", help="compare with a library")
    given = parser.parse_args()
    if given.statsmodels:
        for days in (28, 90):
            print(json.dumps({"compared": compared(min(given.worlds, 100), days)}))
        return
    for days in (21, 28, 60, 90):
        print(json.dumps({"intervals": intervals(given.worlds, days)}), flush=True)
    for days in (28, 60, 90):
        print(json.dumps({"days until full": ends(2 * given.worlds, days)}), flush=True)
    print(json.dumps({"ceilings": ceilings(max(5, given.worlds // 10))}), flush=True)
    for error in (0.01, 0.03):
        print(json.dumps({"bottleneck": bottlenecks(given.worlds, error)}), flush=True)
    print(json.dumps({"cost": cost(300, 30)}), flush=True)
    print(json.dumps({"cost": cost(300, 90)}), flush=True)
    print(json.dumps({"stored": stored(300, 30)}), flush=True)


if __name__ == "__main__":
    main()
