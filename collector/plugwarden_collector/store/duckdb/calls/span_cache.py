"""Remembers what closed spans of time hold per plugin version, for those that are asked for again and again: what corrections leave out.

A span whose hours are all over changes only when a call comes late; what the rollups count tells which hours these are.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from .hour_cache import ClosedHours, Counted
from .kind import FAILURES, Kind
from .resolutions import Tiers
from .source import CallSource

__all__ = ["ClosedSpans"]

MAX_ROWS = 500_000
"""Plugin versions times spans, some 200 bytes each; more are counted anew each time."""
MAX_SPANS = 1_000
"""Spans that are remembered: fifty corrections cut time into a hundred at most, for each kind; those of yesterday go."""
HOUR = timedelta(hours=1)


class ClosedSpans:
    """Asked from the thread of the judge alone."""

    def __init__(self, source: CallSource, hours: ClosedHours) -> None:
        self._source, self._hours = source, hours
        self._rolled = 0
        self._rows = 0
        self._known: dict[tuple[datetime, datetime, Kind], Counted] = {}
        """After the first moment, up to and including the second, and what is counted."""

    def counts(self, span: dict[str, Any], kind: Kind = FAILURES) -> Counted | None:
        """Return calls in a span of time, as `ClosedHours.counts` does; nobody may change them."""
        tiers = self._source.tiers
        self._follow(tiers)
        place = span["since"], span["until"], kind
        found = self._known.get(place)
        if found is not None:
            return found
        found = self._hours.counts(span, kind)
        if found is not None and span["until"] < tiers.hours and self._rows + len(found) <= MAX_ROWS:
            self._known[place] = found
            self._rows += len(found)
        return found

    def _follow(self, tiers: Tiers) -> None:
        late = tiers.late_since(self._rolled)
        self._rolled = max(self._rolled, tiers.rolled)
        if late is None or len(self._known) > MAX_SPANS:
            self._known.clear()
            self._rows = 0
            return
        for place in [place for place in self._known if any(_holds(place, hour) for hour in late)]:
            self._rows -= len(self._known.pop(place))


def _holds(place: tuple[datetime, datetime, Kind], hour: datetime) -> bool:
    return place[0] < hour + HOUR and place[1] >= hour
