"""Trace export requests to rows of `spans`, whatever they are like."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .attributes import AttributeColumn
from .batch import Batch, Signal
from .identity import Identity
from .ids import ids, optional_ids
from .instants import MAX_AGE_NS, settle, to_timestamps
from .left_out import refuse
from .origin import flatten

__all__ = ["MAX_DURATION_NS", "read_spans"]

MAX_DURATION_NS = 30 * 86_400 * 10**9
"""No call lasts a month: beyond, one of the two clocks was wrong."""
_EVENT = pa.struct([("time", pa.timestamp("us")), ("name", pa.string()), ("attributes", pa.string())])
_LINK = pa.struct([("trace_id", pa.string()), ("span_id", pa.string()), ("attributes", pa.string())])


def read_spans(request: pa.RecordBatch, identity: Identity, now_ns: int) -> Batch:
    """Rows of spans; those that cannot be stored are refused one by one, not with their batch."""
    spans, origin = flatten(request, "resource_spans", "scope_spans", "spans", identity)
    started = settle(_start(spans, now_ns), now_ns)
    trace, span = pc.struct_field(spans, "trace_id"), pc.struct_field(spans, "span_id")
    odd_ids = ~pc.and_(pc.equal(pc.binary_length(trace), 16), pc.equal(pc.binary_length(span), 8)).to_numpy(False)
    refused = refuse(
        {
            "trace_id must have 16 bytes and span_id 8": odd_ids,
            "trace_id must not be all zeros": _zeros(trace, 16),
            "span_id must not be all zeros": _zeros(span, 8),
            "too old to be kept": started.too_old,
        }
    )
    if refused.count:
        spans, origin = spans.take(refused.kept), origin.take(refused.kept)
        started = settle(_start(spans, now_ns), now_ns)
    if not len(spans):
        return Batch(Signal.TRACES, rejected=refused.count, reason=refused.reason)

    def field(name: str) -> pa.Array:
        return pc.struct_field(spans, name)

    ids_of_traces = ids(field("trace_id"), 16)
    parent, orphan = optional_ids(field("parent_span_id"), 8)
    status = field("status")
    given, end = (field(f"{edge}_time_unix_nano").to_numpy(zero_copy_only=False) for edge in ("start", "end"))
    # A clock that was set back during the span must not make it negative; without a start it has no length.
    duration = np.where((end > given) & (given != 0), end - given, np.uint64(0))
    odd = started.adjusted | (given == 0) | (end < given) | (duration > np.uint64(MAX_DURATION_NS))
    dropped = sum(
        field(f"dropped_{what}_count").to_numpy(zero_copy_only=False).astype(np.uint64)
        for what in ("attributes", "events", "links")
    )
    table = pa.table(
        {
            "trace_hi": pa.array(ids_of_traces[:, 0]),
            "trace_lo": pa.array(ids_of_traces[:, 1]),
            "span_id": pa.array(ids(field("span_id"), 8)[:, 0]),
            "parent_span_id": pa.array(parent[:, 0], mask=orphan),
            "name": field("name"),
            "kind": field("kind").cast(pa.int8(), safe=False),
            "status_code": pc.struct_field(status, "code").fill_null(0).cast(pa.int8(), safe=False),
            "status_message": pc.struct_field(status, "message").fill_null(""),
            "trace_state": pc.if_else(pc.equal(field("trace_state"), ""), None, field("trace_state")),
            "started_at": to_timestamps(started.ns),
            "duration_ns": pa.array(np.minimum(duration, np.uint64(MAX_DURATION_NS)).astype(np.int64)),
            **origin.columns(AttributeColumn(field("attributes"))),
            "events": _events(field("events"), now_ns),
            "links": _links(field("links")),
            "dropped": pa.array(dropped).cast(pa.uint32(), safe=False),
            "received_at": pa.repeat(pa.scalar(now_ns // 1000, pa.timestamp("us")), len(odd)),
            "clock_adjusted": pa.array(odd),
        }
    )
    tables = {"incoming_resources": origin.resources.table, "incoming_spans": table}
    adjusted = int(odd.sum())
    return Batch(Signal.TRACES, tables, len(odd), refused.count, refused.reason, adjusted, table.nbytes)


def _start(spans: pa.StructArray, now_ns: int) -> pa.Array:
    """When each began. Of one that does not say so (0 is OTLP's word for missing) all that is known is when it was over, if
    that can be meant."""
    given, end = (pc.struct_field(spans, f"{edge}_time_unix_nano") for edge in ("start", "end"))
    missing = pa.scalar(0, pa.uint64())
    oldest = pa.scalar(max(0, now_ns - MAX_AGE_NS), pa.uint64())
    return pc.if_else(pc.equal(given, missing), pc.if_else(pc.less(end, oldest), missing, end), given)


def _zeros(column: pa.Array, width: int) -> Any:
    """Ids that are invalid though they have the right length (trace.proto: "An ID with all zeroes ... is invalid")."""
    return pc.equal(column, pa.scalar(bytes(width), column.type)).to_numpy(zero_copy_only=False)


def _lists(offsets: pa.Array, kind: pa.StructType, columns: Any) -> pa.Array:
    """Lists of structs; null throughout, which costs nothing to store, where there are none."""
    if not offsets[-1].as_py():
        return pa.nulls(len(offsets) - 1, pa.list_(kind))
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(columns(), fields=list(kind)))


def _events(lists: pa.ListArray, now_ns: int) -> pa.Array:
    events = lists.flatten()
    return _lists(
        _offsets(lists),
        _EVENT,
        lambda: [
            to_timestamps(settle(pc.struct_field(events, "time_unix_nano"), now_ns).ns),
            pc.struct_field(events, "name"),
            AttributeColumn(pc.struct_field(events, "attributes")).rest(),
        ],
    )


def _links(lists: pa.ListArray) -> pa.Array:
    links = lists.flatten()

    def hex_ids(name: str) -> pa.Array:
        # Links are rare and few; their ids are only ever shown, so they are kept as text.
        return pa.array([value.hex() for value in pc.struct_field(links, name).to_pylist()], pa.string())

    return _lists(
        _offsets(lists),
        _LINK,
        lambda: [
            hex_ids("trace_id"), hex_ids("span_id"), AttributeColumn(pc.struct_field(links, "attributes")).rest(),
        ],
    )  # fmt: skip


def _offsets(lists: pa.ListArray) -> pa.Array:
    offsets = lists.offsets.to_numpy()
    return pa.array(offsets - (offsets[0] if len(offsets) else 0), pa.int32())
