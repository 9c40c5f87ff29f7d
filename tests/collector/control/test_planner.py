"""Questions of planners over a store of weeks: the whole way from its hours to a date, a bottleneck and a share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

import pytest
from plugwarden_collector.capacity.forecast import Confidence
from plugwarden_collector.capacity.limit import LimitKind
from plugwarden_collector.capacity.resource import Resource
from plugwarden_collector.capacity.season import Growth
from plugwarden_collector.capacity.whatif import change_of
from plugwarden_collector.control.planner import Planner
from plugwarden_collector.errors import NotFoundError
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.rules.file import parse_rules
from plugwarden_collector.store.upkeep import Keep

from tests.collector.support.planned_store import DAYS, RULES, UNTIL, fill, told
from tests.collector.support.stores import opened

WILD = (math.nan, math.inf, -1.0, 1e308)
"""Told last of every limit: what no host can mean."""


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planner]:
    folder = tmp_path_factory.mktemp("planned")
    fill(folder)
    with opened(folder) as store:
        store.send(Signal.METRICS, told(at=UNTIL - timedelta(seconds=1)))
        for wild in WILD:
            store.send(Signal.METRICS, told(limit=wild))
        yield Planner(store.telemetry.planning, store.telemetry.condition, parse_rules(RULES, "rules.toml"), Keep())


def test_a_limit_that_no_host_can_mean_is_not_taken(planner: Planner) -> None:
    found = planner.standing(UNTIL - timedelta(days=7), UNTIL, None)
    assert [item.limit for item in found.plugins] == [1.2, 1.2]
    assert [item.limit for item in found.machines] == [0.6, 0.6]


def test_a_plugin_that_grows_reaches_its_limit_when_it_does(planner: Planner) -> None:
    found = {(item.limit.plugin_id, item.limit.resource): item for item in planner.until_full(UNTIL, None)}
    grows, stays, machines = (
        found[key] for key in (("grows", Resource.CONCURRENCY), ("stays", Resource.CONCURRENCY), (None, Resource.CPU))
    )
    # In the busiest hour 5 calls a second last 0.1 s, and grow by a fiftieth of that a day: 1.2 at once are met on day 70 of all.
    assert grows.until.median_days == pytest.approx(70 - DAYS, abs=3)
    assert grows.until.soonest_days is not None
    assert grows.until.soonest_days <= grows.until.median_days
    assert (grows.record.growth, grows.record.confidence) == (Growth.LINEAR, Confidence.HIGH)
    assert stays.until.median_days is None
    # A machine uses 0.05 s of 2.5 calls a second of each plugin: 0.6 processors are met on day 140.
    assert machines.limit.kind is LimitKind.MACHINE
    assert machines.until.median_days == pytest.approx(140 - DAYS, rel=0.1)
    assert next(iter(found)) == ("grows", Resource.CONCURRENCY), "the soonest first"


def test_a_forecast_goes_on_with_growth_and_season(planner: Planner) -> None:
    curve = planner.forecast(UNTIL, "grows", Resource.CALLS, 7)
    assert (curve.record.growth, curve.record.confidence) == (Growth.LINEAR, Confidence.HIGH)
    busiest = max(point.expected for point in curve.ahead)
    assert busiest == pytest.approx(2 * 2.5 * (1 + 0.02 * (DAYS + 6)), rel=0.05)
    assert curve.limit is None, "no rate is limited"
    with pytest.raises(NotFoundError, match="no plugin 'gone' has made a call within 90 days"):
        planner.forecast(UNTIL, "gone", Resource.CALLS, 7)


def test_what_is_full_first_is_told_with_how_sure(planner: Planner) -> None:
    since = UNTIL - timedelta(days=7)
    now = planner.what_if([], since, UNTIL)
    assert now.bottleneck is not None
    assert (now.bottleneck.plugin_id, now.bottleneck.resource) == ("grows", Resource.CONCURRENCY)
    relieved = planner.what_if([change_of("traffic:grows=0.1"), change_of("hosts=-1")], since, UNTIL)
    assert relieved.bottleneck is not None
    assert relieved.bottleneck.plugin_id == "stays"
    assert relieved.bottleneck.ratio == pytest.approx(0.5 / 0.6, rel=0.02), "half of the places are left"


def test_owners_are_those_of_manifests_else_of_rules(planner: Planner) -> None:
    found = {item.name: item for item in planner.showback(UNTIL - timedelta(days=7), UNTIL, "owner")}
    assert set(found) == {"team-a", "team-b"}
    whole = sum(row.calls for row in planner.demand(UNTIL - timedelta(days=7), UNTIL, None, "plugin"))
    assert sum(item.calls for item in found.values()) == whole
    assert sum(item.cpu_share_ratio or 0 for item in found.values()) == pytest.approx(1)


def test_how_full_everything_is(planner: Planner) -> None:
    found = planner.standing(UNTIL - timedelta(days=7), UNTIL, "stays")
    assert [(item.plugin_id, item.kind) for item in found.plugins] == [("stays", LimitKind.ENFORCED)]
    assert {item.host_name for item in found.machines} == {"mi0", "mi1"}
    assert found.ceilings["stays"].calls_per_second is None, "minutes are gone"
    assert found.unlimited == []
    assert [item.table for item in planner.growth(UNTIL).tables] == [
        "call_hours", "call_minutes", "call_seconds", "limit_minutes", "logs", "metric_points", "spans",
    ]  # fmt: skip
