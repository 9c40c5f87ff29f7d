"""How full what limits a plugin may be: the SLI of minutes in which it stayed below a share of its limit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .slices import MILLION, Slices

__all__ = ["MINUTES", "LimitedResource", "Saturation"]

MINUTES = Slices(60, 1.0)
"""How a budget of saturation cuts time: a minute is full or it is not, so that no share of it is good."""


class LimitedResource(StrEnum):
    """What a limit is of, as sidecars tell it."""

    CONCURRENCY = "concurrency"
    """Calls under way at once, of the places of a bulkhead; where there is none, of what the manifest expects."""
    RATE = "rate"
    """Calls a second over a minute, of what a rate limit lets through."""

    @property
    def unit(self) -> str:
        """What an amount of it is counted in, as people read it after a number."""
        return "concurrent calls" if self is LimitedResource.CONCURRENCY else "calls a second"


@dataclass(frozen=True, slots=True)
class Saturation:
    """What makes a minute good: every host process used less than a share of its limit."""

    resource: LimitedResource
    threshold_ratio: float
    """Share of the limit from which on it is full, in (0, 1], with six decimals at most."""

    @property
    def threshold_millionths(self) -> int:
        """Return the share in millionths: uses and limits are compared as whole numbers, so that 4 of 5 are 80 %."""
        return round(self.threshold_ratio * MILLION)
