"""Budgets of some versions or operations count their calls and no others, to the last one."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from tests.collector.support.still_clock import StillClock

from .history import History
from .oracle import Call, Excluded, Promise
from .test_budgets_agree import calls

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OPERATIONS = ("read", "write", "read/all", "re.d", "Read", "écrire")


@pytest.fixture
def narrow(tmp_path: Path, clock: StillClock) -> History:
    """Objectives of all sorts of parts, beside one of the whole."""
    clock.at = datetime(2026, 4, 20, 13, 17, 42, 125_000)
    promises = [
        Promise("works", "0.99", days=30),
        Promise("reads", "0.99", days=30, operations=("read*",)),
        Promise("writes", "0.95", days=30, threshold_seconds=0.25, operations=("write", "re.d", "?crire")),
        Promise("new", "0.99", unit="month", zone="Asia/Kolkata", versions=("2*", "3.[0-4]")),
        Promise("both", "0.95", days=90, threshold_seconds=0.25, versions=("1",), operations=("[!w]*",)),
        Promise("lately", "0.99", days=0.25, operations=("write",)),
    ]
    return History(tmp_path, promises, clock)


def of_all_sorts(random: Random, first: datetime, before: datetime, count: int) -> list[Call]:
    found = []
    for call in calls(random, first, before, count):
        version, operation = random.choice(("1", "2.0", "3.4", "3.5", "21")), random.choice(OPERATIONS)
        found.append(
            Call(call.at, call.plugin, version, call.outcome, call.source, call.reason, call.seconds, operation)
        )
    return found


def test_budgets_of_parts_agree_over_late_data_corrections_restarts_and_what_is_let_go(narrow: History) -> None:
    random, clock = Random(62), narrow.clock
    with narrow.collector() as collector:
        narrow.tell(collector, of_all_sorts(random, clock.at - DAY, clock.at, 900))
        narrow.tell(collector, of_all_sorts(random, clock.at - 20 * DAY, clock.at - 8 * DAY, 300))
        found = narrow.check(collector)
        assert 0 < found["reads", "csv"].total < found["works", "csv"].total
        assert set(found["new", "csv"].by_version) == {"2.0", "21", "3.4"}
        begins = clock.at.replace(minute=0, second=0, microsecond=0) - 20 * HOUR
        narrow.exclude(collector, Excluded(begins, begins + 3 * HOUR + timedelta(minutes=13), objectives="reads"))
        narrow.check(collector)
    for days in (1, 9, 30):
        narrow.move(days * DAY + timedelta(minutes=13, seconds=7))
        with narrow.collector() as collector:
            narrow.tell(collector, of_all_sorts(random, clock.at - 2 * HOUR, clock.at, 200))
            narrow.check(collector)
            narrow.keep_little(collector)
            narrow.tell(collector, of_all_sorts(random, clock.at - 30 * DAY, clock.at - 25 * DAY, 100))
            narrow.check(collector)


def test_an_operation_that_burns_pages_and_isolates_nothing(tmp_path: Path, clock: StillClock) -> None:
    """The same calls isolate by an objective of the whole plugin, as they did before there were others."""
    clock.at = datetime(2026, 4, 20, 13, 17, 42)
    isolated = {}
    for operations in (("*",), ("write",)):
        folder = tmp_path / str(len(isolated))
        folder.mkdir()
        history = History(folder, [Promise("works", "0.99", days=30, operations=operations)], clock)
        with (folder / "rules.toml").open("a") as rules:
            rules.write('[policy]\nenforcement = "enforce"\n')
        with history.collector() as collector:
            history.tell(collector, [Call(clock.at - 2 * HOUR, operation="write")] * 200)
            history.check(collector)
            for _ in range(40):
                history.move(timedelta(seconds=1))
                history.tell(collector, [Call(clock.at, outcome="error", source="plugin", operation="write")] * 5)
                history.check(collector)
            alerts = [item for item in collector.api.get("alerts")["alerts"] if item["state"] == "firing"]
            assert {item["severity"] for item in alerts} >= {"page"}, alerts
            isolated[operations] = collector.api.get("quarantine")
    assert isolated["*",]
    assert isolated["write",] == []
