"""What the last hours looked like: one step every ten seconds, in memory, for charts. A restart begins anew."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from .readings import Readings

__all__ = ["STEP", "History", "Step"]

STEP = timedelta(seconds=10)
KEPT_STEPS = 2160
"""Six hours; about a megabyte."""


@dataclass(frozen=True, slots=True)
class Step:
    """Ten seconds."""

    at: datetime
    """Its end."""
    traces: float
    """Spans a second."""
    metrics: float
    """Points a second."""
    logs: float
    """Records a second."""
    lag_p50_seconds: float | None
    lag_p99_seconds: float | None
    commit_p50_seconds: float | None
    commit_p99_seconds: float | None
    queued_bytes: int
    busy: int
    """Requests told to come back."""
    used_bytes: int
    file_bytes: int
    wal_bytes: int
    tick_seconds: float
    """The last turn of the judging loop."""
    rollup_lag_seconds: float


class History:
    """A ring of steps."""

    def __init__(self) -> None:
        self._steps: deque[Step] = deque(maxlen=KEPT_STEPS)
        self._begun_at: datetime | None = None

    def due(self, at: datetime) -> bool:
        """Whether the next step is full."""
        if self._begun_at is None or at < self._begun_at:  # the clock was set back
            self._begun_at = at
        return at - self._begun_at >= STEP

    def add(self, readings: Readings) -> None:
        """Keep what was read over the step that ends now."""
        self._begun_at = readings.at
        rates = readings.items_per_second
        own = {name: getattr(readings, name) for name in _OF_READINGS}
        self._steps.append(
            Step(traces=rates.get("traces", 0.0), metrics=rates.get("metrics", 0.0), logs=rates.get("logs", 0.0), **own)
        )

    def columns(self, since: datetime, limit: int) -> dict[str, list[Any]]:
        """Name -> values, oldest first; of more than `limit` steps every second, third, ... so that they fit."""
        steps = [step for step in list(self._steps) if step.at >= since]
        steps = steps[:: max(1, -(-len(steps) // limit))]
        return {item.name: [getattr(step, item.name) for step in steps] for item in fields(Step)}


_OF_READINGS = [item.name for item in fields(Step) if item.name not in {"traces", "metrics", "logs"}]
