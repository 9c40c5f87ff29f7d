"""How likely plugins begin to fail together by accident, and how likely for one reason."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.judge.causes.onset import FAULT_PERIOD, TOGETHER, chance_together, shared_odds_nats

AT = datetime(2026, 1, 1)


def at_once(count: int) -> list[datetime]:
    return [AT] * count


def test_one_plugin_alone_is_no_coincidence() -> None:
    assert chance_together(at_once(1), 60) == 1.0


def test_two_of_sixty_are_as_rare_as_the_assumed_rate_makes_them() -> None:
    expected = 59 * 2 * (TOGETHER / FAULT_PERIOD)
    assert chance_together(at_once(2), 60) == pytest.approx(expected, rel=1e-3)


@given(st.integers(2, 30), st.integers(2, 2000))
def test_the_more_at_once_the_less_likely_by_accident(count: int, running: int) -> None:
    assert 0.0 <= chance_together(at_once(count + 1), running) <= chance_together(at_once(count), running) <= 1.0


@given(st.integers(2, 30), st.integers(30, 2000), st.integers(1, 2000))
def test_the_more_that_run_the_likelier_by_accident(count: int, running: int, more: int) -> None:
    assert chance_together(at_once(count), running) <= chance_together(at_once(count), running + more)


@given(st.integers(0, 86_400), st.integers(0, 86_400))
def test_the_farther_apart_the_likelier_by_accident(seconds: int, more: int) -> None:
    near, far = AT + timedelta(seconds=seconds), AT + timedelta(seconds=seconds + more)
    assert chance_together([AT, near], 60) <= chance_together([AT, far], 60)


@pytest.mark.parametrize("running", [3, 12, 60, 300, 1000])
def test_three_at_once_share_a_reason_in_fleets_of_any_size(running: int) -> None:
    assert shared_odds_nats(3, running) > 0


def test_one_shares_nothing() -> None:
    assert shared_odds_nats(1, 60) == float("-inf")
