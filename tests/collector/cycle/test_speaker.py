"""Who speaks for an alert: what answers all that it is about, and for a page what answers a part of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from plugwarden.contract import Scope
from plugwarden_collector.cycle.speaker import covering
from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.rules.tiers import PAGE, TICKET

from tests.collector.support.played_fleet import AT, OBSERVED, Fleet, by_hand


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
