"""Budgets of the calendar begin anew when a place's clock says so, and agree with a second reckoning to the last call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.period import Calendar, CalendarUnit, Period, calendar_period

from tests.collector.support.still_clock import StillClock
from tests.share import repetitions

from .history import History
from .oracle import Call, Promise
from .test_budgets_agree import calls

MICROSECOND, MINUTE, HOUR = timedelta(microseconds=1), timedelta(minutes=1), timedelta(hours=1)
BOUNDARIES = {
    "month end": ("month", "Europe/Berlin", datetime(2026, 5, 31, 22)),
    "clocks go forward in the month": ("month", "Europe/Berlin", datetime(2026, 3, 31, 22)),
    "clocks go back in the month": ("month", "America/New_York", datetime(2026, 11, 1, 4)),
    "the day on which clocks go forward": ("week", "Europe/Berlin", datetime(2026, 3, 29, 22)),
    "the day on which clocks go back": ("week", "Europe/Berlin", datetime(2026, 10, 25, 23)),
    "half an hour": ("month", "Asia/Kolkata", datetime(2026, 6, 30, 18, 30)),
    "three quarters": ("month", "Asia/Kathmandu", datetime(2026, 6, 30, 18, 15)),
    "three quarters of the south": ("week", "Pacific/Chatham", datetime(2026, 4, 5, 11, 15)),
    "summer in the south": ("month", "Australia/Sydney", datetime(2025, 12, 31, 13)),
    "half an hour of summer time": ("month", "Australia/Lord_Howe", datetime(2026, 9, 30, 13, 30)),
    "midnight that is skipped": ("week", "Africa/Cairo", datetime(2026, 4, 26, 21)),
    "quarter": ("quarter", "America/New_York", datetime(2026, 7, 1, 4)),
    "year": ("year", "Asia/Tokyo", datetime(2025, 12, 31, 15)),
}
"""Unit, time zone, and when one of its periods ends and the next one begins, UTC: by hand, from the calendar."""


@pytest.mark.parametrize("name", BOUNDARIES)
def test_a_budget_begins_anew_at_the_boundary(name: str, tmp_path: Path, clock: StillClock) -> None:
    unit, zone, boundary = BOUNDARIES[name]
    promises = [
        Promise("works", "0.99", unit=unit, zone=zone),
        Promise("fast", "0.95", unit=unit, zone=zone, threshold_seconds=0.25),
    ]
    history, random = History(tmp_path, promises, clock), Random(name)
    clock.at = boundary - MICROSECOND
    with history.collector() as collector:
        history.tell(collector, calls(random, boundary - 3 * HOUR, boundary, 200))
        history.tell(
            collector, [Call(boundary - MICROSECOND), Call(boundary - MINUTE, outcome="error", source="plugin")]
        )
        history.check(collector)
        (row, *_) = collector.api.get("budgets")
        assert row["period_ends_at"] == f"{boundary.isoformat()}Z"
        clock.at = boundary
        assert history.check(collector)["works", "csv"].total == 0
        assert collector.api.get("budgets") == [], "that period is over"
        history.tell(collector, [Call(boundary)])
        assert history.check(collector)["works", "csv"].total == 1
        (row, *_) = collector.api.get("budgets")
        assert row["period_started_at"] == f"{boundary.isoformat()}Z"
        clock.at = boundary + 2 * HOUR + timedelta(minutes=7, seconds=11)
        history.tell(collector, calls(random, boundary, clock.at, 200, "2"))
        history.tell(collector, calls(random, boundary - HOUR, boundary + HOUR, 100))  # of both sides, and late
        history.check(collector)
    clock.at += timedelta(hours=20)
    with history.collector() as collector:
        history.keep_little(collector)
        history.check(collector)
        history.tell(collector, calls(random, boundary - HOUR, boundary + HOUR, 100))
        history.check(collector)


def test_a_month_agrees_on_each_of_its_days(tmp_path: Path, clock: StillClock) -> None:
    """Calls of every hour of March and April (where all repetitions are made), in places whose clocks change and in one whose do not."""
    zones = ("Europe/Berlin", "Asia/Kolkata", "Australia/Adelaide")
    promises = [Promise(zone.replace("/", "-"), "0.99", unit="month", zone=zone) for zone in zones]
    history, random = History(tmp_path, promises, clock), Random(59)
    clock.at = datetime(2026, 3, 1, 0, 30)
    for _ in range(repetitions(8)):
        with history.collector() as collector:
            for _ in range(2):
                clock.at += timedelta(days=random.choice((1, 3, 5)), minutes=random.randrange(300))
                history.tell(collector, calls(random, clock.at - timedelta(days=2), clock.at, 300))
                history.check(collector)
            history.keep_little(collector)
            history.check(collector)


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca"]
)
@pytest.mark.parametrize("unit", ["week", "month", "quarter", "year"])
def test_every_moment_is_in_one_period_and_each_is_followed_by_the_next(unit: str, zone: str) -> None:
    objective = Objective("works", Sli.AVAILABILITY, 0.99, 30 * 86_400.0, calendar=Calendar(CalendarUnit(unit), zone))
    at = datetime(2011, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    for _ in range(60):
        period = objective.period_at(at)
        assert period.started_at <= at < period.ends_at
        assert objective.period_at(period.ends_at - MICROSECOND) == period
        assert objective.period_at(period.ends_at).started_at == period.ends_at
        at = period.ends_at


@pytest.mark.parametrize(("year", "days"), [(2024, 29), (2026, 28), (2028, 29)])
def test_february_is_as_long_as_it_is(year: int, days: int) -> None:
    february = calendar_period(Calendar(CalendarUnit.MONTH), datetime(year, 3, 1) - MICROSECOND)
    assert february == Period(datetime(year, 2, 1), datetime(year, 3, 1))
    assert february.seconds == days * 86_400


@pytest.mark.parametrize(("at", "hours"), [(datetime(2026, 3, 15), 31 * 24 - 1), (datetime(2026, 10, 15), 31 * 24 + 1)])
def test_a_month_in_which_clocks_change_is_an_hour_shorter_or_longer(at: datetime, hours: int) -> None:
    assert calendar_period(Calendar(CalendarUnit.MONTH, "Europe/Berlin"), at).seconds == hours * 3_600
