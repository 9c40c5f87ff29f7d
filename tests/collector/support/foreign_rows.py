"""Points as `foreign_points` gives them, made from rows for the tests of what they count as."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pyarrow as pa
from plugwarden_collector.store.duckdb.calls.other_histograms import KEYS

AT = datetime(2026, 11, 20, 12, 0, 30)

SCHEMA = pa.schema(
    [
        ("series", pa.uint64()), ("sender", pa.uint64()), *((key, pa.string()) for key in KEYS), ("kind", pa.string()),
        ("temporality", pa.int8()), ("unit", pa.string()), ("started_at", pa.timestamp("us")), ("time", pa.timestamp("us")),
        ("count", pa.uint64()), ("sum", pa.float64()), ("max", pa.float64()), ("zero_count", pa.uint64()), ("scale", pa.int8()),
        ("bucket_index", pa.list_(pa.int32())), ("bucket_count", pa.list_(pa.uint64())),
        ("explicit_bounds", pa.list_(pa.float64())), ("batch", pa.uint64()),
    ]
)  # fmt: skip
PLAIN: dict[str, Any] = {
    "series": 1, "sender": 1, **dict.fromkeys(KEYS, ""), "service_name": "web", "instance_id": "localhost", "plugin_id": "csv",
    "outcome": "success", "kind": "histogram", "temporality": 2, "unit": "s", "started_at": AT, "time": AT, "count": 0, "sum": 0.0,
    "max": 0.0, "zero_count": 0, "scale": None, "bucket_index": [], "bucket_count": [], "explicit_bounds": [], "batch": 1,
}  # fmt: skip


def table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """In the order that the statement gives."""
    made = [{**PLAIN, **row} for row in rows]
    return pa.Table.from_pylist(sorted(made, key=lambda row: (row["series"], row["time"])), SCHEMA)
