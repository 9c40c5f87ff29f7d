"""Log export requests to rows of `logs`."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from .attributes import AttributeColumn
from .decode import Batch, Signal, body_text, flatten, hot_columns, optional_ids, timestamps

__all__ = ["read_logs"]


def read_logs(request: pa.RecordBatch) -> Batch:
    """Rows of log records. A record without a time takes the time at which it was observed."""
    records, origin = flatten(request, "resource_logs", "scope_logs", "log_records")
    if not len(records):
        return Batch(Signal.LOGS)

    def field(name: str) -> pa.Array:
        return pc.struct_field(records, name)

    at = field("time_unix_nano")
    at = pc.if_else(pc.equal(at, 0), field("observed_time_unix_nano"), at)
    trace, no_trace = optional_ids(field("trace_id"), 16)
    span, no_span = optional_ids(field("span_id"), 8)
    table = pa.table(
        {
            "time": timestamps(at),
            "severity_number": field("severity_number").cast(pa.int16(), safe=False),
            "severity_text": field("severity_text"),
            "body": body_text(field("body")).fill_null(""),
            "event_name": field("event_name"),
            "trace_hi": pa.array(trace[:, 0], mask=no_trace),
            "trace_lo": pa.array(trace[:, 1], mask=no_trace),
            "span_id": pa.array(span[:, 0], mask=no_span),
            **origin.columns(),
            **hot_columns(AttributeColumn(field("attributes"))),
        }
    )
    tables = {"incoming_logs": table, "incoming_resources": origin.resources.table}
    return Batch(Signal.LOGS, tables, len(records), 0, "", table.nbytes)
