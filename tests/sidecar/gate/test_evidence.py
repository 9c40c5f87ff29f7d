"""Evidence of a hard failure: a pure function of what is known, what came, and when; and the breaker that acts on it."""

from __future__ import annotations

import math
import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden import BreakerPolicy
from plugwarden.contract import BreakerState
from plugwarden.gate import Breaker, Transition
from plugwarden.gate.evidence import HARD_FAILURE_RATE, Evidence, after_failure, cleared, dismissed, is_hard

BOUND = BreakerPolicy().evidence_bound
FOREVER = math.inf
OUTCOMES = st.lists(st.booleans(), max_size=300)


def follow(outcomes: list[bool], known: Evidence | None = None, successes: int = 0) -> tuple[Evidence, int]:
    """What is known after these calls (True: failed), and how many succeeded since the last failure."""
    known = known or Evidence()
    for failed in outcomes:
        if failed:
            known, successes = after_failure(known, successes, 0.0, fades_seconds=FOREVER), 0
        else:
            successes += 1
    return known, successes


def after_a_past(failing: float, calls: int = 20_000) -> Breaker:
    """A closed breaker with the default policy after so many calls, 35 a second, each failing by itself."""
    breaker = Breaker(BreakerPolicy(), spread=lambda: 0.0)
    draw = random.Random(10).random
    for number in range(1, calls + 1):
        breaker.record(draw() < failing, number / 35)
    assert breaker.state is BreakerState.CLOSED
    breaker.record(False, calls / 35)
    return breaker


def failures_until_open(breaker: Breaker, at: float, calls_per_second: float) -> int:
    failures = 0
    while breaker.state is BreakerState.CLOSED and failures < 1_000:
        failures += 1
        breaker.record(True, at + failures / calls_per_second)
    return failures


# -- the breaker ----------------------------------------------------------------------------------------------------------


def test_after_a_healthy_minute_a_plugin_that_fails_every_call_is_refused_within_ten_calls() -> None:
    seen: list[Transition] = []
    breaker = Breaker(BreakerPolicy(), on_transition=seen.append, spread=lambda: 0.0)
    for number in range(60 * 35):
        breaker.record(False, number / 35)
    assert failures_until_open(breaker, 60.0, 35) == 8
    assert seen[0].reason.startswith("8 of the last 8 calls failed, where 0.011 of the calls are ordinary")


def test_a_plugin_that_never_worked_is_refused_within_ten_calls() -> None:
    assert failures_until_open(Breaker(BreakerPolicy()), 0.0, 35) == 9


@pytest.mark.parametrize("calls_per_second", [0.02, 1, 1_000])
def test_the_number_of_failures_it_takes_does_not_depend_on_the_traffic(calls_per_second: float) -> None:
    assert failures_until_open(after_a_past(0.0), 600.0, calls_per_second) == 8


def test_what_ordinarily_fails_more_often_needs_more_failures_in_a_row() -> None:
    needed = [failures_until_open(after_a_past(failing), 600.0, 35) for failing in (0.001, 0.05, 0.1, 0.2)]
    assert needed == sorted(needed)
    assert needed[0] < needed[2] <= 10 < needed[3]


def test_one_success_among_the_failures_does_not_start_the_count_anew() -> None:
    breaker = after_a_past(0.01)
    for failed in [True] * 5 + [False] + [True] * 2:
        breaker.record(failed, 600.0)
    assert breaker.state is BreakerState.CLOSED
    breaker.record(True, 600.0)
    assert breaker.state is BreakerState.OPEN


def test_failures_in_clusters_are_learned_and_do_not_open_it() -> None:
    breaker = after_a_past(0.01)
    for _ in range(200):
        for failed in [True] * 5 + [False] * 300:
            breaker.record(failed, 600.0)
    for _ in range(15):
        breaker.record(True, 600.0)
    assert breaker.state is BreakerState.CLOSED
    assert failures_until_open(breaker, 600.0, 35) < 100


def test_one_cluster_is_no_habit() -> None:
    breaker = after_a_past(0.0)
    for failed in [True] * 7 + [False] * 1_000:
        breaker.record(failed, 600.0)
    assert failures_until_open(breaker, 600.0, 35) <= 10


def test_a_share_that_the_policy_bears_does_not_open_it_though_it_is_new() -> None:
    breaker = after_a_past(0.001)
    for number in range(6_000):
        breaker.record(number % 5 < 2, 600.0 + number / 35)
    assert breaker.state is BreakerState.CLOSED


def test_failures_of_last_night_are_no_evidence_in_the_morning() -> None:
    breaker = after_a_past(0.0)
    for _ in range(7):
        breaker.record(True, 600.0)
    breaker.record(True, 600.0 + 8 * 3600)
    assert breaker.state is BreakerState.CLOSED
    assert failures_until_open(breaker, 600.0 + 8 * 3600, 35) == 8 - 1


def test_by_rates_alone_it_waits_for_the_window() -> None:
    breaker = Breaker(BreakerPolicy(sudden=False))
    assert failures_until_open(breaker, 0.0, 35) == 40


def test_after_it_closed_again_it_takes_new_evidence_to_open_it() -> None:
    breaker = after_a_past(0.0)
    assert failures_until_open(breaker, 600.0, 35) == 8
    for number in range(3):
        assert breaker.admit(700.0 + number) == 1
        breaker.record(False, 700.0 + number, 1)
    assert breaker.state is BreakerState.CLOSED
    assert failures_until_open(breaker, 710.0, 35) == 8


def test_an_operators_hand_takes_the_suspicion_away() -> None:
    breaker = after_a_past(0.0)
    for _ in range(7):
        breaker.record(True, 600.0)
    breaker.force(BreakerState.METRICS_ONLY, "a trial")
    for _ in range(50):
        breaker.record(True, 600.0)
    assert breaker.state is BreakerState.METRICS_ONLY
    breaker.force(BreakerState.CLOSED, "back")
    assert failures_until_open(breaker, 600.0, 35) == 8


def test_slow_calls_that_succeed_are_no_evidence() -> None:
    breaker = after_a_past(0.0)
    for _ in range(30):
        breaker.record(False, 600.0, slow=True)
    assert breaker.state is BreakerState.CLOSED


def test_an_ordinary_stream_never_opens_it() -> None:
    """A short form of `benchmarks/breaker_reaction.py`, which makes 10^7 calls at each rate."""
    draw = random.Random(28).random
    for failing in (0.001, 0.01, 0.05, 0.1):
        breaker = Breaker(BreakerPolicy())
        for number in range(100_000):
            at = number / (
                0.75 if failing == 0.1 else 35
            )  # as few calls a minute as rates are judged on, where it is worst
            if draw() < failing:
                breaker.record(True, at)
            else:
                if at * 1e9 >= breaker.slot_ends_ns:
                    breaker.turn(int(at * 1e9))
                breaker.calls += 1  # as the hot path does
            assert breaker.state is BreakerState.CLOSED


def test_threads_that_fail_at_once_open_it_and_count_every_call() -> None:
    breaker = Breaker(BreakerPolicy())
    opened = []
    breaker._on_transition = lambda transition: opened.append(transition.after)

    def fail() -> None:
        for _ in range(500):
            breaker.record(True, 1.0)

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [BreakerState.OPEN]
    assert breaker.calls == 4_000


# -- the function ---------------------------------------------------------------------------------------------------------


@given(OUTCOMES)
def test_its_numbers_stay_within_their_bounds(outcomes: list[bool]) -> None:
    known, _ = follow(outcomes)
    assert known.weight >= 0
    assert 0 <= known.clustered <= known.failures <= known.calls <= len(outcomes)
    assert 0.01 <= known.rate < 1
    assert 0.1 <= known.clustering < 1
    assert 0 < known.ordinary_ratio < 1
    past, suspected = known.past_successes + known.past_failures, known.calls
    assert past + suspected <= len(outcomes)


@given(OUTCOMES, st.integers(0, 50), st.integers(0, 50))
def test_more_successes_before_a_failure_never_make_it_weigh_more(outcomes: list[bool], few: int, more: int) -> None:
    known, successes = follow(outcomes)
    lighter = after_failure(known, successes + few + more, 0.0, fades_seconds=FOREVER)
    heavier = after_failure(known, successes + few, 0.0, fades_seconds=FOREVER)
    if lighter.calls > 1:  # the suspicion held; where it does not, the past is learned, and the two differ in it
        assert lighter.weight <= heavier.weight


@given(OUTCOMES)
def test_it_is_the_cumulative_sum_taken_call_by_call(outcomes: list[bool]) -> None:
    """Against the same sum with every success counted when it comes, as a reference would do it."""
    known, successes = Evidence(), 0
    weight, before = 0.0, False
    for failed in outcomes:
        rate, clustering = known.rate, known.clustering
        ordinary = clustering if before else rate
        if failed:
            if weight == 0.0:
                # The suspicion has passed: the past is learned before this call is looked at, which then begins a new one.
                known = after_failure(known, successes, 0.0, fades_seconds=FOREVER)
                weight = max(0.0, math.log(HARD_FAILURE_RATE / known.rate))
            else:
                known = after_failure(known, successes, 0.0, fades_seconds=FOREVER)
                weight = max(0.0, weight + math.log(HARD_FAILURE_RATE / ordinary))
            successes = 0
            assert known.weight == pytest.approx(weight, abs=1e-9)
            weight = known.weight  # the roundings of the two must not decide what is zero
        else:
            successes += 1
            lost = math.log((1 - HARD_FAILURE_RATE) / (1 - ordinary))
            weight = max(0.0, weight + min(0.0, lost))
            weight = 0.0 if weight < 1e-12 else weight
        before = failed


@given(OUTCOMES)
def test_a_failure_that_is_suspected_does_not_make_itself_ordinary(outcomes: list[bool]) -> None:
    known, successes = follow(outcomes)
    began = after_failure(known, successes + 1_000, 0.0, fades_seconds=FOREVER)
    later, _ = follow([True] * 100, began)
    if later.calls == 101:  # the suspicion held from the first to the last
        assert (later.rate, later.clustering) == (began.rate, began.clustering)
        assert cleared(later) == cleared(began)
        assert dismissed(later).past_failures == pytest.approx(began.past_failures + 101)


@given(OUTCOMES)
def test_a_run_of_failures_is_always_seen_in_the_end(outcomes: list[bool]) -> None:
    known, successes = follow(outcomes)
    if known.clustering < 0.8 and known.rate < 0.8:
        later, _ = follow([True] * 300, known, successes)
        assert later.weight >= BOUND


def test_it_is_hard_only_where_the_share_is_what_the_policy_does_not_bear() -> None:
    known = Evidence(weight=BOUND, calls=10, failures=6)
    assert is_hard(known, bound=BOUND, failure_rate=0.6)
    assert not is_hard(known, bound=BOUND, failure_rate=0.7)
    assert not is_hard(known, bound=BOUND + 1, failure_rate=0.6)


def test_the_past_fades() -> None:
    known = dismissed(
        Evidence(past_begun=2_000, past_successes=18_000, past_failures=900, past_clustered=90), 1_000_000
    )
    assert known.past_begun + known.past_successes == pytest.approx(20_000)
    assert known.rate < 0.02
    assert known.past_failures == 900
    known = dismissed(Evidence(past_failures=900, past_clustered=90, calls=200, failures=200))
    assert (known.past_failures, known.past_clustered) == (1_000, pytest.approx(81.8, abs=0.1))
