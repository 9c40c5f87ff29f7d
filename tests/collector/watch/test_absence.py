"""Calls that do not come: of which plugins that is unusual."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from plugwarden_collector.rules.alert_rule import AlertKind, AlertRule
from plugwarden_collector.watch.absence import LEARNING, Hosts, LastCall, absent
from plugwarden_collector.watch.sample import Sample
from plugwarden_collector.watch.statement import MAX_ROWS

from tests.collector.support.still_clock import AT

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LIVING = Hosts(frozenset({"shop"}), AT - DAY)


def rule(plugins: str = "*", **more: Any) -> AlertRule:
    return AlertRule("quiet", AlertKind.ABSENCE, plugins=plugins, silence_seconds=3600.0, **more)


def call(
    plugin: str = "csv",
    *,
    first: datetime = AT - 8 * DAY,
    last: datetime = AT - 2 * HOUR,
    longest: float = 60.0,
    days: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7),
    operation: str = "",
) -> LastCall:
    return LastCall(plugin, operation, ("shop",), first, last, longest, frozenset(days))


def look(
    *calls: LastCall,
    of: AlertRule | None = None,
    hosts: Hosts = LIVING,
    isolated: set[tuple[str, str]] | None = None,
    called: set[str] | None = None,
) -> list[Sample]:
    known = {item.plugin for item in calls} | (called or set())
    return absent(of or rule(), calls, known, hosts, isolated or set(), AT)


def test_a_plugin_that_is_called_at_this_time_every_day_and_now_is_not() -> None:
    (sample,) = look(call())
    assert (sample.met, sample.over) == (True, False)
    assert (sample.labels, sample.said) == ({"plugin": "csv"}, "no call for 2 h (limit 1 h)")


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (call(last=AT - timedelta(minutes=5)), "called 5 min ago"),
        (call(days=()), "no call for 2 h, but it was silent at this time a week ago"),
        (call(days=(1, 2, 3, 4, 5, 6)), "no call for 2 h, but it was silent at this time a week ago"),
        (call(days=(4, 6, 7)), "no call for 2 h, but it was silent at this time on 4 of 7 days"),
        (call(first=AT - 3 * DAY, days=(1,)), "no call for 2 h, but it was silent at this time on 1 of 2 days"),
        (call(first=AT - 5 * HOUR, longest=9_000.0), "no call for 2 h, but it was silent for 2.5 h before"),
    ],
)
def test_what_is_usual_for_it_is_no_absence(item: LastCall, said: str) -> None:
    (sample,) = look(item)
    assert (sample.met, sample.over, sample.said) == (False, True, said)


def test_a_weekend_makes_no_working_day_quiet() -> None:
    (monday,) = look(call(days=(3, 4, 5, 6, 7)))
    assert monday.met


def test_a_young_plugin_is_told_by_its_own_pauses() -> None:
    (sample,) = look(call(first=AT - 5 * HOUR, longest=600.0, days=()))
    assert sample.met


def test_a_plugin_that_is_isolated_is_not_missed() -> None:
    (sample,) = look(call(), isolated={("csv", "")})
    assert (sample.met, sample.said) == (False, "no call for 2 h, but it is isolated")
    assert look(call(), isolated={("geo", "")})[0].met


def test_a_plugin_whose_hosts_are_gone_is_not_missed_and_soon_after_a_start_nobody_knows() -> None:
    gone = Hosts(frozenset({"other"}), AT - DAY)
    assert look(call(), hosts=gone)[0].met is False
    young = Hosts(frozenset(), AT - LEARNING / 2)
    assert look(call(), hosts=young)[0].met is None


def test_a_plugin_that_nobody_ever_called_is_missed_by_its_name_alone() -> None:
    named = rule("{backup,image-*}")
    (sample,) = look(of=named)
    assert (sample.labels, sample.met) == ({"plugin": "backup"}, True)
    assert look(of=named, called={"backup"}) == []
    assert look(of=named, hosts=Hosts(frozenset({"shop"}), AT - HOUR / 2)) == [], "hosts have not lived for so long"
    assert look(of=named, hosts=Hosts(frozenset(), AT - DAY)) == []


def test_operations_are_looked_at_by_themselves_where_the_rule_says_so() -> None:
    mine = call(operation="export")
    (sample,) = look(mine, call(operation="warm-up"), of=rule(operations="ex*"))
    assert sample.labels == {"plugin": "csv", "operation": "export"}


def test_very_many_are_told_as_one() -> None:
    samples = look(*(call(f"p{number:03}") for number in range(MAX_ROWS + 1)))
    told = [sample for sample in samples if sample.met]
    assert [sample.labels for sample in told] == [{}]
    assert told[0].said.startswith("101 plugins or operations are not called, p000, p001")
    assert all(sample.met is None for sample in samples if sample.labels)
