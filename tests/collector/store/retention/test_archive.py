"""The archive: a round that fails keeps nothing from going and archives nothing twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from plugwarden_collector.store.duckdb.retention import archive
from plugwarden_collector.store.duckdb.retention.slices import Keep, RetentionStats, clean_up

from tests.collector.support.rolled_store import BEGIN, Store, call_each


def test_an_archive_that_fails_keeps_no_seconds_from_going(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.write_text("in the way")
    for days in range(0, 40, 10):
        call_each(store, ["a"], BEGIN + timedelta(days=days))
        at = BEGIN + timedelta(days=days, hours=3)
        store.roll(at)
        for _ in range(2):  # the mark moves in one round, the rows go in the next
            try:
                clean_up(store.database, store.writer, Keep(archive=folder), RetentionStats(), at)
            except OSError:
                pass
    assert store.database.cursor().execute("select count(*) from call_seconds").fetchall() == [(0,)]
    assert store.database.cursor().execute("select count(*) from span_rows").fetchall() == [(4,)]


def test_an_archive_that_fails_half_way_leaves_nothing_to_be_archived_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_each(store, ["a"])
    call_each(store, ["a"], BEGIN - timedelta(days=1))
    settle, times = archive._settle, list[Path]()

    def fail_at_second(path: Path) -> Path:
        times.append(path)
        if len(times) == 2:
            raise OSError(28, "No space left on device")
        return settle(path)

    monkeypatch.setattr(archive, "_settle", fail_at_second)
    before = BEGIN + timedelta(hours=1)
    with pytest.raises(OSError, match="No space"):
        archive.archive_slice(store.database, tmp_path / "kept", "spans", before, 99)
    assert [file for file in (tmp_path / "kept").rglob("*") if file.is_file()] == []
    assert archive.archive_slice(store.database, tmp_path / "kept", "spans", before, 99) == 2
    assert len([file for file in (tmp_path / "kept").rglob("*") if file.is_file()]) == 2
