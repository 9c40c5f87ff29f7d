"""The breaker, with time as an argument: what rates decide, and its states. What evidence decides is in test_evidence."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden import BreakerPolicy, ConfigurationError
from plugwarden.contract import BreakerState
from plugwarden.gate import Breaker, Transition

POLICY = BreakerPolicy(
    window_seconds=10,
    minimum_calls=10,
    failure_rate=0.5,
    open_seconds=5,
    half_open_calls=2,
    half_open_concurrent=2,
    sudden=False,
)


def broken(at: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY, spread=lambda: 0.0)
    for _ in range(10):
        breaker.record(True, at)
    return breaker


def test_it_stays_closed_below_the_minimum_of_calls() -> None:
    breaker = Breaker(POLICY)
    for _ in range(9):
        breaker.record(True, 0.0)
    assert breaker.state is BreakerState.CLOSED


def test_it_opens_at_the_failure_rate_and_says_why() -> None:
    seen: list[Transition] = []
    breaker = Breaker(POLICY, on_transition=seen.append, spread=lambda: 0.0)
    for failed in [False] * 5 + [True] * 5:
        breaker.record(failed, 1.0)
    assert breaker.state is BreakerState.OPEN
    assert "5 of 10" in seen[0].reason
    assert breaker.admit(2.0) is None
    assert breaker.retry_after_seconds(2.0) == pytest.approx(4.0)


def test_failures_outside_of_the_window_do_not_count() -> None:
    breaker = Breaker(POLICY)
    for _ in range(9):
        breaker.record(True, 0.0)
    breaker.record(True, 30.0)
    assert breaker.state is BreakerState.CLOSED


def test_after_its_time_it_lets_a_few_probes_through_and_closes() -> None:
    breaker = broken()
    assert [breaker.admit(5.1) for _ in range(4)] == [1, 1, None, None]
    breaker.record(False, 5.2, probe=1)
    breaker.record(False, 5.2, probe=1)
    assert breaker.state is BreakerState.CLOSED


def test_a_failed_probe_opens_it_for_twice_as_long() -> None:
    breaker = broken()
    assert breaker.admit(5.1)
    breaker.record(True, 5.1, probe=1)
    assert breaker.state is BreakerState.OPEN
    assert breaker.retry_after_seconds(5.1) == pytest.approx(10.0)


def test_probes_that_never_come_back_do_not_hold_it_half_open_for_ever() -> None:
    breaker = broken()
    assert breaker.admit(5.1)
    assert breaker.admit(5.1)
    assert breaker.admit(6.0) is None
    assert breaker.admit(40.0) is None
    assert breaker.state is BreakerState.OPEN


def test_calls_that_began_before_it_opened_do_not_decide_a_half_open_one() -> None:
    breaker = broken()
    assert breaker.admit(5.1) == 1
    for failed in (False, False, False, True):
        breaker.record(failed, 5.2)
    assert breaker.state is BreakerState.HALF_OPEN


def test_a_cancelled_probe_gives_its_place_to_another_call() -> None:
    breaker = broken()
    assert [breaker.admit(5.1) for _ in range(3)] == [1, 1, None]
    breaker.give_back(1)
    assert breaker.admit(5.1) == 1


def test_an_operators_hand_wins() -> None:
    breaker = broken()
    breaker.force(BreakerState.DISABLED, "maintenance")
    assert breaker.admit(0.1) == 0
    breaker.force(BreakerState.FORCED_OPEN, "incident")
    assert breaker.admit(100.0) is None
    breaker.force(BreakerState.CLOSED, "over")
    assert breaker.admit(100.0) == 0


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=200))
def test_it_never_opens_without_enough_failures(calls: list[tuple[bool, float]]) -> None:
    breaker = Breaker(POLICY)
    at = 0.0
    recorded: list[tuple[float, bool]] = []
    for failed, pause in calls:
        at += pause
        if breaker.admit(at) is None:
            break
        recorded.append((at, failed))
        breaker.record(failed, at)
    if breaker.state is BreakerState.OPEN:
        opened = recorded[-1][0]
        recent = [failed for when, failed in recorded if when > opened - POLICY.window_seconds - 1]
        assert len(recent) >= POLICY.minimum_calls
        assert sum(recent) >= POLICY.minimum_calls * POLICY.failure_rate


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"failure_rate": 0}, "failure_rate: 0 is outside"),
        ({"failure_rate": math.nan}, "failure_rate"),
        ({"slow_call_rate": 1.5}, "slow_call_rate"),
        ({"window_seconds": math.inf}, "window_seconds: inf must be above 0 seconds, and finite"),
        ({"open_seconds": math.nan}, "open_seconds"),
        ({"half_open_seconds": -1}, "half_open_seconds"),
        ({"open_seconds": 60, "open_max_seconds": 30}, "open_max_seconds: 30 s is less than it is open at first"),
        ({"minimum_calls": True}, "minimum_calls: True must be a whole number"),
        ({"half_open_calls": 2.5}, "half_open_calls: 2.5 must be a whole number"),
        ({"window_calls": 10, "minimum_calls": 20}, "10 calls never reach minimum_calls \\(20\\)"),
        ({"jitter_ratio": -0.1}, "jitter_ratio"),
        ({"calls_per_false_opening": 10}, "set sudden to false"),
    ],
)
def test_a_policy_that_cannot_work_names_its_field(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        BreakerPolicy(**wrong)


def test_a_window_of_few_calls_needs_no_more_than_it_holds() -> None:
    assert BreakerPolicy(window_calls=10).least_calls == 10
    assert BreakerPolicy(window_calls=100).least_calls == BreakerPolicy().least_calls == 40


def test_while_probes_run_a_refused_caller_is_told_to_come_back_within_the_first_open_time() -> None:
    breaker = broken()
    assert breaker.admit(5.1) == 1
    assert breaker.retry_after_seconds(5.2) == 5.0
    assert breaker.retry_after_seconds(34.1) == pytest.approx(1.0)
    breaker.force(BreakerState.FORCED_OPEN, "by hand")
    assert breaker.retry_after_seconds(34.1) is None
