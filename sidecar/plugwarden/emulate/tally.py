"""What callers saw, counted by operation and by stretch of time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from plugwarden.contract import Outcome
from plugwarden.testing.record import Recorded

__all__ = ["Call", "Tally", "quantile"]


@dataclass(slots=True)
class Call:
    """One call from where the caller stands."""

    began: float
    recorded: Recorded | None = None
    raised: str | None = None
    """What the caller got instead of an answer."""
    seconds: float | None = None
    """How long the caller waited; None: it waits still."""


@dataclass(slots=True)
class Tally:
    """Of one operation, and of one stretch of time or of all."""

    calls: int = 0
    """That began."""
    succeeded: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """By error type, deadlines among them."""
    refused: Counter[str] = field(default_factory=Counter)
    """By why."""
    fallbacks: int = 0
    """Times a fallback answered the caller."""
    late: int = 0
    """Answers that came after the deadline, because nothing could stop the call."""
    saw: Counter[str] = field(default_factory=Counter)
    """What callers saw: `answered`, `answered late`, `fallback`, or the exception."""
    seconds: list[float] = field(default_factory=list)
    """How long each caller waited that waits no more."""

    def end(self, call: Call) -> None:
        """Count one that is over."""
        recorded = call.recorded
        self.seconds.append(call.seconds or 0.0)
        if recorded is None:
            self.failed["unrecorded"] += 1
        elif recorded.outcome is Outcome.SUCCESS:
            self.succeeded += 1
        elif recorded.outcome is Outcome.REJECTED:
            self.refused[str(recorded.refused)] += 1
        else:
            self.failed[recorded.error_type or str(recorded.outcome)] += 1
        if recorded is not None and recorded.fallback and call.raised is None:
            self.fallbacks += 1
            self.saw["fallback"] += 1
        elif call.raised is not None:
            self.saw[call.raised] += 1
        elif recorded is not None and recorded.outcome is Outcome.TIMEOUT:
            self.late += 1
            self.saw["answered late"] += 1
        else:
            self.saw["answered"] += 1

    def as_dict(self) -> dict[str, Any]:
        """Return the same for programs."""
        return {
            "calls": self.calls,
            "ok": self.succeeded,
            "failed": dict(sorted(self.failed.items())),
            "refused": dict(sorted(self.refused.items())),
            "fallback": self.fallbacks,
            "p50_seconds": quantile(self.seconds, 0.5),
            "p95_seconds": quantile(self.seconds, 0.95),
        }


def quantile(values: list[float], share: float) -> float | None:
    """The smallest value that so large a share of them does not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 6)
