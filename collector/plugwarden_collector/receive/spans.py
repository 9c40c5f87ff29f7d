"""Trace export requests to rows of `spans`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .attributes import AttributeColumn
from .decode import MAX_NS, Batch, Signal, flatten, hot_columns, ids, optional_ids, timestamps

__all__ = ["read_spans"]


def read_spans(request: pa.RecordBatch) -> Batch:
    """Rows of spans; those without valid ids are refused one by one, not with their batch."""
    spans, origin = flatten(request, "resource_spans", "scope_spans", "spans")
    total = len(spans)
    trace, span = pc.struct_field(spans, "trace_id"), pc.struct_field(spans, "span_id")
    valid = pc.and_(pc.equal(pc.binary_length(trace), 16), pc.equal(pc.binary_length(span), 8))
    if not pc.all(valid).as_py() and total:
        rows = pc.indices_nonzero(valid)
        spans, origin = spans.take(rows), origin.take(rows)
    rejected = total - len(spans)
    tables: dict[str, pa.Table] = {}
    if len(spans):
        tables = {"incoming_spans": _table(spans, origin.columns()), "incoming_resources": origin.resources.table}
    reason = "trace_id must have 16 bytes and span_id 8" if rejected else ""
    size = sum(table.nbytes for table in tables.values())
    return Batch(Signal.TRACES, tables, len(spans), rejected, reason, size)


def _table(spans: pa.StructArray, origin: dict[str, pa.Array]) -> pa.Table:
    def field(name: str) -> pa.Array:
        return pc.struct_field(spans, name)

    trace = ids(field("trace_id"), 16)
    parent, orphan = optional_ids(field("parent_span_id"), 8)
    start = np.minimum(field("start_time_unix_nano").to_numpy(zero_copy_only=False), np.uint64(MAX_NS))
    end = np.minimum(field("end_time_unix_nano").to_numpy(zero_copy_only=False), np.uint64(MAX_NS))
    status = field("status")
    columns = {
        "trace_hi": pa.array(trace[:, 0]),
        "trace_lo": pa.array(trace[:, 1]),
        "span_id": pa.array(ids(field("span_id"), 8)[:, 0]),
        "parent_span_id": pa.array(parent[:, 0], mask=orphan),
        "name": field("name"),
        "kind": field("kind").cast(pa.int8(), safe=False),
        "started_at": timestamps(field("start_time_unix_nano")),
        # A clock that was set back during the span must not make it negative.
        "duration_ns": pa.array(np.maximum(end.astype(np.int64) - start.astype(np.int64), 0)),
        "status_code": pc.struct_field(status, "code").fill_null(0).cast(pa.int8(), safe=False),
        "status_message": pc.struct_field(status, "message").fill_null(""),
        **origin,
        **hot_columns(AttributeColumn(field("attributes"))),
        "events": _events(field("events")),
        "links": _links(field("links")),
    }
    return pa.table(columns)


def _events(lists: pa.ListArray) -> pa.Array:
    events = lists.flatten()
    rows = pa.StructArray.from_arrays(
        [
            timestamps(pc.struct_field(events, "time_unix_nano")),
            pc.struct_field(events, "name"),
            AttributeColumn(pc.struct_field(events, "attributes")).rest(),
        ],
        ["time", "name", "attributes"],
    )
    return pa.ListArray.from_arrays(_offsets(lists), rows)


def _links(lists: pa.ListArray) -> pa.Array:
    links = lists.flatten()
    rows = pa.StructArray.from_arrays(
        [
            # Links are rare and few; their ids are only ever shown, so they are kept as text.
            pa.array([value.hex() for value in pc.struct_field(links, "trace_id").to_pylist()], pa.string()),
            pa.array([value.hex() for value in pc.struct_field(links, "span_id").to_pylist()], pa.string()),
            AttributeColumn(pc.struct_field(links, "attributes")).rest(),
        ],
        ["trace_id", "span_id", "attributes"],
    )
    return pa.ListArray.from_arrays(_offsets(lists), rows)


def _offsets(lists: pa.ListArray) -> pa.Array:
    offsets = lists.offsets.to_numpy()
    return pa.array(offsets - (offsets[0] if len(offsets) else 0), pa.int32())
