"""Who speaks for an alert: what answers all that it is about, and for a page what answers a part of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from plugwarden.contract import Scope
from plugwarden_collector.cycle import Observation
from plugwarden_collector.cycle.speaker import covering, inhibit
from plugwarden_collector.cycle.tick import Tick
from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.decide.upstream import UPSTREAM, speaker_of
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.upstreams import UpstreamCounts
from plugwarden_collector.judge.watch import Watch
from plugwarden_collector.rules.tiers import PAGE, TICKET
from plugwarden_collector.rules.upstream import Upstream
from plugwarden_collector.rules.upstream_keys import alerts_of

from tests.collector.support.played_fleet import AT, AVAILABILITY, LATENCY, OBSERVED, Fleet, RememberedCalls, by_hand


def alert(severity: str, version: str | None) -> AlertRecord:
    """Return an alert on `csv` that fires."""
    fires = Alert("a-1", AlertState.FIRING, AT, AT)
    return AlertRecord(fires, "availability budget burn", severity, "availability", "csv", version, "", "", AT)


@pytest.mark.parametrize(
    ("scope", "severity", "version", "speaks"),
    [
        (Scope("csv"), TICKET, None, True),
        (Scope("csv", instance="h1"), TICKET, None, False),
        (Scope("csv", tenant="acme"), TICKET, None, False),
        (Scope("csv", operation="read"), TICKET, None, False),
        (Scope("csv", "1"), TICKET, None, False),
        (Scope("csv", "1"), TICKET, "1", True),
        (Scope("csv", "1", operation="read"), TICKET, "1", False),
        (Scope("csv"), PAGE, "1", True),
        (Scope("csv", "1"), PAGE, "1", True),
        (Scope("csv", instance="h1"), PAGE, "1", True),
        (Scope("csv", "1", operation="read"), PAGE, "1", True),
        (Scope("csv", "2"), PAGE, "1", False),
        (Scope("geo"), PAGE, "1", False),
    ],
)
def test_a_ticket_is_answered_by_what_is_as_wide_as_it_and_a_page_by_a_part(
    scope: Scope, severity: str, version: str | None, *, speaks: bool
) -> None:
    """Before, the quarantine of one process or tenant spoke for the ticket of the whole plugin."""
    standing = Standing(quarantines={"q-hand": by_hand(scope)})
    assert (covering(standing, alert(severity, version)) is not None) is speaks
    ended = Standing(quarantines={"q-hand": replace(by_hand(scope), ended_at=AT)})
    assert covering(ended, alert(severity, version)) is None


def test_what_an_alert_of_the_rules_says_an_incident_speaks_for_and_no_quarantine() -> None:
    fleet = Fleet(OBSERVED)
    watched = replace(alert(PAGE, "1"), name="orders wait", slo="")
    fleet.standing.alerts["a-1"] = watched
    fleet.standing.quarantines["q-hand"] = by_hand(Scope("csv"))
    fleet.tick()
    assert fleet.standing.alerts["a-1"] == watched, "nor does a tick end what it did not begin"
    fleet.standing.incidents["i-1"] = Incident(
        "i-1", "downstream:db", "db is slow", ("csv",), fleet.at, seen_at=fleet.at
    )
    fleet.tick()
    assert fleet.standing.alerts["a-1"].inhibited_by == "i-1"


def test_who_answers_the_whole_of_it_speaks_before_who_answers_a_part() -> None:
    part, whole = by_hand(Scope("csv", instance="h1")), replace(by_hand(Scope("csv", "1")), id="q-whole")
    standing = Standing(quarantines={part.id: part, whole.id: whole})
    assert covering(standing, alert(PAGE, "1")) is whole


def test_the_ticket_of_a_plugin_is_told_though_one_of_its_processes_is_isolated() -> None:
    fleet = Fleet(OBSERVED, windows=True, budgets=True)
    fleet.standing.quarantines["q-hand"] = by_hand(Scope("csv", instance="h9"))
    for _ in range(60):
        fleet.at += timedelta(seconds=60)
        fleet.arrive("csv", "1", 100, 5, on=("h1",))
        fleet.tick()
    told = {(record.name, record.inhibited_by) for record in fleet.standing.alerts.values()}
    assert told == {("availability budget burn", None), ("availability budget exhausted", None)}


DB = alerts_of(Upstream(replace(AVAILABILITY, name="db", period_seconds=30 * 86_400.0), "db"), "upstream[0]")
SIZES = AVAILABILITY.windows
"""Of six hours, while the upstream's own are of a month: none is among both."""
LONG = sorted({tier.long_seconds for tier in AVAILABILITY.tiers if tier.severity == PAGE})


def spoken(
    failed: Mapping[str, Mapping[float, int]],
    seen: Mapping[str, Mapping[float, int]],
    *,
    incident: Incident | None = None,
) -> tuple[str | None, str | None]:
    """Return who speaks for the page of `csv@1`, which points outward, and for an incident, while a page on the upstream `db` fires.

    `failed` are bad calls by version of csv or name of another plugin, and window; `seen` are those in which each plugin saw db fail.
    """
    fires = Alert("a-db", AlertState.FIRING, AT, AT)
    detail = {"kind": UPSTREAM, "plugins": {name: {"bad": 10_000, "calls": 10_000} for name in seen}}
    upstream = AlertRecord(fires, DB[0].name, PAGE, "", "", None, "", "", AT, None, detail, more={UPSTREAM: "db"})
    page = replace(alert(PAGE, "1"), detail={"errors": {"ConnectionError": 9}, "long": {"seconds": LONG[0]}})
    standing = Standing(
        alerts={"a-1": page, "a-db": upstream}, incidents={} if incident is None else {incident.id: incident}
    )
    calls = RememberedCalls(
        outward=lambda _: [
            UpstreamCounts(
                "db", name, "web", {size: CallCounts(20_000, failed=bad, slow=bad) for size, bad in windows.items()}
            )
            for name, windows in seen.items()
        ]
    )
    windows = {
        ("csv", name) if name.isdigit() else (name, "1"): {
            size: CallCounts(1000, failed=bad, slow=bad) for size, bad in found.items()
        }
        for name, found in failed.items()
    }
    told = Observation(AT, {AVAILABILITY.name: windows, LATENCY.name: windows}, running=20)
    tick = Tick(replace(OBSERVED, alerts=tuple(DB)), standing, Watch(), told, calls, lambda: 0.5, Changes(at=AT))
    inhibit(tick)
    spoken_for = None if incident is None else speaker_of(tick.standing.incidents[incident.id], tick.standing)
    return tick.standing.alerts["a-1"].inhibited_by, spoken_for


def in_all(bad: int) -> dict[float, int]:
    """Return so many bad calls in every window."""
    return dict.fromkeys(SIZES, bad)


BAD = st.fixed_dictionaries({size: st.sampled_from([0, 40, 200, 220, 225, 500]) for size in SIZES})


@given(BAD, BAD, BAD)
@example(in_all(500), in_all(0), in_all(500))
@example(in_all(500), in_all(200), in_all(500))
@example(in_all(500), in_all(0), in_all(500) | {LONG[0]: 40})
def test_an_upstream_speaks_for_a_page_where_it_failed_as_often_in_every_window_that_burns(
    one: dict[float, int], other: dict[float, int], seen: dict[float, int]
) -> None:
    """Before, what a plugin failed in lately was hidden by what it saw the upstream fail in over hours, and so were its other versions."""
    limit = 1.0 - AVAILABILITY.target_ratio
    allowed = 2000 * limit + 1e-6  # nobody would be told of it
    burning = {
        tier.long_seconds
        for tier in AVAILABILITY.tiers
        if tier.severity == PAGE
        and min(one[tier.long_seconds], one[tier.short_seconds]) / 1000 >= tier.factor * limit
        and one[tier.long_seconds] >= AVAILABILITY.min_failures
    }
    explained = all(0 < seen[size] >= one[size] + other[size] - allowed for size in burning or {LONG[0]})
    assert spoken({"1": one, "2": other}, {"csv": seen})[0] == ("a-db" if explained else None)


@pytest.mark.parametrize(
    ("cause", "geo", "seen", "speaks"),
    [
        ("simultaneous:", 300, {"csv": 500, "geo": 300}, True),
        ("slow everything:", 0, {"csv": 500, "geo": 300}, True),
        ("simultaneous:", 300, {"csv": 500, "geo": 1}, False),
        ("everything:", 300, {"csv": 500}, False),
        ("downstream:db", 300, {"csv": 1, "geo": 1}, True),
        ("downstream:maps", 300, {"csv": 500, "geo": 300}, False),
        ("machine:m1", 300, {"csv": 500, "geo": 300}, False),
    ],
)
def test_an_upstream_speaks_for_a_cause_without_a_name_where_it_explains_each_of_its_plugins(
    cause: str, geo: int, seen: Mapping[str, int], *, speaks: bool
) -> None:
    """Before, one wait that failed within hours was enough of each."""
    incident = Incident("i-1", cause, "", ("csv", "geo"), AT - timedelta(minutes=1), seen_at=AT)
    failed = {"1": in_all(500), "geo": in_all(geo)}
    found = spoken(failed, {name: in_all(bad) for name, bad in seen.items()}, incident=incident)
    assert found == ("i-1", "a-db" if speaks else None)
