"""What could not be sent, on disk: bounded, in order, and there again after a restart.

One SQLite file a process, in write-ahead mode, touched only while sending fails and at the end. When it is full the
oldest spans and logs make room; metrics go last, because everything else is a selection and they are the count.
Files that a dead process left behind are taken over and sent too.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

from plugwarden.files import open_private, settle_in

__all__ = ["Spool", "Spooled"]

_SCHEMA = """
create table if not exists item (
    number integer primary key autoincrement, signal text not null, items integer not null, data blob not null
)
"""


_OURS = frozenset({"spool-"})


class Spooled(NamedTuple):
    """One request that waits."""

    source: Path
    number: int
    signal: str
    items: int
    data: bytes


class Spool:
    """A bounded queue of requests on disk. One thread uses it. Every error of the disk is told by the answer."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._own = folder / f"spool-{os.getpid()}-{time.time_ns():x}.sqlite"
        self._files: dict[Path, tuple[sqlite3.Connection, int]] = {}
        """File -> (connection, descriptor that holds its lock), the oldest first."""
        self._bytes = 0
        self._done: dict[Path, int] = {}
        """File -> the last request that was taken."""
        self._looked = False

    def put(self, signal: str, items: int, data: bytes) -> tuple[bool, dict[str, int]]:
        """Store one request. Return whether it is stored, and what had to make room: signal -> items."""
        made_room: dict[str, int] = {}
        if len(data) > self._limit:
            return False, made_room
        try:
            connection = self._open(self._own)
            with connection:
                while self._bytes + len(data) > self._limit:
                    oldest = connection.execute(
                        "select number, signal, items, length(data) from item order by signal = 'metrics', number limit 1"
                    ).fetchone()
                    if oldest is None or (oldest[1] == "metrics" and signal != "metrics"):
                        return False, made_room
                    connection.execute("delete from item where number = ?", oldest[:1])
                    self._bytes -= oldest[3]
                    made_room[oldest[1]] = made_room.get(oldest[1], 0) + oldest[2]
                connection.execute("insert into item (signal, items, data) values (?, ?, ?)", (signal, items, data))
                self._bytes += len(data)
        except (sqlite3.Error, OSError):
            return False, made_room
        return True, made_room

    def oldest(self) -> Spooled | None:
        """The request that waits longest, this process's or one left behind by another."""
        try:
            if not self._looked:
                self._looked = True
                self._adopt()
            for path, (connection, _) in list(self._files.items()):
                row = connection.execute(
                    "select number, signal, items, data from item where number > ? order by number limit 1",
                    (self._done.get(path, 0),),
                ).fetchone()
                if row is not None:
                    return Spooled(path, *row)
                self._remove(path)
        except (sqlite3.Error, OSError):
            self._discard_broken()
        return None

    def remove(self, item: Spooled) -> None:
        """It was taken, or never will be."""
        held = self._files.get(item.source)
        if held is None:
            return
        self._done[item.source] = item.number  # also where a full disk does not let it be deleted
        try:
            with held[0]:
                held[0].execute("delete from item where number = ?", (item.number,))
            self._bytes = max(0, self._bytes - len(item.data))
        except sqlite3.Error:
            self._discard_broken()

    def close(self) -> None:
        """Let the files go; what is in them waits for the next process."""
        for path in list(self._files):
            connection, descriptor = self._files.pop(path)
            connection.close()
            os.close(descriptor)

    def _adopt(self) -> None:
        if self._folder.is_dir() and not self._folder.is_symlink():
            for path in sorted(self._folder.glob("spool-*.sqlite"), key=lambda path: path.lstat().st_mtime):
                if path not in self._files:
                    try:
                        self._bytes += self._size(self._open(path))
                    except OSError:
                        continue  # its process lives (BlockingIOError), or it is a link that somebody laid
                    except sqlite3.OperationalError:
                        continue  # a full disk, a lock: it may be read another time
                    except sqlite3.DatabaseError:
                        path.unlink(missing_ok=True)  # it is no database: nothing can be read from it, now or later

    def _open(self, path: Path) -> sqlite3.Connection:
        held = self._files.get(path)
        if held is not None:
            return held[0]
        settle_in(self._folder, _OURS)
        descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
        try:
            # A lock on the file itself would be lost with SQLite's own; flock locks are of another kind and do not mix.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            connection = sqlite3.connect(path, timeout=1.0, check_same_thread=False)
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.execute("pragma auto_vacuum = full")
            connection.execute(_SCHEMA)
        except BaseException:
            os.close(descriptor)
            raise
        self._files[path] = (connection, descriptor)
        return connection

    def _size(self, connection: sqlite3.Connection) -> int:
        return int(connection.execute("select coalesce(sum(length(data)), 0) from item").fetchone()[0])

    def _remove(self, path: Path) -> None:
        connection, descriptor = self._files.pop(path)
        connection.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        os.close(descriptor)
        if path == self._own:
            self._own = self._folder / f"spool-{os.getpid()}-{time.time_ns():x}.sqlite"

    def _discard_broken(self) -> None:
        for path in list(self._files):
            try:
                self._files[path][0].execute("select count(*) from item").fetchone()
            except sqlite3.Error:
                self._remove(path)
