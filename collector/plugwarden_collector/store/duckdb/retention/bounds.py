"""How much may go at once: what a clock that is wrong, or a setting that is, could take is not taken without a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

__all__ = ["Aged", "Refused", "refused"]


@dataclass(frozen=True, slots=True)
class Aged:
    """One view as a round finds it."""

    old: int
    """Rows older than it keeps."""
    total: int
    before: datetime
    """Rows from before this are old."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A deletion that a person has to allow."""

    rows: int
    share_ratio: float
    """Share of all rows of the view, in [0, 1]."""
    before: datetime


def refused(aged: Mapping[str, Aged], max_share_ratio: float, allowed: Mapping[str, datetime]) -> dict[str, Refused]:
    """Views of which more than a share would go. `allowed`: up to when a person said it may."""
    found = {}
    for view, item in aged.items():
        share = item.old / item.total if item.total else 0.0
        if share > max_share_ratio and not (view in allowed and item.before <= allowed[view]):
            found[view] = Refused(item.old, share, item.before)
    return found
