"""What is left later, when nothing is, and that what is left never grows: properties of pure functions."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.judge.burn import budget_of
from plugwarden_collector.judge.burn_down import Counted, burn_down, marks_of, sections_of
from plugwarden_collector.judge.spending import exhausted_seconds, foreseen, remaining_at
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.period import Calendar, CalendarUnit

AT = datetime(2026, 4, 20, 13, 17, 42, 125_000)
ROLLS = Objective("works", Sli.AVAILABILITY, 0.95, 30 * 86_400.0)
MONTHLY = Objective("month", Sli.AVAILABILITY, 0.95, 30 * 86_400.0, calendar=Calendar(CalendarUnit.MONTH))
EITHER = st.sampled_from([ROLLS, MONTHLY])


@given(EITHER, st.integers(0, 49), st.floats(0.01, 1_000))
def test_at_the_moment_that_is_told_nothing_is_left(objective: Objective, bad: int, rate: float) -> None:
    left = budget_of(objective, 1_000, bad)
    assert left.remaining_ratio is not None
    assert remaining_at(objective, left.remaining_ratio, rate, AT, AT) == pytest.approx(left.remaining_ratio)
    seconds = exhausted_seconds(objective, left, rate, AT)
    if seconds is not None:
        gone = AT + timedelta(seconds=seconds)
        assert remaining_at(objective, left.remaining_ratio, rate, AT, gone) == pytest.approx(0, abs=1e-6)


@given(EITHER, st.integers(0, 100), st.floats(0, 50), st.lists(st.floats(0, 50), max_size=6))
def test_a_forecast_begins_now_and_its_pace_is_between_its_edges(
    objective: Objective, bad: int, rate: float, rates: list[float]
) -> None:
    left = budget_of(objective, 1_000, bad)
    found = foreseen(objective, left, rate, rates, AT)
    assert (found[0].time, found[0].remaining_ratio) == (AT, pytest.approx(left.remaining_ratio))
    assert all(item.low_ratio - 1e-9 <= item.remaining_ratio <= item.high_ratio + 1e-9 for item in found)
    assert found[-1].time == (datetime(2026, 5, 1) if objective is MONTHLY else AT + timedelta(days=7.5))
    assert foreseen(objective, budget_of(objective, 0, 0), rate, rates, AT) == []


COUNTS = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda two: (sum(two), two[0]))
STRETCH = st.tuples(st.integers(0, 29), st.integers(1, 9_000)).map(
    lambda two: (
        AT.replace(second=0, microsecond=0) - timedelta(days=two[0] + 1),
        AT.replace(second=0, microsecond=0) - timedelta(days=two[0] + 1) + timedelta(minutes=two[1]),
    )
)


@given(st.dictionaries(st.integers(0, 120), COUNTS), st.lists(STRETCH, max_size=4))
def test_what_is_left_begins_whole_never_grows_and_ends_with_the_budget(
    counts: dict[int, tuple[int, int]], left_out: list[tuple[datetime, datetime]]
) -> None:
    first = AT - timedelta(days=30)
    moments = marks_of(ROLLS, first, AT)
    sections = sections_of({first, AT, *moments}, left_out)
    assert [item.before for item in sections[:-1]] == [item.first for item in sections[1:]]
    counted = Counted(sections, counts)
    points = burn_down(ROLLS, counted, moments, first, AT, AT)
    left = budget_of(ROLLS, *counted.between(first, AT))
    assert (points[-1].total, points[-1].remaining_ratio) == (left.total, left.remaining_ratio)
    for earlier, later in pairwise(points):
        assert earlier.bad <= later.bad
        assert earlier.even_ratio > later.even_ratio
        if earlier.remaining_ratio is not None and later.remaining_ratio is not None:
            assert earlier.remaining_ratio >= later.remaining_ratio
    kept = [counts.get(number, (0, 0))[0] for number, item in enumerate(sections) if item.counts]
    assert left.total == sum(kept)
