"""Names at the door: a record whose plugin, version, operation, tenant or instance cannot be a name is refused by itself.

The rule is the contract's, by which sidecars take directives. So nothing can be stored that a directive could not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from plugwarden.contract import MAX_NAME, OVERFLOW, attributes, name_fault
from plugwarden.contract.names import ODD_SIGNS_RE2

from .batch import Batch
from .left_out import refuse

__all__ = ["cut_texts", "leave_out_unnameable", "unnameable"]

Mask = np.ndarray[Any, np.dtype[np.bool_]]

_COLUMNS = {
    "plugin_id": ("plugin", f"{attributes.PLUGIN_ID} (or what names the plugin in its place)"),
    "plugin_version": ("version", f"{attributes.PLUGIN_VERSION} (or what names the version in its place)"),
    "plugin_operation": ("operation", attributes.PLUGIN_OPERATION),
    "tenant_id": ("tenant", attributes.TENANT_ID),
    "instance_id": ("instance", attributes.SERVICE_INSTANCE_ID),
}
"""Column -> the part of a scope that it names, and what the sender calls it."""
_STAGED = ("incoming_spans", "incoming_points", "incoming_logs")
_ODD = rf"{ODD_SIGNS_RE2}|^ *$|^{OVERFLOW}$"
"""Whatever the rule may refuse, told without a step of Python a name; the rule itself then says whether it does, and why."""


_CUT = ("service_name", "outcome", "error_source", "error_type", "downstream")
"""What names nothing that is acted on, but is counted by, kept in memory and shown: it is cut where a name would be refused."""


def cut_texts(batch: Batch) -> Batch:
    """The same request with its longest words cut to `MAX_NAME` characters: what one sender fills, nobody else could have."""
    name = next((name for name in _STAGED if name in batch.tables), None)
    if name is None:
        return batch
    rows = batch.tables[name]
    for index, column in enumerate(rows.schema.names):
        if column not in _CUT:
            continue
        longest = pc.max(pc.binary_length(rows.column(column))).as_py()
        if longest is not None and longest > MAX_NAME:
            rows = rows.set_column(index, column, pc.utf8_slice_codeunits(rows.column(column), 0, MAX_NAME))
    return batch if rows is batch.tables[name] else replace(batch, tables={**batch.tables, name: rows})


def leave_out_unnameable(batch: Batch) -> Batch:
    """The rows of a request whose names are such; the others are refused with the field and the reason."""
    batch = cut_texts(batch)
    name = next((name for name in _STAGED if name in batch.tables), None)
    if name is None:
        return batch
    rows = batch.tables[name]
    found = unnameable({column: rows.column(column) for column in _COLUMNS})
    if not found:
        return batch
    refused = refuse(found)
    reason = "; ".join(filter(None, (batch.reason, refused.reason)))
    kept = rows.take(refused.kept)
    if not len(kept):
        return Batch(batch.signal, rejected=batch.rejected + refused.count, reason=reason)
    return replace(
        batch,
        tables={**batch.tables, name: kept},
        accepted=len(kept),
        rejected=batch.rejected + refused.count,
        reason=reason,
        adjusted=pc.sum(kept["clock_adjusted"]).as_py() or 0,
        nbytes=batch.nbytes * len(kept) // len(rows),
    )


def unnameable(columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> dict[str, Mask]:
    """Rows with a name that cannot be one, by field and reason; empty where all are good, as nearly always."""
    found: dict[str, Mask] = {}
    for column, (part, called) in _COLUMNS.items():
        values = columns.get(column)
        if values is None or values.null_count == len(values):
            continue
        values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        coded = values.dictionary_encode()
        names = coded.dictionary
        suspect = pc.or_(pc.match_substring_regex(names, _ODD), pc.greater(pc.utf8_length(names), MAX_NAME))
        if not pc.any(suspect).as_py():
            continue
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        numbers = np.flatnonzero(suspect.to_numpy(zero_copy_only=False))
        reasons: dict[str, list[int]] = {}
        for number, name in zip(numbers.tolist(), names.take(pa.array(numbers)).to_pylist(), strict=True):
            # A process that has no id is told apart from none, and stands in no scope.
            fault = None if column == "instance_id" and not name else name_fault(part, name)
            if fault is not None:
                reasons.setdefault(f"{called}: {fault}", []).append(number)
        for reason, bad in reasons.items():
            rows = np.isin(codes, bad)
            if column == "instance_id":  # which is in a scope only together with a plugin
                rows &= columns["plugin_id"].is_valid().to_numpy(zero_copy_only=False)
            if rows.any():
                found[reason] = rows
    return found
