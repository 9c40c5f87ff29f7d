"""How fast the database grows: the slope of a line through the last ten minutes."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

import numpy as np

__all__ = ["Growth"]

WINDOW = timedelta(minutes=10)
LEAST = timedelta(minutes=5)
"""From less, the write-ahead log's ups and downs would pass for growth."""


class Growth:
    """Sizes over time."""

    def __init__(self) -> None:
        self._sizes: deque[tuple[datetime, int]] = deque()

    def add(self, at: datetime, size_bytes: int) -> None:
        """A size was read."""
        while self._sizes and not at - WINDOW <= self._sizes[0][0] <= at:
            self._sizes.popleft()
        self._sizes.append((at, size_bytes))

    def bytes_per_second(self) -> float | None:
        """None until there is enough to tell from."""
        sizes = list(self._sizes)
        if not sizes or sizes[-1][0] - sizes[0][0] < LEAST:
            return None
        seconds = np.array([(at - sizes[0][0]).total_seconds() for at, _ in sizes])
        sizes_bytes = np.array([size for _, size in sizes], dtype=float)
        return float(np.polyfit(seconds, sizes_bytes, 1)[0])
