"""When each version of a plugin was called, as far as a replay has come."""

from __future__ import annotations

from typing import Any

import numpy as np

from .tape import Ints, Names

__all__ = ["Seen"]


class Seen:
    """Fed in the order of time. Versions go by their numbers."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.first: Ints = np.zeros(0, np.int64)
        """Second of the first call; -1: there was none yet."""
        self.last: Ints = np.zeros(0, np.int64)
        """Second of the last call; -1: there was none yet."""

    def add(self, second: Ints, stream: Ints) -> list[int]:
        """Add calls of operations, seconds ascending. Return the versions that were never called before."""
        self._grow()
        versions = self._names.versions_by_stream[stream]
        new: list[int] = np.unique(versions[self.first[versions] < 0]).tolist()
        for number in new:
            self.first[number] = second[versions == number][0]
        np.maximum.at(self.last, versions, second)
        return new

    def is_new(self, stream: Ints) -> Any:
        """Return whether each operation is of a version that was never called before."""
        self._grow()
        return self.first[self._names.versions_by_stream[stream]] < 0

    def _grow(self) -> None:
        more = np.full(len(self._names.versions) - len(self.first), -1, np.int64)
        self.first, self.last = np.concatenate([self.first, more]), np.concatenate([self.last, more])
