"""Numbers as they are given: what is none compares with nothing, so a check that asks for what is right refuses it."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["number", "whole"]


def number(given: Any) -> float:
    """What was given as a number; NaN where it is none: a text, a switch, NaN itself."""
    if isinstance(given, bool | str | bytes):
        return math.nan
    try:
        return float(given)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def whole(given: Any) -> float:
    """The same of a whole number; NaN for all others, infinity included."""
    found = number(given)
    return found if found.is_integer() else math.nan
