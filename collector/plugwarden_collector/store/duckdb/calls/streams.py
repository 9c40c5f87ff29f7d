"""Where cumulative streams stand, as stored: read for the points that come, and no more kept of a series than are told apart."""

from __future__ import annotations

from datetime import datetime

import duckdb
import numpy as np
import pyarrow as pa

from plugwarden_collector.store.duckdb.handed import handed
from plugwarden_collector.store.duckdb.statements import statement

from .buckets import Buckets
from .other_histograms import CUMULATIVE, MAX_STREAMS, Level, Streams

__all__ = ["MAX_SERVICES_NOTED", "load_streams", "store_streams"]

MAX_SERVICES_NOTED = 1_000

Connection = duckdb.DuckDBPyConnection

_TIME = pa.timestamp("us")


def load_streams(connection: Connection, points: pa.Table) -> Streams:
    """What is known of the streams that points (rows of `foreign_points`) may belong to. The caller holds the transaction."""
    cumulative = points.filter(pa.array(points["temporality"].to_numpy() == CUMULATIVE))
    found = Streams()
    if not len(cumulative):
        return found
    with handed(connection, wanted_streams=cumulative.select(["series", "sender", "started_at"])):
        for row in connection.execute(statement("series_heard").sql).fetchall():
            found.heard[row[0]] = row[1]
            if row[2] >= MAX_STREAMS:
                found.full |= {row[0]}
        for sender, start, heard in connection.execute(statement("senders_heard").sql).fetchall():
            found.senders[sender, start] = heard
        stored = connection.sql(statement("load_streams").sql).to_arrow_table()
    names = ("series", "started_at", "sender", "heard_at", "time", "count", "sum")
    columns = [stored[name].cast(pa.int64()) if stored[name].type == _TIME else stored[name] for name in names]
    places, counts = (_values(stored[name]) for name in ("bucket_index", "bucket_count"))
    ends = np.cumsum([0, *stored["bucket_index"].combine_chunks().value_lengths().to_pylist()])
    buckets = Buckets(ends, places, counts)
    for at, (series, start, *rest) in enumerate(zip(*(column.to_pylist() for column in columns), strict=True)):
        found.levels[series, start] = Level(*rest, *buckets.of(at))  # type: ignore[call-arg]  # in this order
    return found


def store_streams(connection: Connection, streams: Streams, at: datetime) -> None:
    """Keep what moved, as far as it is told apart, and note who shares a start. The caller holds the transaction."""
    if streams.moved:
        keys, levels = list(streams.moved), list(streams.moved.values())
        index, counts = Buckets.of_lists([(level.places, level.counts) for level in levels]).lists()
        rows = pa.table(
            {
                "series": pa.array([series for series, _ in keys], pa.uint64()),
                "started_at": pa.array([start for _, start in keys], _TIME),
                "sender": pa.array([level.sender for level in levels], pa.uint64()),
                "heard_at": pa.array([level.heard_at for level in levels], _TIME),
                "time": pa.array([level.time for level in levels], _TIME),
                "count": pa.array([level.count for level in levels], pa.uint64()),
                "sum": pa.array([level.sum for level in levels], pa.float64()),
                "bucket_index": index,
                "bucket_count": counts,
            }
        )
        with handed(connection, staged_streams=rows):
            for name in ("store_streams", "trim_streams"):
                connection.execute(statement(name).sql, {"streams": MAX_STREAMS})
    if streams.shared:
        told = {"services": list(streams.shared), "points": list(streams.shared.values())}
        connection.execute(statement("note_shared_starts").sql, {**told, "at": at, "most": MAX_SERVICES_NOTED})


def _values(lists: pa.ChunkedArray) -> np.ndarray:
    found: np.ndarray = lists.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    return found
