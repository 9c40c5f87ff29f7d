"""One meaning of "failed"."""

from __future__ import annotations

import pytest
from plugwarden_collector.ratios import Calls


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
