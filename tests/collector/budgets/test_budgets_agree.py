"""Budgets agree with a second reckoning to the last call: over releases, late data, restarts, and what is let go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from tests.collector.support.still_clock import StillClock

from .history import History
from .oracle import Call, Promise

KINDS = [
    ("success", "", "", 0.01),
    ("success", "", "", 2.0),
    ("error", "plugin", "", 0.01),
    ("timeout", "plugin", "", 2.0),
    ("error", "downstream", "", 2.0),
    ("error", "caller", "", 2.0),
    ("error", "caller", "", 0.01),
    ("cancelled", "caller", "", 0.01),
    ("rejected", "plugin", "circuit_open", 0.0),
    ("rejected", "downstream", "circuit_open", 0.0),
    ("rejected", "host", "quarantined", 0.0),
    ("rejected", "plugin", "probation", 0.0),
    ("rejected", "host", "quota_exceeded", 0.0),
]
"""Outcome, source, reason and seconds of every kind of call."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def calls(random: Random, first: datetime, before: datetime, count: int, version: str = "1") -> Iterator[Call]:
    """Calls of all kinds, at moments to the microsecond, and some at the first and the last one there is."""
    length = (before - first) / timedelta(microseconds=1)
    for number in range(count):
        at = first + timedelta(microseconds=random.randrange(int(length)))
        if number % 10 == 0:
            at = random.choice((first, before - timedelta(microseconds=1)))
        outcome, source, reason, seconds = random.choice(KINDS if random.random() < 0.5 else KINDS[:1])
        plugin = random.choice(("csv", "geo", "pdf"))
        yield Call(at, plugin, version, outcome, source, reason, seconds, random.choice(("read", "write")))


@pytest.fixture
def rolling(tmp_path: Path, clock: StillClock) -> History:
    """Objectives whose periods roll, on a clock that begins at no full minute."""
    clock.at = datetime(2026, 3, 2, 10, 17, 23, 250_000)
    promises = [
        Promise("works", "0.99", days=30),
        Promise("fast", "0.95", days=30, threshold_seconds=0.25),
        Promise("lately", "0.99", days=0.25),
        Promise("long", "0.995", days=90, plugins="g*"),
    ]
    return History(tmp_path, promises, clock)


def test_budgets_agree_over_releases_late_data_restarts_and_what_is_let_go(rolling: History) -> None:
    random, clock = Random(57), rolling.clock
    with rolling.collector() as collector:
        for version in ("1", "2", "3"):
            rolling.tell(collector, calls(random, clock.at - 2 * HOUR, clock.at, 300, version))
            rolling.check(collector)
            rolling.move(timedelta(minutes=47, seconds=13))
        rolling.tell(collector, calls(random, clock.at - 3 * DAY, clock.at - DAY, 200))  # from a host that was cut off
        assert rolling.check(collector)["works", "csv"].bad
    for days in (1, 12, 25, 3):
        rolling.move(days * DAY + timedelta(minutes=13, seconds=7))
        with rolling.collector() as collector:
            rolling.tell(collector, calls(random, clock.at - 2 * HOUR, clock.at, 200, "4"))
            rolling.check(collector)
            rolling.keep_little(collector)
            rolling.check(collector)
            rolling.tell(collector, calls(random, clock.at - 26 * DAY, clock.at - 20 * DAY, 100, "2"))
            rolling.check(collector)


def test_a_budget_behind_an_open_breaker_goes_on_being_spent(rolling: History) -> None:
    at = rolling.clock.at - HOUR
    with rolling.collector() as collector:
        rolling.tell(collector, [Call(at)] * 100)
        rolling.tell(collector, [Call(at, outcome="timeout", source="plugin", seconds=2.0)] * 5)
        before = rolling.check(collector)
        rolling.tell(collector, [Call(at, outcome="rejected", source="plugin", reason="circuit_open")] * 50)
        for name in ("works", "fast"):
            left = rolling.check(collector)[name, "csv"]
            assert left.bad - before[name, "csv"].bad == 50
        rolling.tell(collector, [Call(at, outcome="rejected", source="host", reason="quarantined")] * 50)
        rolling.tell(collector, [Call(at, outcome="error", source="caller")] * 50)
        assert rolling.check(collector)["fast", "csv"] == left
