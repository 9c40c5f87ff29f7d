"""Cells with any attributes, and what their counts say: likelihoods that add up, so that any set of them is weighed in one pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import log

__all__ = ["Condition", "Table", "excess_nats"]

LEAST_RATIO = 0.001
"""Least share of bad calls that is expected of any cell: one stray failure in a quiet cell is worth at most log(1000) nats."""

Condition = tuple[int, str]
"""Position of an attribute, and the value it has."""


def excess_nats(total: float, bad: float, expected_ratio: float) -> float:
    """Return the log-likelihood ratio of a rate above the expected one; 0 where the calls fail no more than expected."""
    ratio = _within_bounds(expected_ratio)
    if total <= 0 or bad <= total * ratio:
        return 0.0
    return _at_own_rate(total, bad) - bad * log(ratio) - (total - bad) * log(1 - ratio)


@dataclass(slots=True)
class Table:
    """Counts of the finest parts that are told apart; each has one position in all of the sequences."""

    columns: Sequence[Sequence[str]]
    """For each attribute, its value in each cell."""
    total: Sequence[float]
    bad: Sequence[float]
    expected_ratio: Sequence[float]
    """Share of bad calls that is tolerated or usual."""
    most: list[float] = field(init=False)
    """Most nats that any claim can gain in each cell: what the cell gains at the rate that suits it best."""
    _expected: list[float] = field(init=False)
    _healthy: list[float] = field(init=False)
    """Log-likelihood of each cell at its expected ratio."""

    def __post_init__(self) -> None:
        self.most, self._expected, self._healthy = [], [], []
        for total, bad, expected_ratio in zip(self.total, self.bad, self.expected_ratio, strict=True):
            ratio, log_bad, log_good = _logs(expected_ratio)
            expected, healthy = total * ratio, (total - bad) * log_good
            if bad:  # seldom: most cells of a fleet have none
                healthy += bad * log_bad
            self._expected.append(expected)
            self._healthy.append(healthy)
            self.most.append(_at_own_rate(total, bad) - healthy if bad > expected else 0.0)

    def __len__(self) -> int:
        return len(self.total)

    def meeting(self, conditions: Iterable[Condition], among: Iterable[int] | None = None) -> list[int]:
        """Return the cells that meet all conditions."""
        found = list(range(len(self.total)) if among is None else among)
        for attribute, value in conditions:
            column = self.columns[attribute]
            found = [at for at in found if column[at] == value]
        return found

    def counts(self, cells: Iterable[int]) -> tuple[float, float]:
        """Return all calls and bad calls of some cells."""
        cells = list(cells)
        return sum(map(self.total.__getitem__, cells)), sum(map(self.bad.__getitem__, cells))

    def expected(self, cells: Iterable[int]) -> float:
        """Return the bad calls that are tolerated or usual in some cells."""
        return sum(map(self._expected.__getitem__, cells))

    def gain(self, cells: Sequence[int]) -> float:
        """Return the nats by which one rate for all of them, above what is expected, describes cells better than health does."""
        total, bad = self.counts(cells)
        if bad <= self.expected(cells):
            return 0.0
        return max(0.0, _at_own_rate(total, bad) - sum(map(self._healthy.__getitem__, cells)))

    def gain_at(self, rate: float, cells: Sequence[int]) -> float:
        """Return the same for a rate that is given, or their own where it is higher; below 0 where they look healthy."""
        total, bad = self.counts(cells)
        if total <= 0:
            return 0.0
        rate = _within_bounds(max(rate, bad / total))
        return bad * log(rate) + (total - bad) * log(1 - rate) - sum(map(self._healthy.__getitem__, cells))

    def grouped(self, cells: Iterable[int], attribute: int) -> dict[str, list[int]]:
        """Return cells by their values of an attribute."""
        column, groups = self.columns[attribute], defaultdict[str, list[int]](list)
        for at in cells:
            groups[column[at]].append(at)
        return groups

    def most_by_value(self, cells: Iterable[int], attribute: int) -> dict[str, float]:
        """Return the most that any claim can gain under each value of an attribute."""
        column, sums = self.columns[attribute], defaultdict[str, float](float)
        for at in cells:
            sums[column[at]] += self.most[at]
        return sums


def _within_bounds(ratio: float) -> float:
    return min(max(ratio, LEAST_RATIO), 1 - LEAST_RATIO)


@lru_cache(4096)
def _logs(ratio: float) -> tuple[float, float, float]:
    """Return a ratio within bounds, its logarithm, and that of what is left to 1; a fleet has few different ones."""
    ratio = _within_bounds(ratio)
    return ratio, log(ratio), log(1 - ratio)


def _at_own_rate(total: float, bad: float) -> float:
    """Return the log-likelihood of counts at the rate that suits them best."""
    if bad <= 0 or bad >= total:
        return 0.0
    return bad * log(bad / total) + (total - bad) * log(1 - bad / total)
