"""What was left of a budget at each moment of its period agrees with a second reckoning, and the last is the budget, to the event."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from plugwarden_collector.api.client import ApiError

from tests.collector.conftest import Running
from tests.collector.support.still_clock import StillClock

from .history import History
from .oracle import Excluded, Promise, left_of
from .test_budgets_agree import calls

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
AT = datetime(2026, 4, 20, 13, 17, 42, 125_000)
PROMISES = [
    Promise("day", "0.99", days=1, owner="media"),
    Promise("week", "0.95", days=7, threshold_seconds=0.25),
    Promise("works", "0.99", days=30),
    Promise("reads", "0.99", days=30, operations=("read",), versions=("[13]",)),
    Promise("month", "0.99", unit="month", zone="Asia/Kathmandu"),
    Promise("long", "0.995", days=90, plugins="c*"),
    Promise("minutes", "0.99", days=7, slice_minutes=1, slice_target="0.9"),
    Promise("busy", "0.95", days=30, slice_minutes=5, slice_target="0.9", slice_min_calls=3, empty="good"),
]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def agree(history: History, collector: Running, random: Random) -> dict[str, Any]:
    """Hold each history of csv against the budget and the oracle. Return them by objective."""
    collector.collector.warden._long.at = None  # counted every five seconds, and this clock stands still
    budgets = history.check(collector)
    told = {row["slo"]: row for row in collector.api.get("budgets") if row["plugin_id"] == "csv"}
    at, found = history.clock(), {}
    for promise in history.promises:
        said = found[promise.name] = collector.api.get(("plugins", "csv", "budgets", promise.name))
        left, points = budgets[promise.name, "csv"], said["points"]
        last = points[-1]
        counts = left.total, left.bad
        assert counts == (last["total"], last["bad"]) == (said["total"], said["bad"]), (promise, at)
        assert last["remaining_ratio"] == said["budget_remaining_ratio"]
        assert (moment(last["time"]), last["even_ratio"]) == (at, 0.0)
        assert [points[0][key] for key in ("total", "bad", "even_ratio")] == [0, 0, 1.0]
        row = told.get(promise.name)
        if row is not None and moment(row["time"]) == at:
            for key in (
                "budget_remaining_ratio",
                "fast_burn_rate",
                "exhausted_in_seconds",
                "excluded_seconds",
                "sli_value",
                "state",
            ):
                assert said[key] == row[key], (key, promise, at)  # to the last bit: they are the same functions
        moments = [moment(point["time"]) for point in points]
        assert moments == sorted(set(moments))
        assert len(points) < 140
        assert sum(item["bad"] for item in said["spenders"]) == (0 if promise.slice_minutes else left.bad)
        for point in random.sample(points[1:-1], 4):
            upto = [call for call in history.calls if call.at < moment(point["time"])]
            then = left_of(upto, promise, "csv", at, history.excluded)
            assert point["bad"] == then.bad, (promise, point)
            if promise.empty != "good":
                assert point["total"] == then.total, (promise, point)
        for version, (total, bad) in left.by_version.items() if promise.name in ("works", "reads") else ():
            mine = collector.api.get(("plugins", "csv", "budgets", promise.name), version=version)
            assert (mine["total"], mine["bad"]) == (total, bad), (promise, version)
    return found


def test_histories_agree_with_budgets_over_corrections_late_data_restarts_and_what_is_let_go(
    tmp_path: Path, clock: StillClock
) -> None:
    history, random = History(tmp_path, PROMISES, clock), Random(70)
    clock.at = AT
    begins = (AT - 5 * HOUR).replace(second=0, microsecond=0)
    with history.collector() as collector:
        say_what_there_is_not(collector)
        history.tell(collector, calls(random, AT - 3 * HOUR, AT, 300))
        history.tell(collector, calls(random, AT - 9 * HOUR, AT, 300, "2"))
        for days in (2, 9, 29):  # few hours of many days, which are remembered one by one
            history.tell(collector, calls(random, AT - days * DAY - 2 * HOUR, AT - days * DAY, 150, "3"))
        whole = agree(history, collector, random)
        history.exclude(collector, Excluded(begins, begins + 2 * HOUR))  # neither end on a full hour
        history.exclude(
            collector, Excluded(begins + HOUR, begins + 3 * HOUR + 13 * MINUTE, plugins="c*", owners="media")
        )
        history.exclude(
            collector,
            Excluded(
                AT.replace(second=0, microsecond=0) - 7 * MINUTE,
                AT.replace(second=0, microsecond=0) + HOUR,
                objectives="works",
            ),
        )
        history.exclude(
            collector,
            Excluded(
                AT.replace(second=0, microsecond=0) - 3 * DAY,
                AT.replace(second=0, microsecond=0) - 2 * DAY,
                plugins="geo",
            ),
        )
        found = agree(history, collector, random)
        assert found["works"]["total"] < whole["works"]["total"]
        assert [len(found[name]["corrections"]) for name in ("works", "day", "week")] == [2, 2, 1], (
            "geo's is of another plugin"
        )
    for days in (0.2, 31):
        history.move(timedelta(days=days, minutes=13, seconds=7))
        with history.collector() as collector:
            history.tell(collector, calls(random, clock.at - 2 * HOUR, clock.at, 200, "3"))
            history.tell(collector, calls(random, clock.at - 20 * DAY - 3 * HOUR, clock.at - 20 * DAY, 100, "2"))
            history.keep_little(collector)
            agree(history, collector, random)


def say_what_there_is_not(collector: Running) -> None:
    for slo, plugin, version in (("none", "csv", None), ("long", "geo", None), ("minutes", "csv", "1")):
        with pytest.raises(ApiError, match=r"the rules have no objective|no version has a budget"):
            collector.api.get(("plugins", plugin, "budgets", slo), version=version)
    empty = collector.api.get(("plugins", "csv", "budgets", "long"))
    assert (empty["state"], empty["total"], empty["budget_remaining_ratio"]) == ("unknown", 0, None)
    assert (empty["spenders"], empty["foreseen"]) == ([], [])
    assert {point["burn_rate"] for point in empty["burn_rates"]} == {None}, "what had no calls did not burn at 0"
