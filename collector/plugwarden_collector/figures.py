"""How numbers, ratios, sizes and budgets read: one wording for alerts, pages, tables and logs."""

from __future__ import annotations

import math

__all__ = ["MISSING", "budget", "counted", "number", "percent", "size", "times"]

MISSING = "—"
"""What stands where nothing is known."""
LEAST_RATIO = 1e-4
"""A ratio nearer to 0 than this is said to be below it."""
WHOLE = 1e15
"""Least number that is written with an exponent: from 2^53 on a double does not tell one whole number from the next."""
SIZES = ("B", "KiB", "MiB", "GiB", "TiB")
"""Powers of 1024."""


def number(value: float | None) -> str:
    """Return a number with three significant digits and no exponent from 100 up to `WHOLE`; `—` for none."""
    if value is None or not math.isfinite(value):
        return MISSING
    short = f"{value:.3g}"
    return f"{value:,.0f}" if 100 <= abs(float(short)) < WHOLE else short


def counted(count: int | None, one: str, many: str | None = None) -> str:
    """Return how many of something, `1 process` or `2 processes`; `many` is the plural where that is not `one` with an s."""
    shown = MISSING if count is None else f"{count:,}"
    return f"{shown} {one if count == 1 else many or f'{one}s'}"


def percent(ratio: float | None) -> str:
    """Return a ratio as a percentage; `—` for none.

    Three significant digits are shown of the ratio or of what it lacks to 1, whichever is smaller: an objective keeps all its
    nines, something is never 0 %, and less than all is never 100 %.
    """
    if ratio is None or not math.isfinite(ratio):
        return MISSING
    if 0 < ratio < LEAST_RATIO:
        return f"<{LEAST_RATIO * 100:g} %"
    lacking = (1 - ratio) * 100
    if not 0 < lacking < 50:
        return f"{number(ratio * 100)} %"
    decimals = max(0, 2 - math.floor(math.log10(lacking)))
    text = f"{ratio * 100:.{min(decimals, 9)}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def times(rate: float | None) -> str:
    """Return a rate as a multiple of what is allowed, such as `14.4×`; `—` for none."""
    shown = number(rate)
    return shown if shown == MISSING else f"{shown}×"


def budget(ratio: float | None) -> str:
    """Return what is left of an error budget as a percentage; below 0, as how often it is spent; `—` for none."""
    if ratio is None or ratio > 0:
        return percent(ratio)
    return "spent" if ratio == 0 else f"spent {times(1 - ratio)}"


def size(nbytes: float | None) -> str:
    """Return a number of bytes with three significant digits, in powers of 1024; `—` for none."""
    if nbytes is None or not math.isfinite(nbytes):
        return MISSING
    power = 0
    while power + 1 < len(SIZES) and round(abs(nbytes) / 1024**power) >= 1024:
        power += 1
    return f"{number(nbytes / 1024**power)} {SIZES[power]}"
