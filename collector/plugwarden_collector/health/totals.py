"""What the collector has counted since its start, and what that makes of a stretch of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from plugwarden_collector.control.live import Warden
from plugwarden_collector.latency import Counts, added, quantile
from plugwarden_collector.receive.intake import Intake
from plugwarden_collector.store.upkeep import Health

from .arrivals import Arrivals
from .readings import Readings

__all__ = ["Totals", "busy_answers", "readings_between"]


@dataclass(frozen=True, slots=True)
class Totals:
    """Numbers that only grow."""

    at: datetime
    items: Mapping[str, int]
    """Signal -> spans, points or records stored."""
    lag: Counts
    commits: Counts
    busy: int
    failed: int
    tick_failures: int

    @classmethod
    def read(cls, at: datetime, intake: Intake, store: Health, warden: Warden, arrivals: Arrivals) -> Totals:
        """As they stand."""
        items = {signal: count for (signal, result), count in list(intake.items.items()) if result == "accepted"}
        failed = sum(count for key, count in list(intake.requests.items()) if key[2] == "store_failed")
        return cls(
            at,
            items,
            arrivals.lag_counts(),
            store.commit_times.counts(),
            busy_answers(intake),
            max(failed, store.failed_requests),
            warden.stats.failures,
        )


def busy_answers(intake: Intake) -> int:
    """Requests that were told to come back, over both transports."""
    return sum(count for key, count in list(intake.requests.items()) if key[2] == "busy")


def readings_between(before: Totals, after: Totals, gauges: Mapping[str, Any]) -> Readings:
    """What happened from one reading of the totals to a later one, with what stands now."""
    seconds = max((after.at - before.at).total_seconds(), 1e-3)
    lag, commits = added(after.lag, before.lag), added(after.commits, before.commits)
    return Readings(
        at=after.at,
        items_per_second={name: (count - before.items.get(name, 0)) / seconds for name, count in after.items.items()},
        lag_p50_seconds=quantile(lag, 0.5),
        lag_p99_seconds=quantile(lag, 0.99),
        commit_p50_seconds=quantile(commits, 0.5),
        commit_p99_seconds=quantile(commits, 0.99),
        busy=after.busy - before.busy,
        failed=after.failed - before.failed,
        tick_failures=after.tick_failures - before.tick_failures,
        **gauges,
    )
