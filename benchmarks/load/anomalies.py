"""Tables of amounts or calls over several attributes, with faults planted in them: cases for the localisation.

The distributions and their parameters are those of RiskLoc's generator (arXiv 2205.10004, section 5.1): heavy-tailed leaves, a share of
empty ones, a forecast with relative errors, and faults of one to three elements in a cuboid of some layers, which take the same share
from each of their leaves. `amounts` makes such a table; `calls` makes one of calls that fail, as a fleet has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Case", "Element", "amounts", "calls"]

Element = tuple[tuple[int, int], ...]
"""Attributes with their values, in the order of the attributes; none of them: everything, for a reason outside of the attributes."""


@dataclass(frozen=True, slots=True)
class Case:
    """One table, and what is wrong in it."""

    sizes: tuple[int, ...]
    """How many values each attribute has."""
    codes: NDArray[np.int64]
    """One row for each leaf, one column for each attribute."""
    predicted: NDArray[np.float64]
    """What each leaf was expected to have."""
    real: NDArray[np.float64]
    """What it has."""
    truth: frozenset[Element]
    faults: int
    layers: tuple[int, ...]
    """Attributes of each fault's cuboid."""
    total: NDArray[np.float64] | None = None
    """Calls of each leaf, where the table is one of calls: `real` are the good ones, and `expected_ratio` of the others is usual."""
    expected_ratio: float = 0.0


def amounts(
    rng: np.random.Generator,
    sizes: Sequence[int],
    *,
    faults: tuple[int, int] = (1, 3),
    elements: tuple[int, int] = (1, 3),
    layers: tuple[int, int] = (1, 5),
    noise: tuple[float, float] = (0.0, 0.25),
    severity: tuple[float, float] = (0.2, 1.0),
    deviation: tuple[float, float] = (0.0, 0.1),
    empty: tuple[float, float] = (0.0, 0.25),
) -> Case:
    """Return a table of amounts with a forecast of them."""
    codes = _codes(sizes)
    count = len(codes)
    real = rng.weibull(rng.uniform(0.5, 1.0), count) * 100 * (rng.uniform(size=count) > rng.uniform(*empty))
    spread = rng.uniform(*noise)
    predicted = real * (1 + rng.normal(scale=spread, size=count))
    swapped = rng.integers(0, 2, count) == 1
    real, predicted = np.where(swapped, predicted, real), np.where(swapped, real, predicted)
    real, predicted = np.maximum(real, 0.0), np.maximum(predicted, 0.0)
    planted = _planted(rng, sizes, faults, elements, layers)
    # The faults go the way in which the noise goes already, lest the two cancel each other.
    rising = real.sum() > predicted.sum()
    base, moved = (real, predicted) if rising else (predicted, real)
    for fault in planted:
        inside = _inside(codes, fault)
        taken = rng.normal(rng.uniform(*severity) + spread, rng.uniform(*deviation), count)
        moved[inside] = np.maximum(base * (1 - taken), 0.0)[inside]
    return _case(sizes, codes, predicted, real, planted)


def calls(
    rng: np.random.Generator,
    sizes: Sequence[int],
    *,
    faults: tuple[int, int] = (1, 3),
    elements: tuple[int, int] = (1, 3),
    layers: tuple[int, int] = (1, 3),
    mean: float = 30.0,
    rate: tuple[float, float] = (0.2, 1.0),
    usual_ratio: float = 0.01,
    uneven: float = 0.0,
    everywhere: bool = False,
) -> Case:
    """Return a table of calls of which some fail, by chance and by faults.

    `uneven` is the coefficient of variation of what is usual in each leaf, of which the localiser knows only twice the mean.
    `everywhere` plants no fault in the attributes but one outside of them that hits a share of all calls; nothing is to be named.
    """
    codes = _codes(sizes)
    total = rng.poisson(rng.weibull(0.8, len(codes)) * mean)
    ratio = np.full(len(codes), usual_ratio)
    if uneven:
        ratio = np.minimum(rng.gamma(uneven**-2, usual_ratio * uneven**2, len(codes)), 1.0)
        usual_ratio *= 2
    planted = [] if everywhere else _planted(rng, sizes, faults, elements, layers)
    if everywhere:
        ratio += rng.uniform(0.1, 0.5)
    for fault in planted:
        ratio[_inside(codes, fault)] = rng.uniform(*rate)
    bad = rng.binomial(total, ratio)
    case = _case(sizes, codes, (total * (1 - usual_ratio)).astype(float), (total - bad).astype(float), planted)
    return Case(
        **{name: getattr(case, name) for name in Case.__slots__ if name not in ("total", "expected_ratio")},
        total=total.astype(float),
        expected_ratio=usual_ratio,
    )


def _codes(sizes: Sequence[int]) -> NDArray[np.int64]:
    return np.indices(sizes).reshape(len(sizes), -1).T


def _planted(
    rng: np.random.Generator,
    sizes: Sequence[int],
    faults: tuple[int, int],
    elements: tuple[int, int],
    layers: tuple[int, int],
) -> list[list[Element]]:
    """Return the elements of each fault; no fault has a cuboid, or in an attribute a value, of another."""
    while True:
        planted: list[list[Element]] = []
        for _ in range(rng.integers(faults[0], faults[1] + 1)):
            layer = int(rng.integers(layers[0], min(layers[1], len(sizes)) + 1))
            cuboid = sorted(int(at) for at in rng.choice(len(sizes), size=layer, replace=False))
            used = {item for fault in planted for element in fault for item in element}
            free = [[value for value in range(sizes[at]) if (at, value) not in used] for at in cuboid]
            wanted = int(rng.integers(elements[0], elements[1] + 1))
            if min(map(len, free)) < wanted:
                break
            columns = [rng.choice(values, size=wanted, replace=True) for values in free]
            found = {
                tuple((at, int(column[row])) for at, column in zip(cuboid, columns, strict=True))
                for row in range(wanted)
            }
            same = any(tuple(at for at, _ in fault[0]) == tuple(cuboid) for fault in planted) and layer < len(sizes)
            if len(found) < wanted or same:
                break
            planted.append(sorted(found))
        else:
            return planted


def _inside(codes: NDArray[np.int64], fault: Sequence[Element]) -> NDArray[np.bool_]:
    inside = np.zeros(len(codes), dtype=bool)
    for element in fault:
        inside |= np.all([codes[:, at] == value for at, value in element], axis=0)
    return inside


def _case(
    sizes: Sequence[int],
    codes: NDArray[np.int64],
    predicted: NDArray[np.float64],
    real: NDArray[np.float64],
    planted: list[list[Element]],
) -> Case:
    truth = frozenset(element for fault in planted for element in fault) or frozenset({()})
    layers = tuple(len(fault[0]) for fault in planted)
    return Case(tuple(sizes), codes, predicted, real, truth, len(planted), layers)
