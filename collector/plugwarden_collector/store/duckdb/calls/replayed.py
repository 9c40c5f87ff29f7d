"""Past calls slice by slice, from the resolution that is asked for; see `store.replay.Replaying`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.replay import Counts, PartSlices, Recorded, StreamSlices

from .cells import Ints, distinct
from .source import CallSource

__all__ = ["ReplayedCalls"]

_STREAM = ("plugin_id", "plugin_version", "plugin_operation")
_PART = (*_STREAM, "service_name", "instance_id", "host_name", "tenant_id", "error_type")


class ReplayedCalls:
    """Asked from one thread."""

    def __init__(self, source: CallSource) -> None:
        self._source = source

    def recorded(self) -> Recorded | None:
        """Return what is kept; None while nothing is."""
        row = self._source.fetch(statement("replayed_span"))[0]
        if row["oldest"] is None or row["newest"] is None:
            return None
        newest: datetime = row["newest"]
        seconds = max(self._source.tiers.seconds, row["oldest_second"] or newest)
        minutes = min(row["oldest_minute"] or seconds, seconds)
        return Recorded(row["oldest"], minutes, seconds, self._source.tiers.hours, newest)

    def hours(self, since: datetime, before: datetime, thresholds: Sequence[int]) -> StreamSlices:
        """Return the calls of every operation by hour."""
        return self._streams("hours", since, before, thresholds)

    def streams(self, since: datetime, before: datetime, thresholds: Sequence[int], *, seconds: bool) -> StreamSlices:
        """Return the calls of every operation by slice."""
        return self._streams("seconds" if seconds else "minutes", since, before, thresholds)

    def parts(
        self, since: datetime, before: datetime, thresholds: Sequence[int], plugins: Sequence[str], *, seconds: bool
    ) -> PartSlices:
        """Return all parts of some plugins by slice."""
        return self._parts(since, before, thresholds, plugins, seconds=seconds)

    def failing(self, since: datetime, before: datetime, thresholds: Sequence[int], *, seconds: bool) -> PartSlices:
        """Return the parts with calls that count against them, by slice; nothing is told of slow ones."""
        return self._parts(since, before, thresholds, None, seconds=seconds)

    def _parts(
        self,
        since: datetime,
        before: datetime,
        thresholds: Sequence[int],
        plugins: Sequence[str] | None,
        *,
        seconds: bool,
    ) -> PartSlices:
        tier = "seconds" if seconds else "minutes"
        asked = {"tier": tier, "first": since, "before": before, "plugins": list(plugins or ())}
        table = self._source.fetch_arrow(statement("replayed_parts"), {**asked, "failing": plugins is None})
        slow = self._slow("replayed_slow_parts", asked, thresholds) if plugins and len(table) else None
        second, names, of, counts = _columns(table, slow, thresholds, _PART)
        return PartSlices(names, second, of, counts)

    def _streams(self, tier: str, since: datetime, before: datetime, thresholds: Sequence[int]) -> StreamSlices:
        asked = {"tier": tier, "first": since, "before": before}
        table = self._source.fetch_arrow(statement("replayed_streams"), asked)
        slow = self._slow("replayed_slow", asked, thresholds)
        second, names, of, counts = _columns(table, slow, thresholds, _STREAM)
        return StreamSlices([(name[0], name[1], name[2]) for name in names], second, of, counts)

    def _slow(self, name: str, asked: Mapping[str, Any], thresholds: Sequence[int]) -> pa.Table | None:
        if not thresholds:
            return None
        return self._source.fetch_arrow(statement(name), {**asked, "thresholds": sorted(set(thresholds))})


def _columns(
    table: pa.Table, slow: pa.Table | None, thresholds: Sequence[int], keys: Sequence[str]
) -> tuple[Ints, list[tuple[str, ...]], Ints, Counts]:
    """Return of each row its second, the names, of each row the number of its name, and its counts: always in the same order."""
    if not len(table):
        none = np.empty(0, np.int64)
        return none, [], none, Counts(none, none, none, [none for _ in thresholds])
    found, place = distinct(table, keys)
    names = sorted(found)
    numbers = {name: number for number, name in enumerate(names)}
    of = np.array([numbers[name] for name in found], np.int64)[place]
    second = table["second"].to_numpy()
    order = np.lexsort((of, second))  # here, for the engine would compare names
    second, of = second[order], of[order]
    total, bad, refused = (table[name].to_numpy()[order] for name in ("total", "bad", "refused"))
    return second, names, of, Counts(total, bad, refused, _slow_columns(second, numbers, of, slow, thresholds, keys))


def _slow_columns(
    second: Ints,
    numbers: Mapping[tuple[str, ...], int],
    of: Ints,
    slow: pa.Table | None,
    thresholds: Sequence[int],
    keys: Sequence[str],
) -> list[Ints]:
    """Return slow calls by threshold, for each row: slow calls are some of those that it counts."""
    found = [np.zeros(len(second), np.int64) for _ in thresholds]
    if slow is None or not len(slow):
        return found
    slow_names, place = distinct(slow, keys)
    known = np.array([numbers.get(name, -1) for name in slow_names], np.int64)[place]
    code, wanted = second * len(numbers) + of, slow["second"].to_numpy() * len(numbers) + known
    at = np.minimum(np.searchsorted(code, wanted), len(code) - 1)
    fast, counts = slow["fast"].to_numpy(), slow["slow"].to_numpy()
    for number, threshold in enumerate(thresholds):
        rows = (fast == threshold) & (known >= 0) & (code[at] == wanted)
        found[number][at[rows]] = counts[rows]
    return found
