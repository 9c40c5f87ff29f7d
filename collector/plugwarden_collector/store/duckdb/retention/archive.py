"""Parquet files of what retention lets go: `<folder>/<view>/day=YYYY-MM-DD/<first>-<last>.parquet`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from plugwarden_collector.private import close_own, create, make_folder
from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.statements import statement

__all__ = ["archive_slice"]

ROWS_AT_A_TIME = 65_536
TIMES = {
    "spans": "started_at",
    "logs": "time",
    "metric_points": "time",
    "call_minutes": "bucket_start",
    "call_hours": "bucket_start",
    "alert_events": "time",
    "notifications": "time",
    "changes": "time",
}
"""View -> its column of time."""


def archive_slice(database: Database, folder: Path, view: str, before: datetime, batch: int | None) -> int:
    """Write all rows of a view from before a moment (and of commits up to `batch`), a file a day; return how many.

    A file appears under its name only when it is complete and on disk. A kill between archive and deletion leaves the rows in
    both places, and they are archived once more: never lost, at worst twice (the ids tell).
    """
    parameters = {"before": before} if batch is None else {"before": before, "batch": batch}
    rows = 0
    # Not at the top: whoever imports the store would load it, and so would each process of a reader, which archives nothing.
    import pyarrow.parquet as pq

    writers: dict[date, tuple[Path, pq.ParquetWriter]] = {}
    settled: list[Path] = []
    try:
        with database.reading() as cursor:
            reader = cursor.sql(statement(f"archive_{view}").sql, params=parameters).to_arrow_reader(ROWS_AT_A_TIME)
            for chunk in reader:
                for day, part in _by_day(chunk, TIMES[view]):
                    if day not in writers:
                        target = folder / view / f"day={day.isoformat()}"
                        make_folder(target)
                        close_own(target.parent)
                        path = target / f"until-{before:%Y%m%dT%H%M%S}.parquet"
                        os.close(create(path.with_suffix(".part"), os.O_WRONLY | os.O_TRUNC))
                        writers[day] = (
                            path,
                            pq.ParquetWriter(path.with_suffix(".part"), reader.schema, compression="zstd"),
                        )
                    writers[day][1].write_batch(part)
                    rows += len(part)
        for _, writer in writers.values():
            writer.close()  # all of them, before one has its name: a full disk must not leave some of the days there
        for path, _ in writers.values():
            settled.append(_settle(path))
    except BaseException:
        for path, writer in writers.values():
            writer.close()
            path.with_suffix(".part").unlink(missing_ok=True)
        for path in settled:  # all of it is written again the next time
            path.unlink(missing_ok=True)
        raise
    return rows


def _by_day(chunk: pa.RecordBatch, column: str) -> Iterator[tuple[date, pa.RecordBatch]]:
    days = pc.cast(chunk.column(column), pa.date32(), safe=False)
    for day in pc.unique(days).to_pylist():
        yield day, chunk.filter(pc.equal(days, pa.scalar(day, pa.date32())))


def _settle(path: Path) -> Path:
    part = path.with_suffix(".part")
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    target, number = path, 0
    while target.exists():  # late rows of a slice that was archived before
        number += 1
        target = path.with_stem(f"{path.stem}-{number}")
    part.rename(target)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return target
