"""Puts a backup in the place of a store: verified before and after, with what was there moved aside, not deleted."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

from plugwarden_collector.errors import StoreError
from plugwarden_collector.private import create, make_folder, tighten
from plugwarden_collector.store.duckdb.database import FILE_NAME
from plugwarden_collector.store.duckdb.file.inspect import RESTORING, logs_of, owned

from .new_epoch import renew
from .verify import Progress, Report, verify

__all__ = ["restore"]

RENEWED = frozenset({"meta", "migrations", "decisions", "directive_sets"})
"""Tables that restoring itself changes."""


def restore(
    backup: Path, data: Path, *, at: datetime, actor: str, force: bool = False, progress: Progress = lambda text: None
) -> tuple[Report, Path | None]:
    """Make a backup the store in a folder; return what is in it, and where the old store went.

    Raises `StoreError` when the backup is not whole, when there is a store and `force` is not given, or when it is open.
    """
    if logs_of(backup):
        raise StoreError(
            f"{backup}: has a write-ahead log beside it, so it is no backup but a store; name its folder with --data instead"
        )
    progress(f"reading {backup}")
    before = verify(backup, progress)
    if not before.intact:
        wrong = [*before.problems, *(f"{table.name}: {table.problem}" for table in before.tables if table.problem)]
        wrong += [before.chain_problem] if before.chain_problem else []
        raise StoreError(f"{backup}: is not whole: {'; '.join(wrong)}. Take another backup; nothing was changed")
    target = data / FILE_NAME
    if not {"meta", "migrations", "decisions"} <= {table.name for table in before.tables}:
        raise StoreError(f"{backup}: is a DuckDB file but not a store of plugwarden's; nothing was changed")
    old = [file for file in [target, *logs_of(target)] if file.exists()]
    if old and not force:
        raise StoreError(f"{target}: there is a store already; --force moves it aside and restores")
    make_folder(data)
    tighten(data, old)
    draft = target.with_name(target.name + RESTORING)
    progress("copying")
    try:
        draft.unlink(missing_ok=True)
        os.close(create(draft))
        shutil.copyfile(backup, draft)
        sync(draft)
        aside = _move_aside(target, old, at) if old else None
        draft.replace(target)
        sync(data)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StoreError(f"{data}: {error.strerror}; the store that was there is still there, or beside it") from error
    renew(data, at, "restored", f"from {backup.name}", actor, {"head": before.head, "rows": sum_rows(before)})
    progress(f"reading {target}")
    after = verify(target, progress)
    _same(before, after)
    return after, aside


def sum_rows(report: Report) -> int:
    """Rows in all tables together."""
    return sum(table.rows for table in report.tables)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's entries, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _move_aside(target: Path, old: list[Path], at: datetime) -> Path:
    if target.exists():
        with owned(target):
            pass  # nobody has it open: that is all that is asked
    aside = target.parent / f"replaced-{at:%Y%m%dT%H%M%S}"
    aside.mkdir(mode=0o700)
    for file in old:  # the file first: without its log it would look whole, its log without it is refused
        file.rename(aside / file.name)
    return aside


def _same(before: Report, after: Report) -> None:
    """Every row of the backup must be in the store; a new schema may lay tables out anew, so only like tables compare."""
    if not after.intact:
        raise StoreError(f"{after.path}: what was restored is not whole; the disk may be failing")
    if after.decisions != before.decisions + 1:
        raise StoreError(f"{after.path}: holds {after.decisions} decisions instead of {before.decisions + 1}")
    restored = {table.name: table for table in after.tables}
    migrated = {table.name: table.rows for table in before.tables}.get("migrations") != restored["migrations"].rows
    for table in before.tables:
        if table.name in RENEWED or migrated:
            continue
        found = restored.get(table.name)
        if found is None or (found.rows, found.fingerprint) != (table.rows, table.fingerprint):
            raise StoreError(f"{after.path}: table {table.name} is not the one of the backup; the disk may be failing")
