"""Keeps the heads of both chains on disk outside of the store, a moment behind the commits, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import replace

from plugwarden_collector.errors import SettingsError

from .head_file import Head, Heads, Records

__all__ = ["HeadKeeper"]

CLOSE_SECONDS = 5.0
"""Seconds that the last heads may take to reach the disk."""
RETRY_SECONDS = 5.0
"""Seconds until a disk that did not take a head is asked again; until then the record is behind, and says less."""
_log = logging.getLogger(__name__)


class HeadKeeper:
    """One record, changed from any thread."""

    def __init__(self, records: Records, heads: Heads) -> None:
        """Raises `SettingsError` when the record cannot be kept."""
        self._records, self._heads = records, heads
        records.save(heads)
        self._changed = threading.Condition()
        self._dirty = self._closed = False
        self.failures = 0
        """Heads that the disk did not take."""
        self._thread = threading.Thread(target=self._run, name="plugwarden-heads", daemon=True)
        self._thread.start()

    def advance(self, heads: Mapping[str, Head]) -> None:
        """Take entries that are committed for the heads of their chains. Does not wait for the disk."""
        with self._changed:
            for stream, head in heads.items():
                if head.sequence > self._heads.heads[stream].sequence:
                    self._heads.heads[stream] = head
                    self._dirty = True
            if self._dirty:
                self._changed.notify_all()

    @property
    def kept(self) -> Heads:
        """The record as of now, as a copy."""
        with self._changed:
            return self._copy()

    @property
    def open_breaks(self) -> tuple[str, ...]:
        """Breaks that nobody accepted, in words."""
        with self._changed:
            return tuple(item.text for item in self._heads.breaks if item.accepted is None)

    def accept(self, who: str, unverified: Mapping[str, Head]) -> None:
        """Take all breaks for explained by `who`, and entries up to `unverified` for such as no key that is here verifies."""
        with self._changed:
            self._heads.breaks = [item if item.accepted else replace(item, accepted=who) for item in self._heads.breaks]
            self._heads.unverified.update(unverified)
            self._dirty = True
            self._changed.notify_all()

    def close(self) -> None:
        """Keep the last heads, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)

    def _copy(self) -> Heads:
        known = self._heads
        return replace(known, heads=dict(known.heads), breaks=list(known.breaks), unverified=dict(known.unverified))

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._dirty and not self._closed:
                    self._changed.wait()
                if not self._dirty:
                    return
                self._dirty = False
                kept = self._copy()
            try:
                self._records.save(kept)
            except SettingsError as error:
                self.failures += 1
                _log.error("%s", error)
                with self._changed:
                    self._dirty = not self._closed
                    self._changed.wait_for(lambda: self._closed, RETRY_SECONDS)
