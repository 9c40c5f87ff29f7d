"""Buckets of histograms that were taken and are not counted yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import pyarrow as pa

__all__ = ["Backlog", "buckets_of"]


class Backlog:
    """From being queued to being counted. Whoever uses it holds a lock of their own."""

    def __init__(self) -> None:
        self.buckets = 0
        """In all."""
        self._stored: deque[tuple[int, int]] = deque()
        """Commit and its buckets, oldest first."""

    def queue(self, buckets: int) -> None:
        """They wait for a commit."""
        self.buckets += buckets

    def drop(self, buckets: int) -> None:
        """They were queued and are not stored."""
        self.buckets -= buckets

    def store(self, batch: int, buckets: int) -> None:
        """They were queued and are stored in the commit `batch`."""
        if buckets:
            self._stored.append((batch, buckets))

    def counted(self, batch: int) -> None:
        """All is counted up to the commit `batch`."""
        while self._stored and self._stored[0][0] <= batch:
            self.buckets -= self._stored.popleft()[1]


def buckets_of(tables: Mapping[str, pa.Table]) -> int:
    """Return the buckets of the points of a request."""
    points = tables.get("incoming_points")
    if points is None or "bucket_count" not in points.column_names:
        return 0
    return sum(len(chunk.flatten()) for chunk in points["bucket_count"].chunks)
