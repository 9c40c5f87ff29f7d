"""Trace export requests to rows of `spans`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .attributes import AttributeColumn
from .batch import Batch, Signal
from .identity import Identity
from .ids import ids, optional_ids
from .instants import Instants, settle, to_timestamps
from .origin import Origin, flatten
from .refusal import refuse

__all__ = ["read_spans"]

MAX_DURATION_NS = 30 * 86_400 * 10**9
"""No call lasts a month: beyond, one of the two clocks was wrong."""
_EVENT = pa.struct([("time", pa.timestamp("us")), ("name", pa.string()), ("attributes", pa.string())])
_LINK = pa.struct([("trace_id", pa.string()), ("span_id", pa.string()), ("attributes", pa.string())])


def read_spans(request: pa.RecordBatch, identity: Identity, now_ns: int) -> Batch:
    """Rows of spans; those that cannot be stored are refused one by one, not with their batch."""
    spans, origin = flatten(request, "resource_spans", "scope_spans", "spans", identity)
    started = settle(pc.struct_field(spans, "start_time_unix_nano"), now_ns)
    trace, span = pc.struct_field(spans, "trace_id"), pc.struct_field(spans, "span_id")
    odd_ids = ~pc.and_(pc.equal(pc.binary_length(trace), 16), pc.equal(pc.binary_length(span), 8)).to_numpy(False)
    refused = refuse({"trace_id must have 16 bytes and span_id 8": odd_ids, "too old to be kept": started.too_old})
    if refused.count:
        spans, origin = spans.take(refused.kept), origin.take(refused.kept)
        started = settle(pc.struct_field(spans, "start_time_unix_nano"), now_ns)
    if not len(spans):
        return Batch(Signal.TRACES, rejected=refused.count, reason=refused.reason)
    table, adjusted = _table(spans, origin, started, now_ns)
    tables = {"incoming_resources": origin.resources.table, "incoming_spans": table}
    return Batch(Signal.TRACES, tables, len(spans), refused.count, refused.reason, adjusted, table.nbytes)


def _table(spans: pa.StructArray, origin: Origin, started: Instants, now_ns: int) -> tuple[pa.Table, int]:
    def field(name: str) -> pa.Array:
        return pc.struct_field(spans, name)

    trace = ids(field("trace_id"), 16)
    parent, orphan = optional_ids(field("parent_span_id"), 8)
    start = field("start_time_unix_nano").to_numpy(zero_copy_only=False)
    end = field("end_time_unix_nano").to_numpy(zero_copy_only=False)
    # A clock that was set back during the span must not make it negative.
    duration = np.where(end > start, end - start, np.uint64(0))
    odd = started.adjusted | (duration > np.uint64(MAX_DURATION_NS))
    duration = np.minimum(duration, np.uint64(MAX_DURATION_NS)).astype(np.int64)
    status = field("status")
    columns: dict[str, Any] = {
        "trace_hi": pa.array(trace[:, 0]),
        "trace_lo": pa.array(trace[:, 1]),
        "span_id": pa.array(ids(field("span_id"), 8)[:, 0]),
        "parent_span_id": pa.array(parent[:, 0], mask=orphan),
        "name": field("name"),
        "kind": field("kind").cast(pa.int8(), safe=False),
        "started_at": to_timestamps(started.ns),
        "duration_ns": pa.array(duration),
        "status_code": pc.struct_field(status, "code").fill_null(0).cast(pa.int8(), safe=False),
        "status_message": pc.struct_field(status, "message").fill_null(""),
        "trace_state": _or_null(field("trace_state")),
        **origin.columns(AttributeColumn(field("attributes"))),
        "events": _events(field("events"), now_ns),
        "links": _links(field("links")),
        "dropped": pa.array(
            sum(
                field(name).to_numpy(zero_copy_only=False).astype(np.uint64)
                for name in ("dropped_attributes_count", "dropped_events_count", "dropped_links_count")
            )
        ).cast(pa.uint32(), safe=False),
        "received_at": pa.repeat(pa.scalar(now_ns // 1000, pa.timestamp("us")), len(spans)),
        "clock_adjusted": pa.array(odd),
    }
    return pa.table(columns), int(odd.sum())


def _or_null(texts: pa.Array) -> pa.Array:
    """Empty strings as nulls, which cost nothing to store."""
    if not len(texts) or pc.max(pc.binary_length(texts)).as_py() == 0:
        return pa.nulls(len(texts), pa.string())
    return pc.if_else(pc.equal(texts, ""), None, texts)


def _events(lists: pa.ListArray, now_ns: int) -> pa.Array:
    events = lists.flatten()
    if not len(events):
        return pa.nulls(len(lists), pa.list_(_EVENT))
    times = to_timestamps(settle(pc.struct_field(events, "time_unix_nano"), now_ns).ns)
    attributes = AttributeColumn(pc.struct_field(events, "attributes")).rest()
    rows = pa.StructArray.from_arrays([times, pc.struct_field(events, "name"), attributes], fields=list(_EVENT))
    return pa.ListArray.from_arrays(_offsets(lists), rows)


def _links(lists: pa.ListArray) -> pa.Array:
    links = lists.flatten()
    if not len(links):
        return pa.nulls(len(lists), pa.list_(_LINK))
    # Links are rare and few; their ids are only ever shown, so they are kept as text.
    named = [
        pa.array([value.hex() for value in pc.struct_field(links, name).to_pylist()], pa.string())
        for name in ("trace_id", "span_id")
    ]
    attributes = AttributeColumn(pc.struct_field(links, "attributes")).rest()
    rows = pa.StructArray.from_arrays([*named, attributes], fields=list(_LINK))
    return pa.ListArray.from_arrays(_offsets(lists), rows)


def _offsets(lists: pa.ListArray) -> pa.Array:
    offsets = lists.offsets.to_numpy()
    return pa.array(offsets - (offsets[0] if len(offsets) else 0), pa.int32())
