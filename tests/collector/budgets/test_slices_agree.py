"""Budgets of slices of time agree with a second reckoning to the last slice."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from tests.collector.support.still_clock import StillClock

from .history import History
from .oracle import Call, Excluded, Promise
from .test_budgets_agree import calls

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def test_slices_agree_over_releases_late_data_corrections_restarts_and_what_is_let_go(
    tmp_path: Path, clock: StillClock
) -> None:
    clock.at = datetime(2026, 4, 20, 13, 17, 42, 125_000)
    promises = [
        Promise("minutes", "0.99", days=30, slice_minutes=1, slice_target="0.55"),
        Promise(
            "busy", "0.95", days=30, slice_minutes=5, slice_target="0.9", slice_min_calls=3, empty="good", owner="media"
        ),
        Promise(
            "fast",
            "0.97",
            unit="month",
            zone="Asia/Kathmandu",
            slice_minutes=5,
            slice_target="0.7",
            threshold_seconds=0.25,
        ),
        Promise("hours", "0.99", days=365, slice_minutes=60, slice_target="0.8"),
        Promise("reads", "0.95", days=7, slice_minutes=1, operations=("read",), versions=("[12]",)),
    ]
    history, random = History(tmp_path, promises, clock), Random(63)
    with history.collector() as collector:
        for version in ("1", "2", "3"):
            history.tell(collector, calls(random, clock.at - 2 * HOUR, clock.at, 400, version))
            assert history.check(collector)["minutes", "csv"].bad
            history.move(timedelta(minutes=47, seconds=13))
        history.tell(collector, calls(random, clock.at - 12 * DAY, clock.at - DAY, 300))
        assert history.check(collector)["busy", "csv"].total == 30 * 288
        begins = clock.at.replace(minute=0, second=0, microsecond=0) - 2 * HOUR
        history.exclude(collector, Excluded(begins + 2 * MINUTE, begins + 13 * MINUTE))
        history.exclude(collector, Excluded(begins + 13 * MINUTE, begins + 14 * MINUTE, plugins="c*"))
        history.exclude(collector, Excluded(begins - HOUR, begins + MINUTE, owners="media"))
        history.check(collector)
    for days in (1, 9, 30):
        history.move(days * DAY + timedelta(minutes=13, seconds=7))
        with history.collector() as collector:
            history.tell(collector, calls(random, clock.at - 2 * HOUR, clock.at, 200, "4"))
            history.check(collector)
            history.keep_little(collector)
            history.tell(collector, calls(random, clock.at - 20 * DAY, clock.at - 15 * DAY, 100, "2"))
            history.check(collector)


@pytest.mark.parametrize(
    ("zone", "boundary"),
    [("Europe/Berlin", datetime(2026, 3, 31, 22)), ("America/New_York", datetime(2026, 11, 1, 4))],
)
def test_a_month_of_slices_begins_anew_with_the_place(
    zone: str, boundary: datetime, tmp_path: Path, clock: StillClock
) -> None:
    """Both changes of clocks are in it: the first in the month that ends, the second in the one that begins."""
    promise = Promise("works", "0.99", unit="month", zone=zone, slice_minutes=5, slice_target="0.9", empty="good")
    history, random = History(tmp_path, [promise], clock), Random(zone)
    clock.at = boundary - timedelta(microseconds=1)
    with history.collector() as collector:
        history.tell(collector, calls(random, boundary - 5 * DAY, boundary, 300))
        before = history.check(collector)["works", "csv"]
        clock.at = boundary + 5 * MINUTE
        history.tell(collector, [Call(boundary, plugin="csv", outcome="error", source="plugin")])
        after = history.check(collector)["works", "csv"]
        assert (before.total > 8_000, after.total, after.bad) == (True, 1, 1)
        clock.at = boundary + 3 * DAY
        history.tell(collector, calls(random, boundary - HOUR, clock.at, 300, "2"))
        history.check(collector)


def test_a_slice_is_bad_by_its_last_call_and_counts_once_it_is_over(tmp_path: Path, clock: StillClock) -> None:
    begins = datetime(2026, 4, 20, 13, 17)
    promise = Promise("works", "0.99", days=30, slice_minutes=1, slice_target="0.95")
    history = History(tmp_path, [promise], clock)
    clock.at = begins + timedelta(seconds=59)
    with history.collector() as collector:
        history.tell(collector, [Call(begins)] * 19 + [Call(begins, outcome="error", source="plugin")])
        assert history.check(collector)["works", "csv"].total == 0
        clock.at = begins + MINUTE
        assert history.check(collector)["works", "csv"].bad == 0, "19 of 20 are 95 %"
        history.tell(
            collector, [Call(begins, outcome="rejected", source="plugin", reason="circuit_open")]
        )  # and comes late
        assert history.check(collector)["works", "csv"].bad == 1


def test_slices_that_burn_page_for_the_plugin_and_isolate_nothing(tmp_path: Path, clock: StillClock) -> None:
    clock.at = datetime(2026, 4, 20, 13, 17)
    history = History(tmp_path, [Promise("works", "0.99", days=30, slice_minutes=1, slice_target="0.95")], clock)
    with (tmp_path / "rules.toml").open("a") as rules:
        rules.write('[policy]\nenforcement = "enforce"\n')
    with history.collector() as collector:
        for _ in range(20):
            history.tell(
                collector,
                [Call(clock.at + timedelta(seconds=second), outcome="error", source="plugin") for second in range(20)],
            )
            history.move(MINUTE)
            history.check(collector)
        firing = [item for item in collector.api.get("alerts")["alerts"] if item["state"] == "firing"]
        page = next(item for item in firing if item["severity"] == "page")
        assert "1 of 1 slices of 1 min were bad, as more than 5 % of calls failed" in page["summary"], page["summary"]
        assert page.get("plugin_version") is None
        assert collector.api.get("quarantine") == []
        (objective,) = collector.api.get("rules")["objectives"]
        assert objective["slices"] == {"seconds": 60, "good_ratio": 0.95, "min_calls": 1, "empty": "none"}
        (row,) = collector.api.get("budgets")
        assert (row["sli"], row["total"], row["bad"]) == ("availability_slices", 20, 20)
        assert collector.api.get("slos") == [], "a slice is a plugin's"


def test_empty_slices_that_are_good_let_an_alert_end(tmp_path: Path, clock: StillClock) -> None:
    """Nobody calls any more: of one promise that proves nothing, of the other it is what is promised."""
    clock.at = datetime(2026, 4, 20, 13, 17)
    promises = [
        Promise(empty, "0.99", days=30, slice_minutes=1, slice_target="0.95", empty=empty) for empty in ("none", "good")
    ]
    history = History(tmp_path, promises, clock)
    with history.collector() as collector:
        history.tell(
            collector, [Call(clock.at - minute * MINUTE, outcome="error", source="plugin") for minute in range(1, 31)]
        )
        history.move(timedelta(seconds=6))  # windows are counted every five seconds
        history.check(collector)
        firing = {
            item["slo"]
            for item in collector.api.get("alerts")["alerts"]
            if item["state"] == "firing" and item["severity"] == "page"
        }
        assert firing == {"none", "good"}
        for _ in range(2):
            history.move(40 * MINUTE)
            history.check(collector)
        firing = {
            item["slo"]
            for item in collector.api.get("alerts")["alerts"]
            if item["state"] == "firing" and item["severity"] == "page"
        }
        assert firing == {"none"}
