"""What was usual at each moment of a replay, from the hours before it; see `store.duckdb.calls.usual` for the live answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from plugwarden_collector.control.observe import USUAL_GAP, USUAL_SPAN
from plugwarden_collector.judge.arrivals import Past

from .tape import HOUR, MINUTE

__all__ = ["PastHours"]

MIN_CALLS = 20
"""`store.duckdb.calls.usual.MIN_CALLS`."""
QUARTILE = 0.75

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


class PastHours:
    """Fed in the order of time. Counts are rows: calls that ended, failed ones, and slow ones by threshold."""

    def __init__(self, thresholds: int) -> None:
        self._rows = 2 + thresholds
        self._hours: dict[int, Floats] = {}
        self._newest: deque[tuple[int, Ints, Floats]] = deque()
        """Minutes, or seconds, that are too new to be usual."""

    def add(self, second: int, streams: Ints, counts: Floats) -> None:
        """Add the calls of some operations in one slice, each operation once."""
        self._newest.append((second, streams, counts))

    def at(self, at: float, names: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], Past]:
        """Return what is usual at a moment, and for operations whatever the version under an empty one."""
        until = int(at - USUAL_GAP.total_seconds()) // MINUTE * MINUTE
        while self._newest and self._newest[0][0] < until:
            second, streams, counts = self._newest.popleft()
            self._sums(second // HOUR * HOUR, len(names))[:, streams] += counts
        first = -(-int(at - USUAL_SPAN.total_seconds()) // HOUR) * HOUR
        self._hours = {hour: sums for hour, sums in self._hours.items() if hour >= first}
        return self._quartiles(names)

    def _sums(self, hour: int, size: int) -> Floats:
        known = self._hours.get(hour)
        if known is None or known.shape[1] < size:
            grown = np.zeros((self._rows, size))
            if known is not None:
                grown[:, : known.shape[1]] = known
            known = self._hours[hour] = grown
        return known

    def _quartiles(self, names: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], Past]:
        if not self._hours:
            return {}
        counts = np.stack([self._sums(hour, len(names)) for hour in sorted(self._hours)])
        total, telling = counts[:, 0], counts[:, 0] >= MIN_CALLS
        of = telling.sum(axis=0)
        place = np.maximum(np.floor(QUARTILE * (of - 1)).astype(np.int64), 0)
        ratios = []
        for row in range(1, self._rows):
            ratio = np.where(telling, counts[:, row] / np.maximum(total, 1.0), np.inf)
            ratio.sort(axis=0)
            chosen = np.take_along_axis(ratio, place[None, :], axis=0)[0]
            ratios.append(np.where(of > 0, chosen, 0.0).tolist())
        calls = total.sum(axis=0).astype(np.int64).tolist()
        found: dict[tuple[str, str, str], Past] = {}
        most: dict[tuple[str, str, str], Past] = {}
        for number, name in enumerate(names):
            if calls[number]:
                item = found[name] = Past(
                    *name, calls[number], ratios[0][number], tuple(of[number] for of in ratios[1:])
                )
                key = (name[0], "", name[2])
                if key not in most or item.calls > most[key].calls:
                    most[key] = item
        return found | most
