"""Medians and means of values with gaps: what is missing is NaN, and counts for nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "Ints", "mean_known", "median_known"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def median_known(values: Floats, axis: int) -> Floats:
    """Return the median of what is known along an axis; NaN where nothing is. NumPy's own goes row by row."""
    ordered = np.sort(values, axis=axis)  # NaN last
    known = np.sum(~np.isnan(values), axis=axis, keepdims=True)
    lower, upper = np.maximum((known - 1) // 2, 0), np.minimum(known // 2, values.shape[axis] - 1)
    middle = (np.take_along_axis(ordered, lower, axis) + np.take_along_axis(ordered, upper, axis)) / 2
    found: Floats = np.squeeze(middle, axis)
    return found


def mean_known(values: Floats, axis: int, least: int = 1) -> Floats:
    """Return the mean of what is known along an axis; NaN where fewer than `least` are."""
    known = np.sum(~np.isnan(values), axis=axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(known >= least, np.nansum(values, axis=axis) / known, np.nan)
    return found
