"""What share of calls failed, the one meaning of "failed" in answers, tables and pages (ADR 0035); and what share of a budget is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["DIGITS", "Calls", "allowed", "remaining_ratio", "share_left"]

DIGITS = 12
"""Decimals of what is left, and digits of what is allowed: beyond are the errors of binary numbers, in which 1 - 0.95 is not 0.05."""


@dataclass(frozen=True, slots=True)
class Calls:
    """How many calls there were, and what became of them."""

    calls: int
    """Calls that hosts made, refused ones included."""
    failed: int
    """Calls that ended with an error or a timeout, whoever is to blame."""
    rejected: int
    """Calls that the gate refused: they never reached the plugin, and say nothing about it."""

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Calls:
        """Return the sum over rows with `calls`, `failed` and `rejected`; a missing number counts as 0."""
        held = list(rows)
        return cls(*(sum(row.get(name) or 0 for row in held) for name in ("calls", "failed", "rejected")))

    @property
    def ran(self) -> int:
        """Calls that reached the plugin."""
        return self.calls - self.rejected

    @property
    def failed_ratio(self) -> float | None:
        """The share of the calls that ran which failed, in [0, 1]; None when none ran."""
        return self.failed / self.ran if self.ran else None

    @property
    def success_ratio(self) -> float | None:
        """What the failed share lacks to 1; None when none ran."""
        return None if self.failed_ratio is None else 1 - self.failed_ratio


def allowed(total: int, target_ratio: float) -> float:
    """Return how many bad events a target in (0, 1) allows for so many events."""
    return float(f"{total * (1.0 - target_ratio):.{DIGITS}g}")


def remaining_ratio(bad: int, total: int, target_ratio: float) -> float | None:
    """Return the share of an error budget that is left: 1 untouched, 0 spent, below 0 overspent; None without events."""
    return None if total == 0 else share_left(bad, allowed(total, target_ratio))


def share_left(bad: int, allowed_bad: float) -> float:
    """Return the share that bad events leave of those that are allowed, of which there are some: exactly 0 where they are as many."""
    return round(1.0 - bad / allowed_bad, DIGITS) + 0.0  # never -0.0
