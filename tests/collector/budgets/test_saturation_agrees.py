"""Budgets of saturation agree with a second reckoning to the last minute."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from plugwarden import Sidecar
from plugwarden_collector.clock import utc_now

from tests.collector.conftest import Running, running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.still_clock import StillClock

from .history import History
from .oracle import Call, Excluded, Promise, Told
from .test_budgets_agree import calls

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def tellings(random: Random, first: datetime, before: datetime, count: int, version: str = "1") -> Iterator[Told]:
    """What three processes tell: `csv` of a bulkhead and a rate limit, `geo` of what its manifest expects, `pdf` of no limit."""
    length = (before - first) / timedelta(microseconds=1)
    for _ in range(count):
        at = first + timedelta(microseconds=random.randrange(int(length)))
        who = (random.choice(("read", "write")), random.choice(("one", "two", "three")))
        # Nearly always far from full; five and ten are at 80 % with whole calls.
        running, most = random.choice((0, 0, 1, 1, 3, 4)), random.choice((None, 0, 2, 3, 5))
        match random.choice(("csv", "geo", "pdf")):
            case "csv":
                places, rate = random.choice((5, 10)), random.choice((None, 50.0))
                asked = None if rate is None else random.choice((0.0, 5.0, 39.5, 40.0, 60.0))
                yield Told(at, "csv", version, *who, places, 2, running, most, rate, asked)
            case "geo":
                yield Told(at, "geo", version, *who, None, 5, running, most)
            case _:
                yield Told(at, "pdf", version, *who, None, None, running, most)


def told_over_time(history: History, collector: Running) -> None:
    """Hold the end of each history against the budget, and its course against itself."""
    budgets = history.check(collector)
    for promise in history.promises:
        said = collector.api.get(("plugins", "csv", "budgets", promise.name))
        left, points = budgets[promise.name, "csv"], said["points"]
        assert (points[-1]["total"], points[-1]["bad"]) == (left.total, left.bad) == (said["total"], said["bad"])
        assert [item["bad"] for item in points] == sorted(item["bad"] for item in points)
        assert said["spenders"] == []


def test_minutes_agree_over_releases_late_data_corrections_restarts_and_what_is_let_go(
    tmp_path: Path, clock: StillClock
) -> None:
    clock.at = datetime(2026, 4, 20, 13, 17, 42, 125_000)
    promises = [
        Promise("room", "0.99", days=30, resource="concurrency", full_at="0.8", owner="media"),
        Promise("pace", "0.97", unit="month", zone="Asia/Kathmandu", resource="rate", full_at="0.8"),
        Promise(
            "reads", "0.95", days=7, resource="concurrency", full_at="0.6", operations=("read",), versions=("[12]",)
        ),
    ]
    history, random = History(tmp_path, promises, clock), Random(69)
    with history.collector() as collector:
        for version in ("1", "3"):
            history.tell(collector, calls(random, clock.at - 2 * HOUR, clock.at, 400, version))
            history.tell_limits(collector, tellings(random, clock.at - 2 * HOUR, clock.at, 300, version))
            found = history.check(collector)
            assert all(found[key].bad for key in (("room", "csv"), ("room", "geo"), ("pace", "csv")))
            assert found["room", "csv"].total > found["room", "csv"].bad
            assert found["room", "pdf"].total == found["pace", "geo"].total == 0, "nothing tells of a limit"
            told_over_time(history, collector)
            history.move(timedelta(minutes=47, seconds=13))
        history.tell(collector, calls(random, clock.at - 12 * DAY, clock.at - DAY, 300))
        history.tell_limits(collector, tellings(random, clock.at - 12 * DAY, clock.at - DAY, 300))
        begins = clock.at.replace(minute=0, second=0, microsecond=0) - 2 * HOUR
        history.check(collector)
        history.exclude(collector, Excluded(begins + 2 * MINUTE, begins + 13 * MINUTE))
        history.exclude(collector, Excluded(begins + 13 * MINUTE, begins + 14 * MINUTE, plugins="c*"))
        history.exclude(collector, Excluded(begins - HOUR, begins + MINUTE, owners="media"))
        told_over_time(history, collector)
    for days in (1, 30):
        history.move(days * DAY + timedelta(minutes=13, seconds=7))
        with history.collector() as collector:
            history.tell(collector, calls(random, clock.at - 2 * HOUR, clock.at, 200, "4"))
            history.tell_limits(collector, tellings(random, clock.at - 2 * HOUR, clock.at, 200, "4"))
            history.check(collector)
            history.keep_little(collector)
            # Limits of a version are kept from its first call on, as names that nobody called are not told apart.
            history.tell(collector, calls(random, clock.at - 20 * DAY, clock.at - 15 * DAY, 100, "2"))
            history.tell_limits(collector, tellings(random, clock.at - 20 * DAY, clock.at - 15 * DAY, 100, "2"))
            told_over_time(history, collector)


def test_a_minute_is_bad_by_its_fullest_process_and_counts_once_it_is_over(tmp_path: Path, clock: StillClock) -> None:
    begins = datetime(2026, 4, 20, 13, 17)
    history = History(tmp_path, [Promise("room", "0.99", days=30, resource="concurrency", full_at="0.8")], clock)
    clock.at = begins + timedelta(seconds=59)
    with history.collector() as collector:
        history.tell(collector, [Call(begins)])
        history.tell_limits(collector, [Told(begins, places=8, most=6), Told(begins, process="two", places=5, most=3)])
        assert history.check(collector)["room", "csv"].total == 0, "it is under way"
        clock.at = begins + MINUTE
        found = history.check(collector)["room", "csv"]
        assert (found.total, found.bad) == (1, 0)
        # It comes late, and half of it is used of all the processes' places: but one of them is full.
        history.tell_limits(collector, [Told(begins, process="two", places=5, most=4)])
        assert history.check(collector)["room", "csv"].bad == 1, "4 of 5 are 80 %"
        history.tell_limits(collector, [Told(begins, process="two", places=5, most=4)])
        found = history.check(collector)["room", "csv"]
        assert (found.total, found.bad) == (1, 1), "told twice is one minute"


def test_calls_that_hang_fill_a_limit_and_a_minute_without_calls_is_no_minute(
    tmp_path: Path, clock: StillClock
) -> None:
    begins = datetime(2026, 4, 20, 13, 17)
    history = History(tmp_path, [Promise("room", "0.99", days=30, resource="concurrency", full_at="0.8")], clock)
    clock.at = begins + 3 * MINUTE
    with history.collector() as collector:
        refused = Call(begins + 2 * MINUTE, outcome="rejected", source="host", reason="quarantined")
        history.tell(collector, [Call(begins - HOUR), refused])
        history.tell_limits(
            collector,
            [Told(begins, places=8, running=8), Told(begins + MINUTE, places=8), Told(begins + 2 * MINUTE, places=8)],
        )
        found = history.check(collector)["room", "csv"]
        assert (found.total, found.bad) == (1, 1), "none of the eight ended; nobody called; isolation mends no budget"


def test_what_fills_its_limit_pages_with_the_limit_and_isolates_nothing_and_who_has_none_is_named(
    tmp_path: Path, clock: StillClock
) -> None:
    clock.at = datetime(2026, 4, 20, 13, 17)
    promise = Promise("room", "0.99", days=30, resource="concurrency", full_at="0.8", plugins="[cg]*")
    history = History(tmp_path, [promise], clock)
    with (tmp_path / "rules.toml").open("a") as rules:
        rules.write('[policy]\nenforcement = "enforce"\n')
    with history.collector() as collector:
        minutes = [clock.at - number * MINUTE for number in range(1, 61)]
        history.tell(collector, [Call(at, plugin=plugin) for at in minutes for plugin in ("csv", "geo", "pdf")])
        history.tell_limits(
            collector, [Told(at, places=8, most=7 if number < 12 else 2) for number, at in enumerate(minutes)]
        )
        history.tell_limits(collector, [Told(minutes[0], plugin=plugin) for plugin in ("geo", "pdf")])
        history.move(timedelta(seconds=6))  # windows are counted every five seconds
        history.check(collector)
        firing = [item for item in collector.api.get("alerts")["alerts"] if item["state"] == "firing"]
        page = next(item for item in firing if item["severity"] == "page")
        said = "csv: 12 of 60 minutes at or above 80 % of its limit of 8 concurrent calls (20 %) within"
        assert page["summary"].startswith(said), page["summary"]
        assert page.get("plugin_version") is None
        assert collector.api.get("quarantine") == []
        (objective,) = collector.api.get("rules")["objectives"]
        assert objective["saturation"] == {"resource": "concurrency", "threshold_ratio": 0.8}
        assert (objective["slices"], objective["no_limit"]) == (None, ["geo"])
        (row,) = collector.api.get("budgets")
        assert (row["plugin_id"], row["sli"], row["total"], row["bad"]) == ("csv", "saturation", 60, 12)
        assert collector.api.get("slos") == [], "a minute is a plugin's"
        told = plugwarden("slos", url=collector.url)
        assert "room: no limit known of geo, and so no budget" in told.stdout, told


def test_a_sidecar_tells_its_limits_with_what_is_used_of_them(tmp_path: Path) -> None:
    with running(tmp_path / "data") as collector:
        sidecar = Sidecar(service="host", endpoint=collector.http, export_interval_seconds=0.2)
        for plugin, terms in (("csv", {"bulkhead": 8, "rate": 50}), ("geo", {"concurrency": 3}), ("pdf", {})):
            sidecar.wrap(lambda: None, plugin=plugin, version="1", operation="run", **terms)()
        assert sidecar.close(timeout=30)
        collector.collector.warden.tick()
        now = utc_now()
        told = collector.collector.telemetry.judging.limits(now - HOUR, now + MINUTE)
        assert told == {("csv", "concurrency"): 8, ("csv", "rate"): 50, ("geo", "concurrency"): 3}
