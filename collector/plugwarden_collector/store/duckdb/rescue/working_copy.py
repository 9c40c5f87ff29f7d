"""The files of a store as a start would see them, beside the originals, which nothing here changes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import duckdb

from plugwarden_collector.figures import counted
from plugwarden_collector.store.duckdb import engine
from plugwarden_collector.store.duckdb.file.format import (
    HEADER_BYTES,
    LogState,
    main_header_is_whole,
    read_header,
    read_log,
    with_identifier,
)
from plugwarden_collector.store.duckdb.file.inspect import explain, logs_of

__all__ = ["Staged", "connect", "staged"]


@dataclass(frozen=True, slots=True)
class Staged:
    """Files that DuckDB can open."""

    path: Path
    """The database file: the original by another name, or a copy."""
    notes: tuple[str, ...]
    """What was left out or repaired."""
    lost_commits: int
    """Commits in the write-ahead logs that cannot be used."""


@contextmanager
def staged(path: Path, *, repair: bool = False) -> Iterator[Staged]:
    """Lay out a store in a temporary folder, its logs cut at the last commit that is whole.

    With `repair`, damaged headers are put right in a copy where the other headers and the log say what was in them.
    """
    with _scratch(path.parent) as folder:
        target = folder / path.name
        notes: list[str] = []
        fixes = _fixes(path, folder, notes) if repair else {}
        if fixes:
            shutil.copyfile(path, target)
            with target.open("r+b") as opened:
                for position, raw in fixes.items():
                    opened.seek(position)
                    opened.write(raw)
        else:
            _link(path, target)
        lost = _lay_out_logs(path, folder, notes)
        yield Staged(target, tuple(notes), lost)


@lru_cache(maxsize=1)
def connect(path: str) -> duckdb.DuckDBPyConnection:
    """The one reading connection of a helper process."""
    try:
        config: engine.Config = {"memory_limit": "1GB", "threads": 2, "enable_external_access": False}
        return engine.connect(path, config, read_only=True)
    except duckdb.Error as error:
        raise RuntimeError(explain(Path(path), error).split(". Nothing was changed")[0]) from error


@contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    """A temporary folder, on the same file system where that can be written to."""
    where = beside if os.access(beside, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=".plugwarden-", dir=where) as folder:
        yield Path(folder)


def _link(file: Path, name: Path) -> None:
    """A second name: a symbolic link would not do, DuckDB follows it and takes the log beside the original."""
    try:
        name.hardlink_to(file.resolve())
    except OSError:
        shutil.copyfile(file, name)


def _lay_out_logs(path: Path, folder: Path, notes: list[str]) -> int:
    lost, usable = 0, True
    for log in logs_of(path):  # the log of a running checkpoint sorts behind, and continues, the main one
        read = read_log(log)
        if not usable:
            lost += read.commits + read.lost_commits
            notes.append(f"{log.name} is left out: it continues a log that is damaged")
            continue
        if read.state is LogState.WHOLE:
            _link(log, folder / log.name)
            continue
        lost += read.lost_commits
        behind = counted(read.lost_commits, "commit behind it is", "commits behind it are")
        usable = read.state is not LogState.DAMAGED
        why = "a commit that was never finished" if usable else f"damage; {behind} lost"
        notes.append(f"{log.name} is used up to byte {read.good_bytes} of {read.nbytes}: then comes {why}")
        if read.good_bytes:
            with log.open("rb") as source, (folder / log.name).open("wb") as sink:
                left = read.good_bytes
                while left:
                    piece = source.read(min(left, 1 << 20))
                    sink.write(piece)
                    left -= len(piece)
    return lost


def _fixes(path: Path, folder: Path, notes: list[str]) -> dict[int, bytes]:
    """Headers to write anew, by their position; nothing where it cannot be known what they said."""
    if path.stat().st_size < 3 * HEADER_BYTES:
        return {}
    fixes: dict[int, bytes] = {}
    log = next((read for read in map(read_log, logs_of(path)) if read.iteration is not None), None)
    headers = [read_header(path, slot) for slot in (0, 1)]
    broken = [slot for slot, header in enumerate(headers) if header is None]
    other = headers[1 - broken[0]] if len(broken) == 1 else None
    # Only the log tells whether the header that is left is the newer one: it names the checkpoint that it continues.
    if other is not None and log is not None and log.iteration == other.iteration:
        with path.open("rb") as opened:
            opened.seek((2 - broken[0]) * HEADER_BYTES)
            fixes[(broken[0] + 1) * HEADER_BYTES] = opened.read(HEADER_BYTES)
        notes.append(f"database header {broken[0] + 1} was damaged; the other one is the newer")
    if not main_header_is_whole(path):
        fixes[0] = _new_main_header(folder, b"" if log is None else log.identifier)
        notes.append("the main header was damaged and is written anew; it holds no data")
    return fixes


def _new_main_header(folder: Path, identifier: bytes) -> bytes:
    """What this version of DuckDB writes, for the database that the log belongs to."""
    model = folder / "model"
    engine.connect(model).close()
    with model.open("rb") as opened:
        raw = opened.read(HEADER_BYTES)
    return with_identifier(raw, identifier) if identifier else raw
