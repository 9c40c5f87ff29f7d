"""Looks at the store's files before DuckDB does: what is damaged is refused by name, never begun anew or cut silently.

DuckDB checks blocks as it reads them. What it does not check is checked here: that the file is as long as its header
says, and that the write-ahead log ends where a crash could have ended it, not before commits that were acknowledged.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from plugwarden_collector.errors import StoreError
from plugwarden_collector.figures import counted
from plugwarden_collector.private import CHOICES, choice, make_folder, tighten
from plugwarden_collector.store.duckdb.engine import connect

from .format import (
    HEADER_BYTES,
    LogState,
    bytes_in_use,
    main_header_is_whole,
    read_header,
    read_log,
)

__all__ = ["RESTORING", "explain", "is_full", "logs_of", "owned", "prepare", "problems"]

RESTORING = ".restoring"
"""Ends the name of a file that a restore has not put in its place yet."""
_WHAT_NOW = (
    "Nothing was changed. See what is intact with `plugwarden store verify --data {folder}`; then `plugwarden restore "
    "BACKUP --data {folder} --force`, or save what can be read with `plugwarden store salvage --data {folder} --to NEW`"
)
_DAMAGE = ("Corrupt database file", "Corrupt WAL", "not a valid DuckDB", "Could not read enough bytes", "replaying WAL",
           "Serialization Error", "INTERNAL Error", "deserialize")  # fmt: skip
_FULL = ("No space left", "File too large", "Disk quota")
_log = logging.getLogger(__name__)


def prepare(path: Path) -> None:
    """Make sure that DuckDB can open the file as its owner; raises `StoreError` that says what to do.

    The tail of a log that no commit ends, which is what a crash leaves, is cut off and said so.
    """
    for log in logs_of(path):
        if not path.exists():
            raise StoreError(f"{path}: is missing, but its write-ahead log {log.name} is there. {_what_now(path)}")
    if not path.exists():
        if path.with_name(path.name + RESTORING).exists():
            raise StoreError(f"{path}: a restore was interrupted before it was done; run `plugwarden restore` again")
        _create(path)
        return
    with owned(path):
        found = problems(path)
        if found:
            raise StoreError(f"{path}: {'; '.join(found)}. {_what_now(path)}")
        for log in logs_of(path):
            _cut_unfinished(log)


def problems(path: Path) -> list[str]:
    """What is wrong with the files as far as it can be told without reading all of them; empty when nothing is."""
    size = path.stat().st_size
    if size == 0:
        return ["is empty"]
    if size < 3 * HEADER_BYTES:
        return [f"is cut short: {size} bytes are not even its headers"]
    found = []
    if not main_header_is_whole(path):
        with path.open("rb") as opened:
            known = opened.read(12)[8:] == b"DUCK"
        found.append("its main header is damaged" if known else "is not a DuckDB file, or its main header is damaged")
    headers = [read_header(path, slot) for slot in (0, 1)]
    whole = [header for header in headers if header is not None]
    found += [f"its database header {slot + 1} is damaged" for slot, header in enumerate(headers) if header is None]
    if len(whole) == 2:
        wanted = bytes_in_use(path, max(whole, key=lambda header: header.iteration))
        if wanted is None:
            found.append("its list of free blocks is damaged")
        elif size < wanted:
            found.append(f"is cut short: {size} bytes of {wanted} are there")
    for log in logs_of(path):
        read = read_log(log)
        if read.state is LogState.DAMAGED:
            found.append(
                f"its write-ahead log {log.name} is damaged at byte {read.good_bytes} of {read.nbytes}: "
                f"{counted(read.commits, 'commit before that is', 'commits before that are')} whole, "
                f"{read.lost_commits} after it cannot be used"
            )
    return found


def logs_of(path: Path) -> list[Path]:
    """The write-ahead logs beside a database file; there are two after a crash inside a checkpoint."""
    return sorted(file for file in path.parent.glob(f"{path.name}.wal*") if file.is_file())


@contextmanager
def owned(path: Path) -> Iterator[None]:
    """Hold the lock that DuckDB would take; raises `StoreError` when another process has it.

    Not for a process in which DuckDB has the file open: closing any handle on a file gives up all of a process's locks.
    """
    try:
        with path.open("r+b") as opened:
            fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as error:
        raise StoreError(
            f"{path}: another process has it open; stop that collector first, or name another --data"
        ) from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened: {error.strerror}") from error


def explain(path: Path, error: BaseException) -> str:
    """An error of DuckDB's about a file, in one sentence with what to do next."""
    text = " ".join(str(error).split())
    if "Could not set lock" in text or "Conflicting lock" in text:
        return f"{path}: another process has it open; stop that collector first, or name another --data"
    if "WAL does not match" in text:
        return (
            f"{path}: the write-ahead log beside it belongs to another database, or to an older copy. {_what_now(path)}"
        )
    if is_full(text):
        return f"{path}: the disk is full; make room and start again, nothing acknowledged is lost ({text[:200]})"
    if any(word in text for word in _DAMAGE):
        return f"{path}: is damaged: {text[:300]}. {_what_now(path)}"
    return f"{path}: {text[:500]}"


def is_full(text: str) -> bool:
    """Whether an error is about a disk without room, and so not about the data."""
    return any(word in text for word in _FULL)


def _create(path: Path) -> None:
    """A new file, there as a whole or not at all: what a crash leaves of it has another name."""
    make_folder(path.parent)
    tighten(path.parent, path.parent.glob(f"{path.name}*"))
    draft = path.with_name(path.name + ".new")
    for left in (draft, draft.with_name(draft.name + ".wal")):
        left.unlink(missing_ok=True)
    try:
        connect(draft).close()
        draft.chmod(CHOICES[choice()][1])  # DuckDB makes it as the umask says, in a folder that is closed
        draft.replace(path)
    except (duckdb.Error, OSError) as error:
        raise StoreError(explain(path, error)) from error


def _cut_unfinished(log: Path) -> None:
    read = read_log(log)
    if read.state is not LogState.UNFINISHED:
        return
    if read.nbytes == 0:
        _log.warning("%s: is empty; a crash can leave it so, but if it held anything it is lost", log)
        log.unlink()
        return
    _log.warning(
        "%s: the last %d of %d bytes belong to a commit that was never finished, as a crash leaves it; they are left out, "
        "%d commits before them are kept",
        log, read.nbytes - read.good_bytes, read.nbytes, read.commits,
    )  # fmt: skip
    if read.good_bytes:
        os.truncate(log, read.good_bytes)
    else:
        log.unlink()


def _what_now(path: Path) -> str:
    return _WHAT_NOW.format(folder=path.parent)
