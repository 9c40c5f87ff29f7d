"""How much may go at once: what a clock that is wrong, or a setting that is, could take is not taken without a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from plugwarden_collector.store.upkeep import Refused

__all__ = ["Aged", "refused"]


@dataclass(frozen=True, slots=True)
class Aged:
    """One view as a round finds it."""

    old: int
    """Rows older than it keeps."""
    total: int
    before: datetime
    """Rows from before this are old."""


def refused(aged: Mapping[str, Aged], max_share_ratio: float, allowed: Mapping[str, datetime]) -> dict[str, Refused]:
    """Views of which more than a share would go. `allowed`: up to when a person said it may."""
    found = {}
    for view, item in aged.items():
        share = item.old / item.total if item.total else 0.0
        if share > max_share_ratio and not (view in allowed and item.before <= allowed[view]):
            found[view] = Refused(item.old, share, item.before)
    return found
