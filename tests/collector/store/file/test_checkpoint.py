"""A checkpoint that waits for readers keeps the writer for a moment, and not for as long as a reader likes."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.file import checkpoint


def test_a_reader_that_holds_an_old_state_ends_a_forced_checkpoint_and_not_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "FORCE_LOG_BYTES", 1)
    database = Database(tmp_path)
    writer, reader = database.cursor(), database.cursor()
    writer.execute("create table numbers as select range as number from range(100000)")
    reader.execute("begin transaction read only")
    reader.execute("select count(*) from numbers").fetchall()
    writer.execute("update numbers set number = number + 1 where number < 10")
    hold = database.checkpoints
    assert hold.checkpoint(writer, threshold_bytes=1) is False  # it came back, though the reader reads on
    assert hold.stats.put_off == 1
    writer.execute("insert into numbers values (1)")  # and the writer's next statement is not interrupted
    assert reader.execute("select count(*) from numbers").fetchall() == [(100000,)]
    reader.close()
    size = hold.log_bytes()
    while hold.log_bytes() < size * 1.2:  # before that it is not tried again
        writer.execute("insert into numbers select range from range(2000)")
    assert hold.checkpoint(writer, threshold_bytes=1) is True
    database.close()
