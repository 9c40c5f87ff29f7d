"""Burn rates, budgets, alerts and rules: pure functions."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.decide.alert import Alert, AlertState, Reading, transition
from plugwarden_collector.errors import RulesError
from plugwarden_collector.judge.burn import budget, burn_rate, burns
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.rules.duration import seconds
from plugwarden_collector.rules.file import parse_rules
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.tiers import max_burn_rate, tiers_for

AT = datetime(2026, 1, 1)
MONTH = 30 * 86_400.0
GOOD = '[[slo]]\nname = "a"\nobjective = 0.99\n'


def test_the_tiers_of_a_month_are_the_workbooks() -> None:
    found = [(tier.severity, round(tier.factor, 1), tier.long_seconds, tier.short_seconds) for tier in tiers_for(MONTH)]
    assert found == [
        ("page", 14.4, 3600, 300),
        ("page", 6.0, 21_600, 1800),
        ("ticket", 3.0, 86_400, 7200),
        ("ticket", 1.0, 259_200, 21_600),
    ]


@given(st.sampled_from([86_400.0, 604_800.0, 14 * 86_400.0, MONTH, 90 * 86_400.0]))
def test_on_any_period_a_tier_means_the_same_share_of_the_budget(period: float) -> None:
    for tier in tiers_for(period):
        assert tier.factor * tier.long_seconds / period == pytest.approx(tier.budget_ratio)


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 1000), st.floats(0.5, 0.9999))
def test_the_burn_rate_grows_with_the_errors_and_has_an_end(a: int, b: int, more: int, target: float) -> None:
    total = a + b + more
    low, high = sorted((a, b))
    assert burn_rate(low, total, target) <= burn_rate(high, total, target) <= max_burn_rate(target) * (1 + 1e-9)


def test_few_events_never_make_an_alert() -> None:
    objective = Objective("a", Sli.AVAILABILITY, 0.99, MONTH)
    everything_fails = {tier.long_seconds: CallCounts(19, failed=19) for tier in objective.tiers}
    everything_fails |= {tier.short_seconds: CallCounts(19, failed=19) for tier in objective.tiers}
    assert not any(burn.met for burn in burns(objective, everything_fails))
    enough = {window: CallCounts(20, failed=20) for window in everything_fails}
    assert all(burn.met for burn in burns(objective, enough))


def test_a_budget_without_events_is_unknown_not_full() -> None:
    objective = Objective("a", Sli.AVAILABILITY, 0.99, MONTH)
    assert budget(objective, CallCounts()).remaining_ratio is None
    assert budget(objective, CallCounts(1000, failed=5)).remaining_ratio == pytest.approx(0.5)
    assert budget(objective, CallCounts(1000, failed=20)).remaining_ratio == pytest.approx(-1.0)


def step(alert: Alert, burning: bool | None, at: datetime, hold: float = 0.0, keep: float = 10.0) -> Alert:
    return transition(alert, Reading(burning, "because"), at, for_seconds=hold, keep_firing_seconds=keep)[0]


def test_an_alert_waits_fires_and_resolves() -> None:
    alert = step(Alert("f"), True, AT, hold=5)
    assert alert.state is AlertState.PENDING
    alert = step(alert, True, AT + timedelta(seconds=5), hold=5)
    assert alert.state is AlertState.FIRING
    alert = step(alert, False, AT + timedelta(seconds=6))
    assert alert.state is AlertState.FIRING
    alert = step(alert, False, AT + timedelta(seconds=16))
    assert (alert.state, alert.resolved_at) == (AlertState.INACTIVE, AT + timedelta(seconds=16))


def test_a_blip_ends_in_pending() -> None:
    alert = step(Alert("f"), True, AT, hold=5)
    assert step(alert, False, AT + timedelta(seconds=1), hold=5).state is AlertState.INACTIVE


@given(st.sampled_from(AlertState))
def test_no_data_holds_every_state(state: AlertState) -> None:
    alert = Alert("f", state, AT, AT)
    assert step(alert, None, AT + timedelta(days=1)) == alert


def test_burning_again_starts_the_quiet_time_anew() -> None:
    alert = Alert("f", AlertState.FIRING, AT, AT)
    alert = step(alert, False, AT + timedelta(seconds=8))
    alert = step(alert, True, AT + timedelta(seconds=9))
    assert step(alert, False, AT + timedelta(seconds=12)).state is AlertState.FIRING


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[slo]]\nname = 'a'\nobjectiv = 0.9", "did you mean objective"),
        ("[[slo]]\nname = 'a'\nobjective = 99", "between 0 and 1"),
        (GOOD + "sli = 'latency'", "threshold"),
        (GOOD + "period = '30 days'", "not a duration"),
        (GOOD + GOOD, "given twice"),
        (GOOD + "[policy]\nenforcement = 'yes'", "observe, suggest or enforce"),
        (GOOD + "[policy]\nprobation_steps = [0.5, 0.1]", "growing ratios"),
        (GOOD + "[policy]\nmax_quarantined_ratio = 2", "from 0.0 to 1.0"),
        (GOOD + "[[receiver]]\nname = 'x'\nurl = 'ftp://x'", "http"),
        ("", "there is none"),
        ("nonsense", "not valid TOML"),
    ],
)
def test_a_wrong_rules_file_names_the_place_and_the_fix(text: str, problem: str) -> None:
    with pytest.raises(RulesError, match=problem):
        parse_rules(text, "rules.toml")


def test_a_new_policy_only_observes() -> None:
    assert parse_rules(GOOD, "rules.toml").policy.enforcement.value == "observe"


@pytest.mark.parametrize(("text", "value"), [("250ms", 0.25), ("1h30m", 5400.0), ("2w", 1_209_600.0), (90, 90.0)])
def test_durations(text: object, value: float) -> None:
    assert seconds(text) == pytest.approx(value)
