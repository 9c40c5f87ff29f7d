"""Which errors carry a failure."""

from __future__ import annotations

from plugwarden.contract import OVERFLOW, Outcome
from plugwarden_collector.judge.failures import ErrorCount, calls_by_error, carrying


def test_calls_that_ran_and_failed_carry_it_whatever_else_was_sent() -> None:
    errors = [ErrorCount(outcome, "ValueError", "plugin", 3) for outcome in (*Outcome, OVERFLOW, "of another make")]
    assert [item.outcome for item in carrying(errors)] == [item for item in Outcome if item.failed]


def test_calls_are_summed_by_error() -> None:
    errors = [
        ErrorCount("error", "ValueError", "plugin", 3), ErrorCount("timeout", "ValueError", "plugin", 4),
        ErrorCount("error", "KeyError", "downstream", 1), ErrorCount("rejected", "Open", "", 9),
    ]  # fmt: skip
    assert calls_by_error(errors) == {"ValueError": 7, "KeyError": 1}
