"""What isolating costs, forecast from what was called before the trouble."""

from __future__ import annotations

from datetime import timedelta

from plugwarden.contract import Scope
from plugwarden_collector.cycle.impact import Called, Impact, impact

from tests.collector.support.played_fleet import Fleet, rules_with

CALLED = [Called("h1", "acme", 10), Called("h1", "globex", 5), Called("h2", "acme", 5), Called("h3", "", 10)]


def test_calls_are_counted_by_the_minute_and_with_whom_they_are_for() -> None:
    assert impact(CALLED, 10.0) == Impact(180.0, 3, 2)


def test_where_nothing_was_called_nothing_is_forecast() -> None:
    assert impact([], 10.0) is None
    assert impact([Called("h1", "", 0)], 10.0) is None


def test_it_reads_as_a_sentence() -> None:
    assert (
        str(Impact(180.0, 3, 2))
        == "Refused or answered by a fallback while it is isolated: about 180 calls a minute in 3 processes, for 2 tenants."
    )
    assert (
        str(Impact(0.4, 1, 0))
        == "Refused or answered by a fallback while it is isolated: about a call a minute in 1 process."
    )


def test_a_decision_keeps_the_forecast_and_says_it_in_its_fourth_sentence() -> None:
    fleet = Fleet()
    fleet.has_past("csv")
    fleet.play(12, lambda: fleet.arrive("csv", "1", 5), step=1)
    fleet.play(8, lambda: fleet.arrive("csv", "1", 5, 5), step=1)
    (made,) = [item for item in fleet.made if item.kind == "quarantined"]
    assert made.evidence["impact"] == {"calls_per_minute": 600.0, "instances": 2, "tenants": 0}
    assert made.reason.count(". ") <= 3
    assert made.reason.endswith("about 600 calls a minute in 2 processes.")


def test_of_a_version_that_has_only_begun_the_forecast_is_from_its_own_calls() -> None:
    fleet = Fleet(rules_with(newcomer_grace_seconds=0))
    fleet.has_past("csv")
    fleet.play(12, lambda: fleet.arrive("csv", "1", 5), step=1)
    fleet.versions["csv", "2"] = fleet.at
    fleet.play(8, lambda: fleet.arrive("csv", "2", 5, 5), step=1)
    (made,) = [item for item in fleet.made if item.kind == "quarantined"]
    assert made.scope == str(Scope("csv", "2"))
    began = fleet.versions["csv", "2"]
    told = made.evidence["impact"]["calls_per_minute"]
    seconds = (made.at - began) / timedelta(seconds=1)
    assert told == round(made.evidence["total"] * 60 / seconds, 1) >= 600
