"""What a person leaves out counts in no budget and wakes nobody, and everything else does to the last call."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from plugwarden_collector.api.client import ApiError
from plugwarden_collector.decide.correction import MAX_CORRECTIONS

from tests.collector.support.still_clock import StillClock

from .history import History
from .oracle import Call, Excluded, Promise
from .test_budgets_agree import calls

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
AT = datetime(2026, 4, 20, 13, 17, 42, 125_000)


@pytest.fixture
def history(tmp_path: Path, clock: StillClock) -> History:
    """Objectives of several owners, whose periods roll or do not."""
    clock.at = AT
    promises = [
        Promise("works", "0.99", days=30, owner="media"),
        Promise("fast", "0.95", unit="month", zone="Asia/Kolkata", threshold_seconds=0.25),
        Promise("quarter", "0.99", unit="quarter", zone="Europe/Berlin", owner="billing"),
    ]
    return History(tmp_path, promises, clock)


def full(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def left_out(random: Random, at: datetime) -> list[Excluded]:
    """Corrections of all sorts: one in another, side by side, of some, and of what has yet to come."""
    begins = full(at - 20 * HOUR)
    return [
        Excluded(begins, begins + 3 * HOUR),
        Excluded(begins + HOUR, begins + 2 * HOUR + 13 * MINUTE, plugins="c*"),
        Excluded(begins + 3 * HOUR, begins + 3 * HOUR + MINUTE, objectives="works"),
        Excluded(full(at - 70 * MINUTE), full(at + 10 * MINUTE), owners="media"),
        Excluded(full(at - 10 * DAY), full(at - 9 * DAY), plugins="geo", objectives="quarter"),
        Excluded(full(at + 2 * HOUR), full(at + 3 * HOUR)),
    ]


def test_budgets_agree_with_what_people_leave_out(history: History) -> None:
    random, clock = Random(58), history.clock
    with history.collector() as collector:
        history.tell(collector, calls(random, AT - DAY, AT, 800))
        history.tell(collector, calls(random, AT - 12 * DAY, AT - 8 * DAY, 300))
        whole = history.check(collector)
        ids = []
        for item in left_out(random, AT):
            ids.append(history.exclude(collector, item))
            history.check(collector)
        assert history.check(collector)["works", "csv"].total < whole["works", "csv"].total
        clock.at += 2 * HOUR + 31 * MINUTE
        history.tell(collector, calls(random, AT - 21 * HOUR, clock.at, 500, "2"))  # late, and of what was left out
        history.check(collector)
        collector.api.post(f"corrections/{ids[0]}/withdraw", {"reason": "it was another day"})
        del history.excluded[0]
        history.check(collector)
    for days in (1, 9, 30):  # past a month, and past what is kept by the minute
        clock.at += days * DAY
        with history.collector() as collector:
            history.tell(collector, calls(random, clock.at - HOUR, clock.at, 100, "3"))
            history.check(collector)
            history.keep_little(collector)
            history.check(collector)
            history.keep_little(collector)
    with history.collector() as collector:  # which remembers nothing of what was let go
        history.check(collector)


def test_what_is_left_out_wakes_nobody_and_is_shown_beside_the_budget(history: History) -> None:
    clock = history.clock
    with history.collector() as collector:
        history.tell(collector, [Call(AT - HOUR, seconds=2.0)] * 400 + [Call(AT - HOUR)] * 100)
        history.tell(collector, [Call(AT - MINUTE, seconds=2.0)] * 100)
        history.exclude(collector, Excluded(full(AT - 2 * HOUR), full(AT + 2 * MINUTE), plugins="csv"))
        history.check(collector)
        firing = [item for item in collector.api.get("alerts")["alerts"] if item["state"] == "firing"]
        clock.at += 6 * MINUTE
        history.check(collector)
        assert not [item for item in collector.api.get("alerts")["alerts"] if item["state"] == "firing"], firing
        rows = {row["slo"]: row for row in collector.api.get("budgets")}
        assert rows["works"]["excluded_seconds"] == 2 * 3600 + 120
        (decision,) = [item for item in collector.api.get("audit", stream="decisions") if item["kind"] == "corrected"]
        assert (decision["says"], decision["reason"]) == ("ann", "planned maintenance")
        assert collector.api.get("audit/verify")["valid"]


def test_a_correction_that_runs_is_ended_with_this_minute(history: History) -> None:
    with history.collector() as collector:
        identity = history.exclude(collector, Excluded(full(AT - HOUR), full(AT + HOUR)))
        history.tell(collector, [Call(AT - MINUTE), Call(AT)])
        ended = collector.api.post(f"corrections/{identity}/end", {"reason": "done"})
        assert ended["ends_at"] == f"{(full(AT) + MINUTE).isoformat()}Z"
        history.excluded[-1] = Excluded(full(AT - HOUR), full(AT) + MINUTE)
        history.clock.at += 5 * MINUTE
        history.tell(collector, [Call(history.clock.at)])
        assert history.check(collector)["works", "csv"].total == 1
        with pytest.raises(ApiError, match="does not run now"):
            collector.api.post(f"corrections/{identity}/end", {"reason": "again"})
    with history.collector() as collector:
        assert [item["id"] for item in collector.api.get("corrections")] == [identity]
        assert history.check(collector)["works", "csv"].total == 1


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "wrong"),
    [
        (full(AT) + timedelta(seconds=1), full(AT) + HOUR, "starts_at: 2026-04-20T13:17:01Z must be a full minute"),
        (full(AT), full(AT), "ends_at: must be later than starts_at"),
        (full(AT), full(AT) + 32 * DAY, "ends_at: must be at most 31 days after starts_at"),
        (full(AT) - 40 * DAY, full(AT) - 39 * DAY, "starts_at: 2026-03-11T13:17:00Z must be a full hour"),
        (AT.replace(minute=0, second=0, microsecond=0) - 401 * DAY, full(AT) - 390 * DAY, "must be a full hour"),
        (full(AT) + 400 * DAY, full(AT) + 401 * DAY, "starts_at: must be at most 366 days ahead"),
    ],
)
def test_what_cannot_be_left_out_to_the_event_is_refused_by_its_field(
    history: History, starts_at: datetime, ends_at: datetime, wrong: str
) -> None:
    with history.collector() as collector, pytest.raises(ApiError, match=wrong):
        history.exclude(collector, Excluded(starts_at, ends_at))


def test_a_moment_that_utc_does_not_have_is_refused_by_its_field(history: History) -> None:
    ends_at = {"plugins": "csv", "ends_at": "9999-12-31T23:59:00-12:00", "reason": "known"}
    with (
        history.collector() as collector,
        pytest.raises(ApiError, match="ends_at: Value error, is a moment that UTC does not have"),
    ):
        collector.api.post("corrections", {**ends_at, "starts_at": "2026-04-20T13:00:00Z"})


def test_corrections_are_bounded(history: History) -> None:
    with history.collector() as collector:
        for number in range(MAX_CORRECTIONS):
            history.exclude(collector, Excluded(full(AT) - number * HOUR, full(AT) + HOUR))
        with pytest.raises(ApiError, match="there are 50 corrections already"):
            history.exclude(collector, Excluded(full(AT), full(AT) + HOUR))
        history.check(collector)
