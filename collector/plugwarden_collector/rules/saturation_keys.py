"""The keys of an `[[slo]]` table that make it one of saturation, and what is wrong with each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .saturation import LimitedResource, Saturation
from .slice_keys import SLICE_KEYS
from .slices import MILLION
from .table import nearest
from .workable import shown

__all__ = ["saturation_in"]


def saturation_in(table: Mapping[str, Any], place: str, problems: list[str]) -> Saturation | None:
    """Return what a table of `sli = "saturation"` says is full; None where it is wrong, which is noted."""
    before = len(problems)
    problems += [
        f"{place}.{key}: an objective of saturation is of minutes already; leave it out"
        for key in sorted(SLICE_KEYS & table.keys())
    ]
    resource, words = table.get("resource"), [*LimitedResource]
    if resource is not None and resource not in words:
        alike = nearest(resource, words) if isinstance(resource, str) else ""
        mend = alike if "did you mean" in alike else f"; write {' or '.join(words)}"
        problems.append(f"{place}.resource: {shown(resource)} is nothing that a plugin has a limit of{mend}")
    share = table.get("threshold")
    if share is None:
        pass  # that it is missing is said of every SLI alike
    elif isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        problems.append(
            f"{place}.threshold: {shown(share)} must be a ratio above 0, and 1 at most, such as 0.8: the share of the limit from which on "
            "a minute is bad"
        )
    elif abs(share * MILLION - round(share * MILLION)) > 1e-6 or share < 1 / MILLION:
        problems.append(f"{place}.threshold: {shown(share)} must have six decimals at most")
    if len(problems) > before or resource is None or share is None:
        return None
    return Saturation(LimitedResource(resource), float(share))
