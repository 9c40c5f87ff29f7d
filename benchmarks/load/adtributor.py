"""Adtributor, rebuilt for comparison from its description (Bhagwan et al., NSDI 2014), with its published settings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from load.anomalies import Case, Element

__all__ = ["adtributor"]

LEAST_POWER, TOGETHER = 0.1, 0.67
"""Least share of the change that a value explains by itself, and that the values of an attribute explain together."""


def adtributor(case: Case) -> set[Element]:
    """Return the values of the attribute that surprises most; it knows faults of one attribute only."""
    change = case.real.sum() - case.predicted.sum()
    best: tuple[float, set[Element]] = (-1.0, set())
    for attribute, size in enumerate(case.sizes):
        real = np.bincount(case.codes[:, attribute], case.real, size)
        predicted = np.bincount(case.codes[:, attribute], case.predicted, size)
        power = (real - predicted) / change
        surprise = _surprise(predicted / predicted.sum(), real / real.sum())
        named: set[Element] = set()
        explained = surprised = 0.0
        for value in np.argsort(-surprise, kind="stable"):
            if power[value] <= LEAST_POWER:
                continue
            named.add(((attribute, int(value)),))
            explained, surprised = explained + power[value], surprised + surprise[value]
            if explained > TOGETHER:
                if surprised > best[0]:
                    best = surprised, named
                break
    return best[1]


def _surprise(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of each value in the Jensen-Shannon divergence."""
    middle = (before + after) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(before > 0, before * np.log(before / middle), 0.0)
        second = np.where(after > 0, after * np.log(after / middle), 0.0)
    return 0.5 * (first + second)
