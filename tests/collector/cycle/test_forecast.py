"""What a person is told before a scope is isolated: what is called now, by whom, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.cycle.forecast import SPAN, Forecast, forecast
from plugwarden_collector.cycle.impact import Hit, Impact
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.judge.arrivals import Cell
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.ways_back import WayBack

from tests.collector.support.played_fleet import AT, by_hand

OLD = AT - timedelta(days=1)
NEW = Scope("csv", "2")


def cell(version: str, instance: str, calls: int, *, tenant: str = "", operation: str = "x", refused: int = 0) -> Cell:
    return Cell("csv", version, operation, "host", instance, "m", tenant, "", CallCounts(calls), refused)


def standing(*open_ones: Quarantine, since: object = None) -> Standing:
    versions = {("csv", "1"): OLD, ("csv", "2"): OLD if since is None else since}
    return Standing(quarantines={item.id: item for item in open_ones}, versions=versions)  # type: ignore[arg-type]


CELLS = [
    cell("1", "h1", 500),
    cell("2", "h1", 300, tenant="acme"),
    cell("2", "h2", 200, tenant="globex"),
    cell("2", "h2", 50, operation="y", refused=50),
]


def test_calls_of_the_scope_are_counted_by_the_minute_those_too_that_a_breaker_refuses() -> None:
    told = forecast(standing(), NEW, CELLS, [], AT)
    whole = Hit(120.0, 2, 2)
    assert told == Forecast(NEW, 300.0, Impact(whole, (), whole))
    assert (
        str(told) == "Refused or answered by a fallback while it is isolated: about 120 calls a minute in 2 processes,"
        " for 2 tenants. Counted over the last 5 min."
    )


@pytest.mark.parametrize(
    ("scope", "calls_per_minute"),
    [
        (Scope("csv"), 220.0),
        (Scope("csv", "1"), 100.0),
        (Scope("csv", "2", "y"), 20.0),
        (Scope("csv", instance="h1"), 160.0),
        (Scope("csv", tenant="acme"), 60.0),
    ],
)
def test_a_scope_may_be_narrowed_by_anything(scope: Scope, calls_per_minute: float) -> None:
    told = forecast(standing(), scope, CELLS, [], AT)
    assert told.impact is not None
    assert told.impact.whole.calls_per_minute == calls_per_minute


def test_what_goes_back_to_an_earlier_version_is_told_apart_and_that_version_is_no_newcomer() -> None:
    told = forecast(standing(), NEW, CELLS, [WayBack("h1", "2", "x", "1"), WayBack("h2", "2", "x", "0.9")], AT)
    assert told.impact is not None
    assert [version for version, _ in told.impact.previous] == ["1", "0.9"]
    assert told.impact.refused == Hit(20.0, 1, 0)
    assert told.previous == {"1", "0.9"}


def test_nobody_goes_back_to_what_is_isolated_or_suggested_to_be() -> None:
    ways = [WayBack("h1", "2", "x", "1")]
    for state in (QuarantineState.QUARANTINED, QuarantineState.DEGRADED):
        taken = replace(by_hand(Scope("csv", "1")), state=state)
        told = forecast(standing(taken), NEW, CELLS, ways, AT)
        assert told.impact is not None
        assert told.impact.previous == ()


def test_what_is_isolated_already_is_said_and_not_counted() -> None:
    told = forecast(standing(by_hand(Scope("csv", "1"))), Scope("csv"), CELLS, [], AT)
    assert told.impact is not None
    assert told.impact.whole.calls_per_minute == 120.0
    assert str(told).endswith("Counted over the last 5 min. Calls of what is isolated already are not counted: csv@1.")
    within = forecast(standing(by_hand(Scope("csv"))), NEW, CELLS, [], AT)
    assert str(within) == (
        "It hits no call: nobody called it in the last 5 min. Calls of what is isolated already are not counted: csv."
    )


@pytest.mark.parametrize(
    ("isolated", "calls_per_minute"),
    [(Scope("csv", tenant="acme"), 60.0), (Scope("csv", operation="x"), 20.0), (Scope("csv", instance="h2"), 60.0)],
)
def test_what_is_isolated_across_the_scope_is_said_and_not_counted_either(
    isolated: Scope, calls_per_minute: float
) -> None:
    told = forecast(standing(by_hand(isolated)), NEW, CELLS, [], AT)
    assert told.impact is not None
    assert told.impact.whole.calls_per_minute == calls_per_minute
    assert told.isolated == (str(isolated),)


@pytest.mark.parametrize("beside", [Scope("csv", "1"), Scope("csv", "1", tenant="acme"), Scope("geo")])
def test_what_is_isolated_beside_the_scope_is_not_said(beside: Scope) -> None:
    told = forecast(standing(by_hand(beside)), NEW, CELLS, [], AT)
    assert told == forecast(standing(), NEW, CELLS, [], AT)


def test_of_much_that_is_isolated_a_few_are_named() -> None:
    many = [replace(by_hand(Scope("csv", "2", tenant=f"t-{number:03}")), id=f"q-{number}") for number in range(500)]
    said = str(forecast(standing(*many), NEW, CELLS, [], AT))
    assert said.endswith("are not counted: csv@2 tenant=t-000, csv@2 tenant=t-001, csv@2 tenant=t-002 and 497 more.")
    two = str(forecast(standing(*many[:2]), NEW, CELLS, [], AT))
    assert two.endswith("are not counted: csv@2 tenant=t-000, csv@2 tenant=t-001.")


def test_what_is_on_probation_or_suggested_is_counted_as_it_is_called() -> None:
    for state in (QuarantineState.PROBATION, QuarantineState.DEGRADED):
        told = forecast(standing(replace(by_hand(NEW), state=state)), Scope("csv"), CELLS, [], AT)
        assert told.impact is not None
        assert told.impact.whole.calls_per_minute == 220.0


def test_a_version_that_is_new_is_counted_since_it_is_there() -> None:
    told = forecast(standing(since=AT - timedelta(seconds=30)), NEW, CELLS, [], AT)
    assert told.impact is not None
    assert (told.over_seconds, told.impact.whole.calls_per_minute) == (30.0, 1200.0)
    assert forecast(standing(since=AT), NEW, CELLS, [], AT).over_seconds == 1.0


def test_what_nobody_calls_hits_nobody() -> None:
    told = forecast(standing(), Scope("geo"), [], [], AT)
    assert (told.over_seconds, told.impact) == (SPAN.total_seconds(), None)
    assert str(told) == "It hits no call: nobody called it in the last 5 min."
    assert told.as_dict()["impact"] is None
