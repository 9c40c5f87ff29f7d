"""Error budgets of a plugin over all of its versions: a release goes on with what those before it left, and is punished for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden.contract import Scope
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.cycle import Observation, evaluate
from plugwarden_collector.cycle.alerts import fingerprint_of
from plugwarden_collector.decide.alert import BURN, EXHAUSTED, Alert, AlertRecord, AlertState
from plugwarden_collector.decide.changes import BudgetStatus, Changes
from plugwarden_collector.decide.correcting import correct
from plugwarden_collector.decide.correction import excluded_seconds, stretches
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.judge.budget_state import LEFT_AGAIN_RATIO, budget_state, spent
from plugwarden_collector.judge.burn import budget, budget_of
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.watch import Watch
from plugwarden_collector.rules.period import Calendar, CalendarUnit
from plugwarden_collector.rules.tiers import PAGE, TICKET

from tests.collector.support.played_fleet import AT, AVAILABILITY, OBSERVED, RULES, Fleet, RememberedCalls, by_hand

LIFE_SECONDS = 2_700
"""A version is replaced so soon; its objective's period is six hours."""
STEP_SECONDS = 60


def left(changes: Changes, version: str | None) -> BudgetStatus:
    """Return the availability budget of a version of `csv`, or over all of them."""
    (found,) = [item for item in changes.slo_status if (item.slo, item.version) == (AVAILABILITY.name, version)]
    return found


def state(fleet: Fleet, severity: str, version: str | None, *kind: str) -> str:
    """Return the state of an alert on `csv`."""
    record = fleet.standing.alerts.get(fingerprint_of(AVAILABILITY.name, "csv", version, severity, *kind))
    return "" if record is None else record.alert.state.value


def live(fleet: Fleet, version: str, minutes: int, bad: int) -> Changes:
    """Let a version be called for some minutes, so many of a hundred calls failing each time. Return what changed at last."""
    changes = Changes()
    for _ in range(minutes):
        fleet.at += timedelta(seconds=STEP_SECONDS)
        fleet.arrive("csv", version, 100, bad, on=("h1",))
        changes = fleet.tick()
    return changes


@pytest.fixture
def fleet() -> Fleet:
    """A fleet that is only observed, and whose budgets are kept."""
    return Fleet(OBSERVED, windows=True, budgets=True)


def test_a_plugin_that_releases_often_and_fails_a_little_each_time_spends_its_budget(fleet: Fleet) -> None:
    for number in range(1, 7):
        live(fleet, str(number), 15, 5)  # each stumbles at first
        live(fleet, str(number), 30, 0)
    changes = live(fleet, "7", 1, 0)
    assert left(changes, "7").remaining_ratio == 1.0, "its own figure begins anew"
    whole = left(changes, None)
    assert whole.remaining_ratio is not None
    assert whole.remaining_ratio < 0
    assert (whole.versions, whole.total, whole.bad) == (7, 6 * 45 * 100 + 100, 6 * 15 * 5)
    assert state(fleet, TICKET, None, EXHAUSTED) == "firing"
    (record,) = [item for item in fleet.standing.alerts.values() if item.name == f"availability {EXHAUSTED}"]
    assert record.labels().keys() == {"alertname", "severity", "slo", "plugin"}, "it is of no version"
    assert record.summary.startswith("csv has spent its error budget: ")
    assert "over all of its versions" in record.summary
    assert record.description.startswith("Version 1 spent ")


def test_a_spent_budget_is_told_once_over_releases_and_is_one_again_when_a_share_is_left(fleet: Fleet) -> None:
    for number in range(1, 7):
        live(fleet, str(number), 15, 5)
        live(fleet, str(number), 30, 0)
    events = []
    for number in range(7, 16):
        for _ in range(45):
            events += [item for item in live(fleet, str(number), 1, 0).alert_events if EXHAUSTED in item.record.name]
        if state(fleet, TICKET, None, EXHAUSTED) == "inactive":
            break
    (over,) = events
    assert over.reason.endswith(" % is left of the budget of 6 h")
    assert float(over.reason.split()[0]) >= 100 * LEFT_AGAIN_RATIO


def test_a_release_in_the_middle_of_a_burn_ends_no_ticket_and_begins_none_anew(fleet: Fleet) -> None:
    live(fleet, "1", 45, 6)
    assert state(fleet, TICKET, None) == "firing"
    began = fleet.standing.alerts[fingerprint_of("availability", "csv", None, TICKET)].alert.firing_at
    events = []
    for _ in range(45):
        events += live(fleet, "2", 1, 6).alert_events
    assert [item for item in events if item.record.severity == TICKET and BURN in item.record.name] == []
    assert fleet.standing.alerts[fingerprint_of("availability", "csv", None, TICKET)].alert.firing_at == began
    assert {item.record.version for item in events if item.record.severity == PAGE} <= {"1", "2"}, (
        "pages are of versions"
    )


def test_a_release_is_isolated_for_nothing_that_the_one_before_did() -> None:
    fleet = Fleet(RULES, windows=True, budgets=True)
    fleet.has_past("csv", "1", failed_ratio=0.05)
    live(fleet, "1", 60, 5)
    assert state(fleet, TICKET, None, EXHAUSTED) == "firing"
    decided = len(fleet.made)
    live(fleet, "2", 30, 0)
    assert [item.kind for item in fleet.made[decided:]] == []
    assert fleet.told == set()
    assert state(fleet, PAGE, "2") == ""
    assert state(fleet, TICKET, None, EXHAUSTED) == "firing", "the budget is the plugin's, and is still spent"


def test_of_a_plugin_that_has_just_come_burn_rates_tell_and_no_spent_budget() -> None:
    """Its few calls are the whole budget."""
    young = {("csv", "1"): AT - timedelta(seconds=600)}
    counts = CallCounts(100, failed=50)
    sizes = dict.fromkeys(AVAILABILITY.windows, counts)
    seen = Observation(AT, {"availability": {("csv", "1"): sizes}}, {"availability": {("csv", "1"): counts}}, 20, young)
    standing, _, changes = evaluate(OBSERVED, Standing(), Watch(), seen, RememberedCalls(), lambda: 0.5)
    assert left(changes, None).remaining_ratio == pytest.approx(-49.0)
    assert {item.name for item in standing.alerts.values()} == {f"availability {BURN}"}


def test_what_is_not_called_any_more_is_not_told_of(fleet: Fleet) -> None:
    live(fleet, "1", 60, 5)
    assert state(fleet, TICKET, None, EXHAUSTED) == "firing"
    fleet.tick(3_600)
    assert state(fleet, TICKET, None, EXHAUSTED) == "inactive"
    for _ in range(3):
        assert fleet.tick(60).alert_events == []
    assert left(fleet.tick(1), None).bad == 300, "its budget is kept all the same"


@pytest.mark.parametrize("superseded_by", [None, "2"])
def test_a_ticket_of_a_version_that_an_earlier_collector_left_ends_though_the_version_is_isolated(
    fleet: Fleet, superseded_by: str | None
) -> None:
    """Before, the quarantine held it: for as long as that was in force, which is for good of a version that others have replaced."""
    fleet.standing.quarantines["q-hand"] = replace(by_hand(Scope("csv", "1")), superseded_by=superseded_by)
    old_ticket_ends(fleet)


def test_a_ticket_of_a_version_that_an_earlier_collector_left_ends(fleet: Fleet) -> None:
    old_ticket_ends(fleet)


def old_ticket_ends(fleet: Fleet) -> None:
    live(fleet, "1", 5, 0)
    old = AlertRecord(
        Alert("a-old", AlertState.FIRING, AT, AT),
        "availability budget burn",
        TICKET,
        "availability",
        "csv",
        "1",
        "",
        "",
        AT,
    )
    fleet.standing.alerts["a-old"] = old
    (event,) = live(fleet, "1", 1, 0).alert_events
    assert (event.record.alert.fingerprint, event.after) == ("a-old", AlertState.INACTIVE)
    assert event.reason == "expired: tickets are of csv over all of its versions"


@pytest.mark.parametrize(
    ("counts", "gone"),
    [
        (CallCounts(), None),
        (CallCounts(19, failed=19), None),  # too few calls
        (CallCounts(400, failed=4), None),  # too few bad ones
        (CallCounts(1_000, failed=10), True),  # exactly all of it
        (CallCounts(1_000, failed=11), True),
        (CallCounts(1_000, failed=500), True),
        (CallCounts(10_000, failed=99), None),  # 1 % left
        (CallCounts(10_000, failed=98), False),
        (CallCounts(1_000), False),
    ],
)
def test_when_a_budget_is_spent(counts: CallCounts, gone: bool | None) -> None:
    assert spent(AVAILABILITY, budget(AVAILABILITY, counts)) is gone


@pytest.mark.parametrize(
    ("total", "bad", "burning", "state"),
    [
        (0, 0, True, "unknown"),
        (100, 0, False, "kept"),
        (100, 4, True, "burning"),
        (100, 5, False, "spent"),  # exactly all of 5 %, which is not 1 - 0.95 in binary numbers
        (100, 5, True, "spent"),
        (19, 19, False, "unsure"),
        (30, 4, False, "unsure"),
    ],
)
def test_how_a_budget_stands(total: int, bad: int, burning: bool, state: str) -> None:
    objective = replace(AVAILABILITY, target_ratio=0.95)
    left = budget_of(objective, total, bad)
    assert budget_state(objective, left, burning=burning) == state
    if state in ("spent", "kept"):
        assert spent(objective, left) is (state == "spent"), "what is told and what is shown are one"


COUNTS = st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)).map(lambda two: CallCounts(sum(two), failed=two[0]))


@given(st.dictionaries(st.tuples(st.sampled_from(["p", "q"]), st.sampled_from(["1", "2", "3"])), COUNTS, min_size=1))
def test_a_plugins_budget_is_that_of_its_versions_together(periods: Mapping[tuple[str, str], CallCounts]) -> None:
    at = replace(AVAILABILITY, name="a")
    seen = Observation(AT, {"a": {key: {60.0: counts} for key, counts in periods.items()}}, {"a": periods})
    rules = replace(OBSERVED, objectives=(at,))
    _, _, changes = evaluate(rules, Standing(), Watch(), seen, RememberedCalls(), lambda: 0.5)
    for plugin in {name for name, _ in periods}:
        (whole,) = [item for item in changes.slo_status if (item.plugin, item.version) == (plugin, None)]
        parts = [item for item in changes.slo_status if item.plugin == plugin and item.version is not None]
        assert (whole.total, whole.bad) == (sum(item.total for item in parts), sum(item.bad for item in parts))
        assert whole.versions == len(parts)
        worst = min((item.remaining_ratio for item in parts if item.remaining_ratio is not None), default=None)
        assert (whole.remaining_ratio is None) == (worst is None)
        if whole.remaining_ratio is not None and worst is not None:
            assert whole.remaining_ratio >= worst - 1e-9


MONTHLY = replace(
    AVAILABILITY,
    period_seconds=30 * 86_400.0,
    calendar=Calendar(CalendarUnit.MONTH, "Europe/Berlin"),
    target_ratio=0.99,
)
NEW_MONTH = datetime(2026, 10, 31, 23)
"""Midnight of the first of November in Berlin, UTC."""


def monthly(at: datetime, bad: int, burning: int) -> tuple[Standing, BudgetStatus]:
    """Return what comes of so many bad calls of 1,000 in the month so far, and so many of 100 within each burn window."""
    key = ("csv", "1")
    windows = dict.fromkeys(MONTHLY.windows, CallCounts(100, failed=burning))
    seen = Observation(
        at, {MONTHLY.name: {key: windows}}, {MONTHLY.name: {key: CallCounts(1000, failed=bad)}}, 20,
        {key: at - timedelta(days=90)},
    )  # fmt: skip
    rules = replace(OBSERVED, objectives=(MONTHLY,))
    standing, _, changes = evaluate(rules, Standing(), Watch(), seen, RememberedCalls(), lambda: 0.5)
    return standing, left(changes, None)


def test_a_budget_that_is_spent_on_the_first_of_a_month_is_told_once_the_month_can_tell() -> None:
    told = f"{MONTHLY.name} {EXHAUSTED}"
    standing, status = monthly(NEW_MONTH + timedelta(days=2), 40, 0)
    assert (status.remaining_ratio, told in {item.name for item in standing.alerts.values()}) == (
        pytest.approx(-3.0),
        False,
    )
    standing, status = monthly(NEW_MONTH + timedelta(days=3, hours=1), 40, 0)
    (record,) = [item for item in standing.alerts.values() if item.name == told]
    assert "within this month, over all of its versions" in record.summary
    assert (status.period_started_at, status.period_ends_at) == (NEW_MONTH, datetime(2026, 11, 30, 23))
    assert status.period_seconds == 30 * 86_400


@pytest.mark.parametrize(
    ("bad", "burning", "seconds"),
    [
        (5, 1, None),  # burns at 1: half of what comes is never spent
        (5, 2, 10 * 86_400 / 2),  # half of ten days is left, and a day spends two: after five more it is gone
        (9, 11, 10 * 86_400 / 100),
        (1, 2, 9 * 86_400),
        (0, 2, 10 * 86_400),
        (11, 2, None),  # nothing is left
    ],
)
def test_when_a_budget_of_the_calendar_is_gone_supposes_that_calls_come_as_they_did(
    bad: int, burning: int, seconds: float | None
) -> None:
    _, status = monthly(NEW_MONTH + timedelta(days=10), bad, burning)
    assert status.exhausted_seconds == (None if seconds is None else pytest.approx(seconds))


def test_a_budget_that_lasts_until_it_begins_anew_is_not_gone() -> None:
    _, status = monthly(NEW_MONTH + timedelta(days=25), 5, 2)
    assert status.exhausted_seconds is None, "after twelve days and a half, and in five it begins anew"


def test_what_corrections_leave_out_stands_beside_the_budget() -> None:
    at = NEW_MONTH + timedelta(days=10)
    span = NEW_MONTH - timedelta(hours=1), NEW_MONTH + timedelta(hours=2)
    standing, _ = correct(Standing(), ("c*", "*", "*"), span, "known", Actor("ann"), at)
    standing, _ = correct(standing, ("csv", "*", "*"), (NEW_MONTH, at - timedelta(days=9)), "known", Actor("ann"), at)
    period = MONTHLY.period_at(at)
    found = list(stretches(standing.corrections, period.started_at, period.ends_at))
    assert excluded_seconds(found, MONTHLY, "csv") == 86_400, "the one is within the other, but for what was before"
    assert excluded_seconds(found, MONTHLY, "cpu") == 2 * 3_600
    assert excluded_seconds(found, MONTHLY, "geo") == 0


def test_what_is_said_of_an_objective_of_a_part_is_of_that_part() -> None:
    """Before, the errors of other operations stood in its page, and its ticket spoke of all versions."""
    part = replace(AVAILABILITY, name="reads", operations="read", versions="1*")
    fleet = Fleet(replace(OBSERVED, objectives=(AVAILABILITY, part)), windows=True, budgets=True)
    for _ in range(60):
        fleet.at += timedelta(seconds=60)
        fleet.arrive("csv", "1", 100, 20, operation="write", error="DiskFull")
        fleet.arrive("csv", "1", 100, 5, operation="read", error="NoSuchRow")
        fleet.tick()
    told = {(item.slo, item.severity, item.exhausted): item for item in fleet.standing.alerts.values()}
    assert "are NoSuchRow" in told["reads", PAGE, False].description
    assert set(told["reads", PAGE, False].detail["errors"]) == {"NoSuchRow"}
    assert set(told["availability", PAGE, False].detail["errors"]) == {"DiskFull", "NoSuchRow"}
    for exhausted in (False, True):
        assert "over those of its versions that match 1*" in told["reads", TICKET, exhausted].summary
        assert "over all of its versions" in told["availability", TICKET, exhausted].summary
