"""RiskLoc, rebuilt for comparison from its description (Kalander, arXiv 2205.10004), with its published settings."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from load.anomalies import Case, Element

__all__ = ["riskloc"]

RISK, PROPORTION, REMOVED = 0.5, 0.02, 5
"""Least risk of a cause; least share of the anomaly that it explains; extreme deviations passed over when the cut is made."""


def riskloc(case: Case) -> set[Element]:
    """Return the elements that RiskLoc names, layer by layer, each after the leaves of those before it were taken away."""
    real, predicted = case.real, case.predicted
    power = (real - predicted) / (real.sum() - predicted.sum())
    both = real + predicted
    deviation = np.divide(2 * (predicted - real), both, out=np.zeros_like(both), where=both != 0)
    cut = _cut(deviation)
    odd = deviation < cut if np.signbit(cut) else deviation > cut
    weight = np.where(odd, np.abs(deviation), np.abs(cut - deviation))
    weight[(real == 0) & (predicted == 0) & ~odd] = 0.0
    weight = np.minimum(weight, 1.0)
    if power[odd].sum() < 0:
        power = -power
    least = power[odd].sum() * PROPORTION
    left = np.ones(len(real), dtype=bool)
    found: set[Element] = set()
    while power[left & odd].sum() >= least and (left & odd).any():
        element = _next(case, left, power, odd, weight, deviation, least)
        if element is None:
            break
        found.add(element)
        left &= ~_covered(case, element)
    return found


def _cut(deviation: NDArray[np.float64]) -> float:
    """Return where normal deviations end: as far as they reach on the side that has no anomaly, mirrored."""
    apart = np.unique(deviation)
    low, high = apart[: REMOVED + 1].max(), apart[-REMOVED - 1 :].min()
    return float(-min(low, high, key=abs))


def _next(
    case: Case,
    left: NDArray[np.bool_],
    power: NDArray[np.float64],
    odd: NDArray[np.bool_],
    weight: NDArray[np.float64],
    deviation: NDArray[np.float64],
    least: float,
) -> Element | None:
    """Return the element of the lowest layer that has one which explains enough at enough risk; there, the one that explains most."""
    kept = left.copy()
    for layer in range(1, len(case.sizes) + 1):
        best, most = None, least
        pruned: list[NDArray[np.bool_]] = []
        for cuboid in combinations(range(len(case.sizes)), layer):
            where = np.flatnonzero(kept)
            key = np.ravel_multi_index([case.codes[where, at] for at in cuboid], [case.sizes[at] for at in cuboid])
            length = int(np.prod([case.sizes[at] for at in cuboid]))
            powers = np.bincount(key, power[where], length)
            odds = np.bincount(key, odd[where], length)
            if layer == 1:  # what explains nothing alone, or has no anomalous leaf, is in no combination either
                positive = np.bincount(key, np.maximum(power[where], 0.0), length)
                pruned.append(((positive < least) | (odds == 0))[case.codes[:, cuboid[0]]])
            candidates = np.flatnonzero((odds > 0) & (powers > most))
            for code in candidates[np.argsort(-powers[candidates], kind="stable")]:
                rows = where[key == code]
                if _risk(case, rows, odd, weight, deviation) >= RISK:
                    values = np.unravel_index(code, [case.sizes[at] for at in cuboid])
                    best = tuple((at, int(value)) for at, value in zip(cuboid, values, strict=True))
                    most = powers[code]
                    break
        if best is not None:
            return best
        for mask in pruned:
            kept &= ~mask
    return None


def _risk(
    case: Case,
    rows: NDArray[np.int64],
    odd: NDArray[np.bool_],
    weight: NDArray[np.float64],
    deviation: NDArray[np.float64],
) -> float:
    """Return the share of weight that is anomalous, less how unevenly the leaves deviate."""
    anomalous = weight[rows][odd[rows]].sum()
    normal = weight[rows][~odd[rows]].sum() + 1
    high = anomalous / (anomalous + normal)
    rows = rows[(case.real[rows] != 0) & (case.predicted[rows] != 0)]
    if not len(rows):
        return float(high)
    real, predicted = case.real[rows], case.predicted[rows]
    even = predicted * real.sum() / predicted.sum()
    apart = np.abs(2 * (even - real) / (even + real)).mean()
    usual = np.abs(deviation[rows]).mean()
    return float(high - (apart / usual if usual else 0.0))


def _covered(case: Case, element: Element) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = np.all([case.codes[:, at] == value for at, value in element], axis=0)
    return inside
