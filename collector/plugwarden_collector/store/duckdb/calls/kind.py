"""What is counted of calls: measures of one kind differ in whom they are about alone, and share what is counted and remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plugwarden_collector.rules.pattern import EVERY, to_regex
from plugwarden_collector.rules.saturation import Saturation
from plugwarden_collector.rules.slices import Slices
from plugwarden_collector.store.calls import Measure

__all__ = ["FAILURES", "Kind", "regex_of"]


@dataclass(frozen=True, slots=True)
class Kind:
    """Which calls are bad, of which operations, and whether slices of time are counted instead."""

    fast: int | None = None
    """The last histogram bucket that is fast; None: calls that failed are bad, and not slow ones."""
    operations: str = EVERY
    """A pattern of operations."""
    slices: Slices | None = None
    """None: calls."""
    versions: str = EVERY
    """A pattern of versions that slices are of; those of calls are told apart."""
    saturation: Saturation | None = None
    """What fills slices, which are minutes; None: calls make them good or bad."""

    @classmethod
    def of(cls, measure: Measure) -> Kind:
        """Return the kind of a measure."""
        if measure.slices is None:
            return cls(measure.fast_index, measure.operations)
        return cls(measure.fast_index, measure.operations, measure.slices, measure.versions, measure.saturation)

    @property
    def counted_by(self) -> str:
        """Return the end of the names of the statements that count it: of hours, and of the edges that they leave."""
        if self.saturation is not None:
            return "saturation"
        return "slices" if self.slices is not None else "counts" if self.fast is None else "slow"

    @property
    def asked(self) -> dict[str, Any]:
        """Parameters of the statements that count it."""
        found = {"operations": regex_of(self.operations), **({} if self.fast is None else {"fast": self.fast})}
        if self.saturation is not None:
            return found | {
                "versions": regex_of(self.versions), "resource": self.saturation.resource.value,
                "threshold_millionths": self.saturation.threshold_millionths,
            }  # fmt: skip
        if self.slices is None:
            return found
        return found | {
            "fast": self.fast, "versions": regex_of(self.versions), "slice_seconds": self.slices.seconds,
            "min_calls": self.slices.min_calls, "good_millionths": self.slices.good_millionths,
        }  # fmt: skip


FAILURES = Kind()
"""Failures of all operations."""


def regex_of(pattern: str) -> str | None:
    """Return a pattern as the parameter of a statement; None: it matches everything."""
    return None if pattern == EVERY else to_regex(pattern)
