"""A file of fixed size beside the store, for attempts that the store has not taken yet: a kill loses nothing that stands in it.

What is written to a file stays when its process is killed, without being forced to disk. The room is taken at the start, so that it is
there when the disk is full. A line is its checksum and JSON in ASCII; a zero byte ends them, so that what an earlier use left behind is
not read, and neither is a line that was cut.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import zlib
from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from plugwarden_collector.private import create

from .ledger import Delivery

__all__ = ["MAX_LINE_BYTES", "ROOM_BYTES", "SpareLog"]

ROOM_BYTES = 2 * 1024 * 1024
"""Size of the file: over a thousand attempts of usual length, which is as many as may wait for the store."""
MAX_BODY_BYTES = 4 * 1024
"""Bodies up to this are kept whole; of a longer one, what it says of its status."""
MAX_LINE_BYTES = 32 * 1024
"""Longest line: a body, and the keys of a hundred subjects."""
_END = b"\0"
_log = logging.getLogger(__name__)


class SpareLog:
    """Attempts on their way into the store. May be called from any thread."""

    def __init__(self, path: Path, room_bytes: int = ROOM_BYTES) -> None:
        """Where the file cannot be made or its room not be had, that is said, and what is not written is counted."""
        self._path, self._room_bytes = path, room_bytes
        self._lock = threading.Lock()
        self._file: int | None = None
        self._next = 0
        """Where the next line goes."""
        self._held: set[str] = set()
        """Attempts in the file that the store has not taken."""
        self.unwritten = 0
        """Attempts that were not written: no room, no disk."""
        try:
            self._file = create(path, os.O_RDWR)
            os.posix_fallocate(self._file, 0, room_bytes)
        except OSError as error:
            _log.error("%s: has no room for attempts that the store does not take: %s", path, error.strerror)

    @property
    def full(self) -> bool:
        """Whether it has no room for another line that is as long as can be."""
        return self._file is not None and self._next + MAX_LINE_BYTES >= self._room_bytes

    def recovered(self) -> list[Delivery]:
        """Return what an earlier process left, oldest first; each is held until it is forgotten."""
        with self._lock:
            if self._file is None:
                return []
            text = os.pread(self._file, self._room_bytes, 0)
            found, end = _read(text)
            self._next = end
            self._held = {item.id for item in found}
            return found

    def write(self, attempt: Delivery) -> None:
        """Write an attempt down and hold it; what cannot be written is counted."""
        line = _line(attempt)
        with self._lock:
            if not self._written(line):
                self.unwritten += 1
                return
            self._next += len(line)
            self._held.add(attempt.id)

    def forget(self, ids: Collection[str]) -> None:
        """Let attempts go that the store has, or never will have. When none is held any more, the file begins anew."""
        with self._lock:
            if not self._held or self._held.isdisjoint(ids):
                return
            self._held.difference_update(ids)
            if not self._held and self._file is not None:
                self._next = 0
                try:
                    os.pwrite(self._file, _END, 0)
                except OSError as error:  # a start reads them once more, and finds that the store has them
                    _log.error("%s: cannot be written: %s", self._path, error.strerror)

    def close(self) -> None:
        """Let the file go; what it holds is read at the next start."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _written(self, line: bytes) -> bool:
        if self._file is None or len(line) > MAX_LINE_BYTES or self._next + len(line) >= self._room_bytes:
            return False
        try:
            return os.pwrite(self._file, line + _END, self._next) == len(line) + 1
        except OSError:
            return False


def _line(attempt: Delivery) -> bytes:
    values = asdict(attempt)
    if len(attempt.body) > MAX_BODY_BYTES:
        values["body"] = json.dumps({"status": _status_of(attempt.body), "cut": True})
    text = json.dumps(values, default=lambda at: at.isoformat()).encode("ascii")
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _status_of(body: str) -> str | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return str(found["status"]) if isinstance(found, dict) and "status" in found else None


def _read(data: bytes) -> tuple[list[Delivery], int]:
    """Return the attempts of the lines that are whole, and where they end."""
    found, end = [], 0
    for line in data.partition(_END)[0].splitlines(keepends=True):
        attempt = _attempt(line)
        if attempt is None:
            break
        found.append(attempt)
        end += len(line)
    return found, end


def _attempt(line: bytes) -> Delivery | None:
    """Return the attempt of a line; None where it was cut or is none of ours."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        values = json.loads(text)
        values["at"] = datetime.fromisoformat(values["at"])
        values["finished_at"] = None
        return Delivery(**values)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
