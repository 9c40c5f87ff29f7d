"""How far the rollups have come, and which tier answers for which part of a span of time.

Calls are kept at three resolutions: seconds (recent), minutes (35 days) and hours (400 days). A coarser tier is complete
up to a moment of its own and holds nothing after it, so a span of time is put together from whole hours, then minutes,
then seconds, and every call is counted once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

__all__ = ["Fresh", "Late", "Tiers"]

EPOCH = datetime(1970, 1, 1)
WIDE = timedelta(hours=6)
"""From here on whole hours are read from the hour tier: shorter spans have few minutes, and a chart wants them."""
MAX_FRESH_ROWS = 100_000
"""Rows that were counted last and are kept for those that follow the rollups; who falls behind reads the tiers again."""
MAX_FRESH_ROLLUPS = 240
"""A minute of them and more."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """What one rollup counted."""

    rolled: int
    """Raw rows up to this batch are in it, from where the one before ended."""
    tables: Sequence[pa.Table]
    """Rows as they were added to the seconds."""


@dataclass(frozen=True, slots=True)
class Late:
    """Full hours that one rollup added calls to: far fewer than rows, so that a long rollup makes nobody begin anew."""

    rolled: int
    hours: frozenset[datetime]


@dataclass(frozen=True, slots=True)
class Tiers:
    """The moments between the tiers, as the last rollup left them."""

    rolled: int = 0
    """Raw rows up to this batch are counted."""
    seconds: datetime = EPOCH
    """Seconds before this were let go; the minutes still have them."""
    minutes: datetime = EPOCH
    """The minute tier holds every call before this."""
    hours: datetime = EPOCH
    """The hour tier holds every call before this."""
    fresh: tuple[Fresh, ...] = field(default=(), compare=False, repr=False)
    """What the last rollups counted, oldest first: with what the tiers held up to `fresh_from`, all there is."""
    fresh_from: int = field(default=0, compare=False, repr=False)
    """The batch up to which raw rows are in the tiers and not in `fresh`."""
    late: tuple[Late, ...] = field(default=(), compare=False, repr=False)
    """Full hours that the last rollups added late calls to, oldest first."""
    late_from: int = field(default=0, compare=False, repr=False)
    """Batch after which all late hours are in `late`."""

    def counted(self, batch: int, tables: Sequence[pa.Table], late_hours: Iterable[datetime] = ()) -> Tiers:
        """After the raw rows up to a batch were counted; `late_hours` are full hours that some of them belong to."""
        fresh, start = (*self.fresh, Fresh(batch, tables)), self.fresh_from
        rows = sum(len(table) for item in fresh for table in item.tables)
        while fresh and (rows > MAX_FRESH_ROWS or len(fresh) > MAX_FRESH_ROLLUPS):
            rows -= sum(len(table) for table in fresh[0].tables)
            fresh, start = fresh[1:], fresh[0].rolled
        late, late_from = (*self.late, Late(batch, frozenset(late_hours))), self.late_from
        if len(late) > MAX_FRESH_ROLLUPS:
            late, late_from = late[1:], late[0].rolled
        return replace(self, rolled=batch, fresh=fresh, fresh_from=start, late=late, late_from=late_from)

    def late_since(self, rolled: int) -> frozenset[datetime] | None:
        """Return full hours that calls were added to after a batch was counted; None: it is not told any more."""
        if self.late_from > rolled:
            return None
        return frozenset(hour for item in self.late if item.rolled > rolled for hour in item.hours)

    def span(self, since: datetime, until: datetime, *, finest: bool = False) -> dict[str, Any]:
        """Parameters for the macro `call_span`: calls after `since`, up to and including `until`.

        `finest` asks for seconds wherever they are kept, for charts and for short windows; else it is the fewest rows.
        """
        first_hour = hours_end = until + timedelta(days=1)
        if until - since > WIDE and not finest:
            whole = since.replace(minute=0, second=0, microsecond=0)
            first_hour = whole + timedelta(hours=1)
            hours_end = min(self.hours, until.replace(minute=0, second=0, microsecond=0))
        return {
            "since": since,
            "until": until,
            "first_hour": first_hour,
            "hours_end": hours_end,
            "minutes_end": self.seconds if finest else self.minutes,
        }

    def between(self, first: datetime, before: datetime, *, finest: bool = False) -> dict[str, Any]:
        """Parameters for the same: calls from `first` on and before `before`, whole hours from the hour tier wherever it has them; `finest`
        asks for seconds wherever they are kept."""
        since, until = first - _SMALLEST, before - _SMALLEST
        hours_end = min(self.hours, _full_hour(before))
        return {
            "since": since,
            "until": until,
            "first_hour": _full_hour(since) + timedelta(hours=1),
            # Whole hours end where seconds begin: what is in both would count twice.
            "hours_end": min(hours_end, _full_hour(self.seconds)) if finest else hours_end,
            "minutes_end": self.seconds if finest else self.minutes,
        }


_SMALLEST = timedelta(microseconds=1)
"""Times are no finer."""


def _full_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
