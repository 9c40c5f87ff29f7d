"""How many bytes of requests may be in hand at once: what is above that is sent back, not piled up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from plugwarden_collector.errors import BusyError

__all__ = ["MAX_BYTES_IN_HAND", "Allowance", "Hold"]

MAX_BYTES_IN_HAND = 256 * 1024 * 1024
"""Bytes of bodies received, or being received, and not yet answered: some four hundred requests of 2,000 spans."""


class Allowance:
    """Counts bytes in hand. Used on the event loop only, so it needs no lock."""

    def __init__(self, limit: int = MAX_BYTES_IN_HAND) -> None:
        self.limit = limit
        self.in_hand = 0

    @contextmanager
    def holding(self, nbytes: int = 0) -> Iterator[Hold]:
        """Hold bytes for the length of a block; raises `BusyError` when that would be too many."""
        hold = Hold(self)
        try:
            hold.grow(nbytes)
            yield hold
        finally:
            self.in_hand -= hold.nbytes


class Hold:
    """What one request holds. It grows with what arrives, not with what is promised: promises cost a client nothing."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self.nbytes = 0

    def grow(self, nbytes: int) -> None:
        """Hold more; raises `BusyError` when that would be too many, and holds no more than before then."""
        if self._allowance.in_hand + nbytes > self._allowance.limit:
            raise BusyError(f"{self._allowance.in_hand} bytes of requests are in hand")
        self._allowance.in_hand += nbytes
        self.nbytes += nbytes
