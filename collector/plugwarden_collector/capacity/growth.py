"""How our own store grows, and when its disk is full with what is kept today."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

__all__ = ["StoreGrowth", "StoredRows", "TableGrowth", "TableSize", "store_growth"]

AHEAD_DAYS = 730
"""Days looked ahead: beyond the 400 that hours are kept nothing grows but by more calls."""


@dataclass(frozen=True, slots=True)
class TableSize:
    """What one table of telemetry takes."""

    table: str
    tier: str
    """`raw`, `seconds`, `minutes` or `hours`: what is let go together."""
    rows: int
    bytes: int
    """On disk, in whole blocks."""
    rows_per_day: float
    """Rows of the last day that has data."""
    held_days: float
    """Days from the oldest row to now."""


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Raw rows of one plugin and tenant in one table."""

    table: str
    plugin_id: str | None
    """None: of no plugin."""
    tenant_id: str | None
    """None: of no tenant."""
    rows: int


@dataclass(frozen=True, slots=True)
class TableGrowth(TableSize):
    """The same, with how it goes on."""

    bytes_per_day: float
    """What comes each day."""
    kept_days: float
    """How long rows of its tier are kept."""
    settled_bytes: float
    """What it takes once as much is let go as comes."""


@dataclass(frozen=True, slots=True)
class StoreGrowth:
    """How the store goes on, if calls go on as in the last day."""

    tables: list[TableGrowth]
    bytes_per_day: float
    """What comes each day."""
    settled_bytes: float
    """What all tables take once as much is let go as comes."""
    disk_free_bytes: int | None
    max_bytes: int | None
    """Size from which on the oldest raw rows are let go early; null: no limit."""
    full_in_days: int | None
    """When the disk is full; null: not with what is kept today, or nobody knows the disk."""
    early_in_days: int | None
    """When raw rows are first let go before their age; null: never."""


def store_growth(
    sizes: Sequence[TableSize], kept_days: dict[str, float], disk_free_bytes: int | None, max_bytes: int | None
) -> StoreGrowth:
    """Return how a store goes on. `kept_days` is tier -> days that its rows are kept; `max_bytes` 0 or None: no limit."""
    tables = []
    for item in sizes:
        each = item.bytes / item.rows if item.rows else 0.0
        kept = kept_days[item.tier]
        tables.append(
            TableGrowth(
                **{field.name: getattr(item, field.name) for field in fields(TableSize)},
                bytes_per_day=each * item.rows_per_day,
                kept_days=kept,
                settled_bytes=max(each * item.rows_per_day * kept, 0.0),
            )
        )
    limit = max_bytes or None
    ahead = [(day, sum(_size_in(item, day) for item in tables)) for day in range(AHEAD_DAYS + 1)]
    now = ahead[0][1]
    early = None if limit is None else next((day for day, size in ahead if size > limit), None)
    full = None
    if disk_free_bytes is not None:
        full = next((day for day, size in ahead if min(size, limit or size) - now > disk_free_bytes), None)
    return StoreGrowth(
        tables, sum(item.bytes_per_day for item in tables), sum(item.settled_bytes for item in tables), disk_free_bytes,
        limit, full, early,
    )  # fmt: skip


def _size_in(item: TableGrowth, days: int) -> float:
    """Return what a table takes in some days: it grows until its oldest row is as old as rows get, and drifts to what settles after."""
    left = max(0.0, item.kept_days - item.held_days)
    if days <= left:
        return item.bytes + item.bytes_per_day * days
    grown = item.bytes + item.bytes_per_day * left
    share = min(1.0, (days - left) / item.kept_days)
    return grown + (item.settled_bytes - grown) * share
