"""One meaning of "failed", and of what is left of a budget."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from plugwarden_collector.ratios import Calls, allowed, remaining_ratio


@pytest.mark.parametrize(
    ("rows", "ran", "failed_ratio"),
    [
        ([], 0, None),
        ([{"calls": 0}], 0, None),
        ([{"calls": 20, "failed": 2, "rejected": 10}], 10, 0.2),
        ([{"calls": 5, "failed": 0, "rejected": 5}], 0, None),
        ([{"calls": 20, "failed": 2, "rejected": 10}, {"calls": 10, "failed": 8, "rejected": 0}], 20, 0.5),
    ],
)
def test_failed_is_of_the_calls_that_ran(rows: list[dict[str, int]], ran: int, failed_ratio: float | None) -> None:
    found = Calls.of(rows)
    assert (found.ran, found.failed_ratio) == (ran, failed_ratio)
    assert found.success_ratio == (None if failed_ratio is None else 1 - failed_ratio)


@pytest.mark.parametrize(
    "target", ["0.5", "0.9", "0.93", "0.95", "0.97", "0.99", "0.995", "0.999", "0.9999", "0.99995"]
)
def test_a_budget_of_which_exactly_all_is_spent_is_nothing_to_the_bit(target: str) -> None:
    """1 - 0.95 is a little more than 0.05 in binary numbers, and 5 bad calls of 100 would leave a share of 9e-16."""
    for bad in range(1, 400):
        total = bad / (1 - Fraction(target))
        if total.denominator == 1:
            left = remaining_ratio(bad, int(total), float(target))
            assert (left, math.copysign(1, left or 0.0)) == (0.0, 1.0), (bad, total)
            assert allowed(int(total), float(target)) == bad
            over = remaining_ratio(bad + 1, int(total), float(target))
            assert over is not None
            assert over < 0
