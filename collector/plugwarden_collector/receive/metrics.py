"""Metric export requests to rows of `metric_points`, all five kinds in one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from plugwarden.contract.histogram import SCALE

from .attributes import AttributeColumn
from .batch import Batch, Signal
from .identity import Identity
from .ids import optional_ids
from .instants import settle, to_timestamps
from .origin import Origin, flatten
from .refusal import refuse

__all__ = ["read_metrics"]

_KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_INT_LIST, _COUNT_LIST, _BOUND_LIST = pa.list_(pa.int32()), pa.list_(pa.uint64()), pa.list_(pa.float64())


def read_metrics(request: pa.RecordBatch, identity: Identity, now_ns: int) -> Batch:
    """Rows of points. Exponential buckets become sparse (index, count) pairs at the contract's scale or coarser."""
    found, origin = flatten(request, "resource_metrics", "scope_metrics", "metrics", identity)
    tables: list[pa.Table] = []
    rejected, reasons = 0, set()
    for kind in _KINDS:
        data = pc.struct_field(found, kind)
        lists = pc.struct_field(data, "data_points")
        points = lists.flatten()
        if not len(points):
            continue
        metric = pc.list_parent_indices(lists)
        refused = refuse(_faults(kind, points, now_ns))
        if refused.count:
            rejected += refused.count
            reasons.add(refused.reason)
            points, metric = points.take(refused.kept), metric.take(refused.kept)
            if not len(points):
                continue
        # Leaf fields only: taking whole metrics would copy all their points once per point.
        named = {name: pc.struct_field(found, name).take(metric) for name in ("name", "unit")}
        temporality = pa.nulls(len(points), pa.int8())
        if "aggregation_temporality" in {item.name for item in data.type}:
            temporality = pc.struct_field(data, "aggregation_temporality").take(metric).cast(pa.int8(), safe=False)
        tables.append(_table(kind, points, named, temporality, origin.take(metric), now_ns))
    reason = "; ".join(sorted(reasons))
    if not tables:
        return Batch(Signal.METRICS, rejected=rejected, reason=reason)
    table = pa.concat_tables(tables)
    staged = {"incoming_resources": origin.resources.table, "incoming_points": table}
    adjusted = pc.sum(table["clock_adjusted"]).as_py() or 0
    return Batch(Signal.METRICS, staged, len(table), rejected, reason, adjusted, table.nbytes)


def _faults(kind: str, points: pa.StructArray, now_ns: int) -> dict[str, Any]:
    """Why points cannot be stored: a mask per reason."""
    faults = {"too old to be kept": settle(pc.struct_field(points, "time_unix_nano"), now_ns).too_old}
    if kind == "histogram":
        counts = pc.list_value_length(pc.struct_field(points, "bucket_counts")).to_numpy(zero_copy_only=False)
        bounds = pc.list_value_length(pc.struct_field(points, "explicit_bounds")).to_numpy(zero_copy_only=False)
        # Both may be empty (metrics.proto, HistogramDataPoint); else there is one bucket more than there are bounds.
        faults["bucket_counts must have one entry more than explicit_bounds"] = (counts != bounds + 1) & (counts != 0)
    return faults


def _table(
    kind: str,
    points: pa.StructArray,
    named: dict[str, pa.Array],
    temporality: pa.Array,
    origin: Origin,
    now_ns: int,
) -> pa.Table:
    rows = len(points)
    names = {field.name for field in points.type}

    def field(name: str, default: pa.Array) -> pa.Array:
        return pc.struct_field(points, name) if name in names else default

    nothing = pa.nulls(rows, pa.float64())
    value = nothing
    if "as_double" in names:
        value = pc.coalesce(field("as_double", nothing), field("as_int", nothing).cast(pa.float64(), safe=False))
    indexes, counts, scale = _BUCKETS.get(kind, _no_buckets)(points)
    bounds = field("explicit_bounds", pa.nulls(rows, _BOUND_LIST))
    times = settle(field("time_unix_nano", nothing), now_ns)
    given_start = field("start_time_unix_nano", nothing).to_numpy(zero_copy_only=False)
    # A point without a start, or with one after its end, is about a moment.
    begun = np.where(
        (given_start == 0) | (given_start > times.ns.astype(np.uint64)), times.ns, given_start.astype(np.int64)
    )
    columns: dict[str, Any] = {
        "metric": named["name"],
        "unit": named["unit"],
        "kind": pa.array([kind] * rows, pa.string()),
        "temporality": temporality,
        "started_at": to_timestamps(begun),
        "time": to_timestamps(times.ns),
        "value": value,
        "count": field("count", pa.nulls(rows, pa.uint64())),
        "sum": field("sum", nothing),
        "min": field("min", nothing),
        "max": field("max", nothing),
        "zero_count": field("zero_count", pa.nulls(rows, pa.uint64())),
        "scale": scale,
        "bucket_index": indexes,
        "bucket_count": counts,
        "explicit_bounds": bounds.cast(_BOUND_LIST),
        **_exemplars(field("exemplars", None), rows),
        **origin.columns(AttributeColumn(pc.struct_field(points, "attributes"))),
        "received_at": pa.repeat(pa.scalar(now_ns // 1000, pa.timestamp("us")), rows),
        "clock_adjusted": pa.array(times.adjusted),
    }
    return pa.table(columns)


def _exponential(points: pa.StructArray) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Dense (offset, counts[]) to sparse (index, count); finer scales are brought down to the contract's.

    Going down by d steps maps index i to i >> d (metrics data model, "scale adjustment").
    """
    positive = pc.struct_field(points, "positive")
    lists = pc.struct_field(positive, "bucket_counts")
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = lists.flatten().to_numpy(zero_copy_only=False)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.repeat(np.arange(len(points)), lengths)
    offset = pc.struct_field(positive, "offset").fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    scale = pc.struct_field(points, "scale").to_numpy(zero_copy_only=False).astype(np.int64)
    shift = np.maximum(scale - SCALE, 0)
    index = (np.arange(len(values)) - starts[rows] + offset[rows]) >> np.minimum(shift[rows], 62)
    filled = values > 0
    index, rows, values = index[filled], rows[filled], values[filled]
    # Equal (row, index) pairs stand next to each other, since the order within a row is kept.
    first = np.ones(len(index), dtype=bool)
    first[1:] = (index[1:] != index[:-1]) | (rows[1:] != rows[:-1])
    positions = np.flatnonzero(first)
    counts = np.add.reduceat(values, positions) if len(positions) else values
    offsets = np.searchsorted(rows[positions], np.arange(len(points) + 1)).astype(np.int32)
    index = np.clip(index[positions], -(2**31), 2**31 - 1).astype(np.int32)
    return (
        pa.ListArray.from_arrays(pa.array(offsets), pa.array(index)),
        pa.ListArray.from_arrays(pa.array(offsets), pa.array(counts.astype(np.uint64))),
        pa.array(np.minimum(scale, SCALE).astype(np.int8)),
    )


def _explicit(points: pa.StructArray) -> tuple[pa.Array, pa.Array, pa.Array]:
    rows = len(points)
    counts = pc.struct_field(points, "bucket_counts").cast(_COUNT_LIST)
    return pa.nulls(rows, _INT_LIST), counts, pa.nulls(rows, pa.int8())


def _no_buckets(points: pa.StructArray) -> tuple[pa.Array, pa.Array, pa.Array]:
    rows = len(points)
    return pa.nulls(rows, _INT_LIST), pa.nulls(rows, _COUNT_LIST), pa.nulls(rows, pa.int8())


_BUCKETS: dict[str, Callable[[pa.StructArray], tuple[pa.Array, pa.Array, pa.Array]]] = {
    "exponential_histogram": _exponential,
    "histogram": _explicit,
}


def _exemplars(lists: pa.ListArray | None, rows: int) -> dict[str, pa.Array]:
    """The first exemplar's trace and value of each point: one is enough for a jump from chart to trace."""
    trace = np.zeros((rows, 2), dtype=np.uint64)
    missing = np.ones(rows, dtype=bool)
    value = np.zeros(rows)
    if lists is not None and len(lists.flatten()):
        exemplars = lists.flatten()
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        owners = np.flatnonzero(lengths)
        firsts = pa.array(np.concatenate([[0], np.cumsum(lengths)])[:-1][owners])
        chosen = exemplars.take(firsts)
        found, absent = optional_ids(pc.struct_field(chosen, "trace_id"), 16)
        trace[owners] = found
        missing[owners] = absent
        seen = pc.coalesce(
            pc.struct_field(chosen, "as_double"), pc.struct_field(chosen, "as_int").cast(pa.float64(), safe=False)
        )
        value[owners] = seen.fill_null(0.0).to_numpy(zero_copy_only=False)
    return {
        "exemplar_trace_hi": pa.array(trace[:, 0], mask=missing),
        "exemplar_trace_lo": pa.array(trace[:, 1], mask=missing),
        "exemplar_value": pa.array(value, mask=missing),
    }
