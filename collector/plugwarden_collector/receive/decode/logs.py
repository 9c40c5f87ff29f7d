"""Log export requests to rows of `logs`."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .attributes import AttributeColumn, text_of
from .batch import Batch, Signal
from .identity import Identity
from .ids import optional_ids
from .instants import settle, to_timestamps
from .left_out import refuse
from .origin import flatten

__all__ = ["read_logs"]


def read_logs(request: pa.RecordBatch, identity: Identity, now_ns: int) -> Batch:
    """Rows of log records. A record without a time takes the time at which it was observed."""
    records, origin = flatten(request, "resource_logs", "scope_logs", "log_records", identity)
    times = settle(_time(records), now_ns)
    refused = refuse({"too old to be kept": times.too_old})
    if refused.count:
        records, origin = records.take(refused.kept), origin.take(refused.kept)
        times = settle(_time(records), now_ns)
    if not len(records):
        return Batch(Signal.LOGS, rejected=refused.count, reason=refused.reason)

    def field(name: str) -> pa.Array:
        return pc.struct_field(records, name)

    trace, no_trace = optional_ids(field("trace_id"), 16)
    span, no_span = optional_ids(field("span_id"), 8)
    columns: dict[str, Any] = {
        "time": to_timestamps(times.ns),
        "severity_number": field("severity_number").cast(pa.int16(), safe=False),
        "severity_text": field("severity_text"),
        "body": text_of(field("body")).fill_null(""),
        "event_name": field("event_name"),
        "trace_hi": pa.array(trace[:, 0], mask=no_trace),
        "trace_lo": pa.array(trace[:, 1], mask=no_trace),
        "span_id": pa.array(span[:, 0], mask=no_span),
        **origin.columns(AttributeColumn(field("attributes"))),
        "received_at": pa.repeat(pa.scalar(now_ns // 1000, pa.timestamp("us")), len(records)),
        "clock_adjusted": pa.array(times.adjusted),
    }
    table = pa.table(columns)
    tables = {"incoming_resources": origin.resources.table, "incoming_logs": table}
    adjusted = int(times.adjusted.sum())
    return Batch(Signal.LOGS, tables, len(records), refused.count, refused.reason, adjusted, table.nbytes)


def _time(records: pa.StructArray) -> pa.Array:
    at = pc.struct_field(records, "time_unix_nano")
    return pc.if_else(pc.equal(at, pa.scalar(0, pa.uint64())), pc.struct_field(records, "observed_time_unix_nano"), at)
