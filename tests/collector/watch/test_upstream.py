"""Looks at upstreams: many that fail a little, one that nobody calls any more, and a budget that is spent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from plugwarden_collector.decide.alert import AlertState
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.decide.upstream import UPSTREAM
from plugwarden_collector.durations import moment
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.upstreams import UpstreamCounts
from plugwarden_collector.rules.alert_rule import AlertRule
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.upstream import Upstream
from plugwarden_collector.rules.upstream_keys import alerts_of
from plugwarden_collector.watch.alarms import FORGET, MAX_KEPT, bring_forward
from plugwarden_collector.watch.kept import Kept, as_text, kept_in
from plugwarden_collector.watch.statement import MAX_ROWS
from plugwarden_collector.watch.upstream import burning, sizes_of

from tests.collector.support.still_clock import AT

FIRING, INACTIVE = AlertState.FIRING, AlertState.INACTIVE
OBJECTIVE = Objective("hosts", Sli.AVAILABILITY, 0.99, 30 * 86_400.0, keep_firing_seconds=0.0)
PAGE, SLOW, SPENT = alerts_of(Upstream(OBJECTIVE, "*"), "upstream[0]")


class Looks:
    """An alert of an `[[upstream]]` that is looked at again and again, through a restart each time."""

    def __init__(self, rule: AlertRule) -> None:
        self.rule, self.standing, self.kept, self.at = rule, Standing(), dict[str, Kept](), AT

    def see(self, calls: Iterable[UpstreamCounts], after: timedelta = timedelta(seconds=15)) -> dict[str, AlertState]:
        """Look once; return the states of all alerts by their upstreams."""
        self.at += after
        kept = {item.key: item for item in kept_in(as_text(self.kept))}
        self.standing, _, self.kept = bring_forward(
            self.rule, burning(self.rule, list(calls), kept, at=self.at), kept, self.standing, self.at
        )
        return {item.more.get(UPSTREAM, ""): item.alert.state for item in self.standing.alerts.values()}


def calls(rule: AlertRule, name: str, total: int, bad: int, within: float = 0.0, plugin: str = "csv") -> UpstreamCounts:
    """Return so many calls of an upstream in every window that is longer than so many seconds."""
    counts = CallCounts(total, failed=bad)
    return UpstreamCounts(name, plugin, "shop", {size: counts for size in sizes_of(rule, AT) if size > within})


def few(rule: AlertRule, start: int = 0) -> list[UpstreamCounts]:
    """Return a thousand upstreams of which each failed a little."""
    return [calls(rule, f"h{number}", 10_000, OBJECTIVE.min_failures) for number in range(start, start + 1000)]


@pytest.mark.parametrize("rule", [PAGE, SLOW, SPENT])
def test_one_that_fails_beside_a_thousand_that_fail_a_little_is_told(rule: AlertRule) -> None:
    """Before, the rule was stopped with an advice on columns, and nobody was told anything."""
    looks = Looks(rule)
    old = calls(rule, "db", 100, 90)
    old = UpstreamCounts("db", "csv", "shop", {**old.windows, OBJECTIVE.period_seconds: CallCounts(200, failed=180)})
    assert looks.see([*few(rule), old]) == {"db": FIRING}
    assert [item.labels for item in looks.kept.values()] == [{UPSTREAM: "db"}]
    assert looks.see([*few(rule, 5000), old]) == {"db": FIRING}


def test_whoever_makes_up_upstreams_that_fail_neither_stops_the_rule_nor_ends_what_is_told() -> None:
    """Of what is new each time so much is told by name as there is room for; the others are one alert, and it says so."""
    looks = Looks(PAGE)
    db = calls(PAGE, "db", 100, 90)
    looks.see([db])
    for look in range(5):
        states = looks.see([db, *(calls(PAGE, f"x{look}-{number}", 100, 90) for number in range(MAX_ROWS))])
    assert (states["db"], states[""]) == (FIRING, FIRING)
    assert len(looks.kept) <= MAX_KEPT
    assert "upstreams fail" in next(
        item.summary for item in looks.standing.alerts.values() if not item.more.get(UPSTREAM)
    )
    assert looks.see([db, *(calls(PAGE, f"y{number}", 10_000, 0) for number in range(9))])["db"] is FIRING


def test_an_upstream_that_nobody_calls_any_more_is_held_for_a_day_and_says_until_when() -> None:
    """Before, it was said to be well as soon as its failures were older than the longest window."""
    looks = Looks(PAGE)
    looks.see([calls(PAGE, "db", 100, 90)])
    said = next(iter(looks.standing.alerts.values())).description
    assert looks.see([calls(PAGE, "db", 100, 90, 1800.0)], timedelta(minutes=31)) == {"db": FIRING}
    since = looks.at
    assert looks.see([], timedelta(hours=7)) == {"db": FIRING}
    (record,) = looks.standing.alerts.values()
    assert f"Nobody calls it since {moment(since)}; told until {moment(since + FORGET)}" in record.description
    assert datetime.fromisoformat(record.detail["held_until"]) == since + FORGET
    assert looks.see([], timedelta(hours=16)) == {"db": FIRING}
    assert looks.see([], timedelta(hours=1)) == {"db": INACTIVE}
    assert looks.see([calls(PAGE, "db", 100, 90)]) == {"db": FIRING}
    looks.see([], timedelta(hours=7))
    assert looks.see([calls(PAGE, "db", 100, 90)]) == {"db": FIRING}
    (record,) = looks.standing.alerts.values()
    assert (record.description, record.detail.get("held_until")) == (said, None), "it is called again, and fails"


def test_calls_that_go_well_end_it_at_once_also_where_hardly_any_failure_is_left_in_its_windows() -> None:
    looks = Looks(PAGE)
    looks.see([calls(PAGE, "db", 100, 90)])
    assert looks.see([calls(PAGE, "db", 1000, 0)], timedelta(hours=7)) == {"db": INACTIVE}
    assert not looks.kept


def test_a_budget_that_is_spent_is_a_ticket_until_some_of_it_is_left_again() -> None:
    looks, longest = Looks(SPENT), max(tier.long_seconds for tier in OBJECTIVE.tiers)

    def seen(total: int, bad: int, lately: int = 10) -> list[UpstreamCounts]:
        return [
            UpstreamCounts(
                "db",
                "csv",
                "shop",
                {longest: CallCounts(lately), OBJECTIVE.period_seconds: CallCounts(total, failed=bad)},
            )
        ]

    assert looks.see(seen(1000, 900, lately=1000)) == {}, (
        "of one that is younger than the longest window burn rates tell"
    )
    assert looks.see(seen(1000, 9)) == {}
    assert looks.see(seen(1000, 11)) == {"db": FIRING}
    (record,) = looks.standing.alerts.values()
    assert (record.name, record.severity) == ("hosts upstream budget exhausted", "ticket")
    assert "has spent its error budget: 11 of 1000 calls failed (1.1 %) within 30 d" in record.summary
    assert looks.see(seen(1115, 11)) == {"db": FIRING}, "too little is left to say that it is one again"
    assert looks.see([]) == {"db": FIRING}
    assert looks.see(seen(2200, 11)) == {"db": INACTIVE}


def test_a_day_without_calls_begins_anew_with_each_call() -> None:
    """Before, where it had been well at the last look that said anything, the day went on from the first time that nobody called it."""
    page, *_ = alerts_of(Upstream(replace(OBJECTIVE, keep_firing_seconds=7200.0), "*"), "upstream[0]")
    looks = Looks(page)
    looks.see([calls(page, "db", 100, 90)])
    assert looks.see([calls(page, "db", 100, 0)]) == {"db": FIRING}
    looks.see([], timedelta(hours=1))
    looks.see([calls(page, "db", 1, 1)], timedelta(hours=20))
    looks.see([], timedelta(hours=3))
    assert looks.see([], timedelta(hours=3)) == {"db": FIRING}
    assert looks.see([], FORGET - timedelta(hours=3)) == {"db": INACTIVE}
