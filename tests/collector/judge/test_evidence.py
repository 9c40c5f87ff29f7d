"""Evidence against one stream: valid however often one looks, and quick where a failure is not to be expected."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.judge.evidence import (
    ALTERNATIVES,
    ATTENTION_NATS,
    LEAST_TOLERATED,
    Suspicion,
    tolerated_ratio,
    update,
    verdict,
)
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.policy import Policy

AT = datetime(2026, 1, 1)
ENOUGH = Policy().enough_nats("csv")


def objective(target: float) -> Objective:
    return Objective("availability", Sli.AVAILABILITY, target, 30 * 86_400.0)


def after(*batches: tuple[int, int], tolerated: float = 0.05) -> Suspicion | None:
    """What speaks against a stream after batches of (all calls, bad calls), one a second."""
    found: Suspicion | None = None
    for second, (total, bad) in enumerate(batches):
        found = update(found, total, bad, tolerated, AT + timedelta(seconds=second), second)
    return found


def nats(*batches: tuple[int, int], tolerated: float = 0.05) -> float:
    found = after(*batches, tolerated=tolerated)
    return 0.0 if found is None else found.nats


def failures_needed(tolerated: float) -> int:
    return next(count for count in range(1, 1000) if nats((count, count), tolerated=tolerated) >= ENOUGH)


def test_one_failure_is_weak_and_twenty_are_overwhelming() -> None:
    assert nats((1, 1)) < ATTENTION_NATS
    assert nats((2, 2)) < ENOUGH / 3
    assert nats((20, 20)) > 2 * ENOUGH


@pytest.mark.parametrize(("tolerated", "most"), [(0.01, 6), (0.05, 10), (0.15, 15), (0.5, 40)])
def test_how_many_failures_are_enough_follows_from_how_many_are_to_be_expected(tolerated: float, most: int) -> None:
    assert 4 <= failures_needed(tolerated) <= most


def test_hours_of_good_calls_before_a_fault_hide_nothing() -> None:
    assert after((200_000, 0)) is None
    assert nats((200_000, 100), (10, 10)) >= ENOUGH


def test_the_beginning_is_that_of_the_trouble_and_not_of_the_last_stray_failure() -> None:
    found = after((1000, 2), (1000, 1), (50, 40), (50, 45))
    assert found is not None
    assert found.lead.since == AT + timedelta(seconds=2)
    assert found.lead.mark == 2


def test_good_calls_take_the_suspicion_away() -> None:
    assert after((10, 10), (10, 0), (400, 0)) is None


def test_reports_of_the_time_before_do_not_hide_the_first_bad_calls() -> None:
    found = update(None, 8, 8, 0.05, AT, 0)
    at_once = update(found, 100, 0, 0.05, AT + timedelta(seconds=0.9), 1)
    assert found is not None
    assert at_once is not None
    assert at_once.nats == pytest.approx(found.nats)
    assert update(found, 200, 0, 0.05, AT + timedelta(seconds=1.1), 1) is None


def test_a_share_that_is_tolerated_never_convinces() -> None:
    chance = random.Random(1)
    found: Suspicion | None = None
    most = 0.0
    for second in range(40_000):
        bad = sum(chance.random() < 0.02 for _ in range(8))
        found = update(found, 8, bad, 0.05, AT + timedelta(seconds=second), second)
        most = max(most, 0.0 if found is None else found.nats)
    assert most < ENOUGH / 2


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=30), st.floats(0.01, 0.9))
def test_a_stream_gains_no_evidence_on_average_while_it_is_at_what_is_tolerated(
    batches: list[tuple[int, int]], tolerated: float
) -> None:
    """The likelihood ratio of any batch has a mean of 1 under the tolerated share: summed over all outcomes of one batch."""
    total = batches[0][0]
    mean = 0.0
    for bad in range(total + 1):
        weight = math.comb(total, bad) * tolerated**bad * (1 - tolerated) ** (total - bad)
        found = update(None, total, bad, tolerated, AT, 0) if bad else None
        mean += weight * (math.exp(found.nats) if found is not None else _without_failures(total, tolerated))
    assert mean <= 1.0 + 1e-6


def _without_failures(total: int, tolerated: float) -> float:
    """A stream without failures is not watched: what the evidence would be, which is below 1."""
    shares = [tolerated + (1 - tolerated) * part for part in ALTERNATIVES]
    return sum(((1 - share) / (1 - tolerated)) ** total for share in shares) / len(shares)


def test_what_is_tolerated_follows_from_the_objective_and_from_the_past() -> None:
    assert tolerated_ratio(objective(0.99), 0.0) == pytest.approx(0.05)
    assert tolerated_ratio(objective(0.999), 0.0) == pytest.approx(0.0144)
    assert tolerated_ratio(objective(0.9999), 0.0) == LEAST_TOLERATED
    assert tolerated_ratio(objective(0.9), 0.0) == pytest.approx(0.15)
    assert tolerated_ratio(objective(0.999), 0.02) == pytest.approx(0.04)


def test_a_test_of_probes_is_passed_by_the_well_and_failed_by_the_broken() -> None:
    assert verdict(30, 0, 0.01, 0.25).well(0.01)
    assert not verdict(5, 0, 0.01, 0.25).well(0.01)
    assert verdict(4, 3, 0.01, 0.25).unwell(0.01)
    assert not verdict(40, 1, 0.01, 0.25).unwell(0.01)
    assert verdict(0, 0, 0.01, 0.25).nats == 0.0


def test_looking_after_every_probe_isolates_a_well_plugin_no_more_often_than_was_asked_for() -> None:
    chance = random.Random(2)
    wrong = 0
    for _ in range(2000):
        total = bad = 0
        while True:
            total += 1
            bad += chance.random() < 0.02
            found = verdict(total, bad, 0.02, 0.25)
            if found.unwell(0.01):
                wrong += 1
                break
            if found.well(0.01):
                break
    assert wrong <= 2000 * 0.01 * 1.5
