"""What isolating costs, forecast from what was called before the trouble."""

from __future__ import annotations

from plugwarden.contract import Scope
from plugwarden_collector.cycle.impact import Impact, impact
from plugwarden_collector.judge.arrivals import Cell
from plugwarden_collector.judge.sli import CallCounts

from tests.collector.support.played_fleet import Fleet


def cell(instance: str, tenant: str, calls: int, *, plugin: str = "csv", refused: int = 0) -> Cell:
    return Cell(plugin, "1", "x", "web", instance, "m1", tenant, "", CallCounts(calls), refused)


CALLED = [cell("h1", "acme", 10), cell("h1", "globex", 5), cell("h2", "acme", 5), cell("h3", "", 0, refused=10)]


def test_calls_in_the_scope_are_counted_by_the_minute_and_with_whom_they_are_for() -> None:
    assert impact(Scope("csv"), [*CALLED, cell("h9", "x", 99, plugin="geo")], 10.0) == Impact(180.0, 3, 2)
    assert impact(Scope("csv", instance="h1", tenant="acme"), CALLED, 10.0) == Impact(60.0, 1, 1)


def test_where_nothing_was_called_nothing_is_forecast() -> None:
    assert impact(Scope("geo"), CALLED, 10.0) is None
    assert impact(Scope("csv"), [cell("h1", "", 0)], 10.0) is None


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
