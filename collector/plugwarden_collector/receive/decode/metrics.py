"""Metric export requests to rows of `metric_points`, all five kinds in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from plugwarden.contract.histogram import SCALE

from plugwarden_collector.errors import PayloadTooLargeError

from .attributes import AttributeColumn
from .batch import Batch, Signal
from .identity import Identity
from .ids import optional_ids
from .instants import settle, to_timestamps
from .left_out import refuse
from .numbers import Codes, Measures, faults, masks
from .origin import MAX_LEAVES, flatten

__all__ = ["read_many_metrics", "read_metrics"]

Numbers = np.ndarray[Any, np.dtype[np.int64]]

_KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_SHARED = ("start_time_unix_nano", "time_unix_nano", "attributes")
QUANTILES = ("quantile", "quantile_value")
_INT_LIST, _COUNT_LIST, _BOUND_LIST = pa.list_(pa.int32()), pa.list_(pa.uint64()), pa.list_(pa.float64())


def read_metrics(request: pa.RecordBatch, identity: Identity, now_ns: int) -> Batch:
    """Rows of points of one request."""
    return _read(request, identity, now_ns)[0]


def read_many_metrics(requests: pa.RecordBatch, identity: Identity, now_ns: int) -> list[Batch] | None:
    """The same of several requests, a row each; None when anything is to be refused: then each is read by itself."""
    whole, request_of_point, request_of_resource = _read(requests, identity, now_ns)
    if whole.rejected:
        return None
    if not whole.accepted:
        return [Batch(Signal.METRICS)] * len(requests)
    # Kinds were read one after the other; brought back into the order of requests, each is a run of rows.
    points = whole.tables["incoming_points"].take(pa.array(np.argsort(request_of_point, kind="stable")))
    ends = np.cumsum(np.bincount(request_of_point, minlength=len(requests)))
    resources = whole.tables["incoming_resources"]
    resource_ends = np.cumsum(np.bincount(request_of_resource, minlength=len(requests)))
    size = whole.nbytes / len(points)
    batches, start, first = [], 0, 0
    for end, last in zip(ends.tolist(), resource_ends.tolist(), strict=True):
        rows = points.slice(start, end - start)
        tables = {"incoming_resources": resources.slice(first, last - first), "incoming_points": rows}
        adjusted = pc.sum(rows["clock_adjusted"]).as_py() or 0
        batches.append(
            Batch(Signal.METRICS, tables if len(rows) else {}, len(rows), 0, "", adjusted, int(size * len(rows)))
        )
        start, first = end, last
    return batches


def _read(request: pa.RecordBatch, identity: Identity, now_ns: int) -> tuple[Batch, Numbers, Numbers]:
    """Rows of points, and which request each point and each resource came in.

    Exponential buckets become sparse (index, count) pairs at the contract's scale or coarser.

    What all kinds have in common is worked out for all of them at once: most requests are small, and each step costs the same
    for one point as for a hundred.
    """
    found, origin = flatten(request, "resource_metrics", "scope_metrics", "metrics", identity)
    measures = Measures.of(pc.struct_field(found, "name"), pc.struct_field(found, "unit"))
    kinds = [kind for kind in (_points(found, kind, measures) for kind in _KINDS) if kind is not None]
    request_of_resource = origin.request_of_group.to_numpy(zero_copy_only=False)
    if sum(len(kind.points) for kind in kinds) > MAX_LEAVES:
        raise PayloadTooLargeError(f"more than {MAX_LEAVES} points; send smaller batches")
    if not kinds:
        return Batch(Signal.METRICS), np.zeros(0, dtype=np.int64), request_of_resource
    metric = _together([kind.metric for kind in kinds])
    shared = {name: _together([pc.struct_field(kind.points, name) for kind in kinds]) for name in _SHARED}
    times = settle(shared["time_unix_nano"], now_ns)
    given_start = shared["start_time_unix_nano"].to_numpy(zero_copy_only=False)
    # A point without a start, or with one after its end, is about a moment.
    momentary = (given_start == 0) | (given_start > times.ns.astype(np.uint64))
    columns: dict[str, Any] = {
        # Leaf fields only: taking whole metrics would copy all their points once per point.
        "metric": pc.struct_field(found, "name").take(metric),
        "unit": pc.struct_field(found, "unit").take(metric),
        "kind": _together([pa.repeat(kind.name, len(kind.points)) for kind in kinds]),
        "started_at": to_timestamps(np.where(momentary, times.ns, given_start.astype(np.int64))),
        "time": to_timestamps(times.ns),
        **{name: _together([kind.columns[name] for kind in kinds]) for name in kinds[0].columns},
        **origin.take(metric).columns(AttributeColumn(shared["attributes"])),
        "received_at": pa.repeat(pa.scalar(now_ns // 1000, pa.timestamp("us")), len(metric)),
        "clock_adjusted": pa.array(times.adjusted),
    }
    if columns[QUANTILES[0]].null_count == len(metric):
        for name in QUANTILES:  # the database fills in what is not there, and hardly anybody sends summaries
            del columns[name]
    table, adjusted = pa.table(columns), int(times.adjusted.sum())
    codes = np.concatenate([kind.faults for kind in kinds])
    refused = refuse({"too old to be kept": times.too_old, **masks(codes)})
    if refused.count:
        table = table.take(refused.kept)
        adjusted = int(times.adjusted[refused.kept.to_numpy()].sum())
    request_of_point = request_of_resource[origin.group_of_leaf.take(metric).to_numpy(zero_copy_only=False)]
    if not len(table):
        refusal = Batch(Signal.METRICS, rejected=refused.count, reason=refused.reason)
        return refusal, request_of_point, request_of_resource
    staged = {"incoming_resources": origin.resources.table, "incoming_points": table}
    batch = Batch(Signal.METRICS, staged, len(table), refused.count, refused.reason, adjusted, table.nbytes)
    return batch, request_of_point, request_of_resource


@dataclass(frozen=True, slots=True)
class _Points:
    """The points of one kind."""

    name: str
    points: pa.StructArray
    metric: pa.Array
    """Which metric each belongs to."""
    columns: dict[str, pa.Array]
    """Columns of the points; null where their kind has no such thing."""
    faults: Codes
    """What is wrong with the numbers of each."""


def _points(metrics: pa.StructArray, kind: str, measures: Measures | None) -> _Points | None:
    data = pc.struct_field(metrics, kind)
    lists = pc.struct_field(data, "data_points")
    points = lists.flatten()
    rows = len(points)
    if not rows:
        return None
    if rows > MAX_LEAVES:
        raise PayloadTooLargeError(f"more than {MAX_LEAVES} points; send smaller batches")
    metric = pc.list_parent_indices(lists)
    names = {field.name for field in points.type}

    def field(name: str, default: pa.Array) -> pa.Array:
        return pc.struct_field(points, name) if name in names else default

    nothing = pa.nulls(rows, pa.float64())
    value = nothing
    if "as_double" in names:
        value = pc.coalesce(field("as_double", nothing), field("as_int", nothing).cast(pa.float64(), safe=False))
    temporality = pa.nulls(rows, pa.int8())
    if "aggregation_temporality" in {item.name for item in data.type}:
        temporality = pc.struct_field(data, "aggregation_temporality").take(metric).cast(pa.int8(), safe=False)
    wrong = faults(kind, points, temporality, metric, measures)
    indexes, counts, scale = _BUCKETS.get(kind, _no_buckets)(points)
    bounds = field("explicit_bounds", pa.nulls(rows, _BOUND_LIST)).cast(_BOUND_LIST)
    columns = {
        "temporality": temporality,
        "value": value,
        "count": field("count", pa.nulls(rows, pa.uint64())),
        "sum": field("sum", nothing),
        "min": field("min", nothing),
        "max": field("max", nothing),
        "zero_count": field("zero_count", pa.nulls(rows, pa.uint64())),
        "scale": scale,
        "bucket_index": indexes,
        "bucket_count": counts,
        "explicit_bounds": bounds,
        **_exemplars(field("exemplars", None), rows),
        **_quantiles(field("quantile_values", None), rows),
    }
    return _Points(kind, points, metric, columns, wrong)


def _together(parts: list[pa.Array]) -> pa.Array:
    return parts[0] if len(parts) == 1 else pa.concat_arrays(parts)


def _exponential(points: pa.StructArray) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Dense (offset, counts[]) to sparse (index, count); finer scales are brought down to the contract's.

    Going down by d steps maps index i to i >> d (metrics data model, "scale adjustment").
    """
    positive = pc.struct_field(points, "positive")
    lists = pc.struct_field(positive, "bucket_counts")
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = lists.flatten().to_numpy(zero_copy_only=False)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    filled = np.flatnonzero(values)
    rows = np.searchsorted(starts, filled, side="right") - 1
    offset = pc.struct_field(positive, "offset").fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    scale = pc.struct_field(points, "scale").to_numpy(zero_copy_only=False).astype(np.int64)
    shift = np.maximum(scale - SCALE, 0)
    index = (filled - starts[rows] + offset[rows]) >> np.minimum(shift[rows], 62)
    values = values[filled]
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


def _quantiles(lists: pa.ListArray | None, rows: int) -> dict[str, pa.Array]:
    """Which quantiles a summary tells, and their values, as two lists of one length; null for what tells none."""
    if lists is None:
        return dict.fromkeys(QUANTILES, pa.nulls(rows, _BOUND_LIST))
    pairs, empty = lists.flatten(), pc.equal(pc.list_value_length(lists), 0)
    offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(lists).to_numpy(zero_copy_only=False))])
    told = [
        pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pc.struct_field(pairs, part), mask=empty)
        for part in ("quantile", "value")
    ]
    return dict(zip(QUANTILES, told, strict=True))


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
