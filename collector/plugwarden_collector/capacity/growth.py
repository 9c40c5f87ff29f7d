"""How our own store grows, and when its disk is full with what is kept today."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

__all__ = ["StoreGrowth", "StoredRows", "TableGrowth", "TableSize", "row_bytes", "store_growth"]

LEAST_BYTES = 1 << 20
"""Size from which on a table says what a row takes: a file grows by blocks of a quarter of this, and small tables share them."""
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

    bytes_per_day: float | None
    """What comes each day; null while the table is too small to tell."""
    kept_days: float
    """How long rows of its tier are kept."""
    settled_bytes: float | None
    """What it takes once as much is let go as comes; null likewise."""


@dataclass(frozen=True, slots=True)
class StoreGrowth:
    """How the store goes on, if calls go on as in the last day."""

    tables: list[TableGrowth]
    bytes_per_day: float | None
    """What comes each day, of the tables that are large enough to tell; null while none is."""
    settled_bytes: float | None
    """What these take once as much is let go as comes."""
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
        each, kept = row_bytes(item), kept_days[item.tier]
        tables.append(
            TableGrowth(
                **{field.name: getattr(item, field.name) for field in fields(TableSize)},
                bytes_per_day=None if each is None else each * item.rows_per_day,
                kept_days=kept,
                settled_bytes=None if each is None else each * item.rows_per_day * kept,
            )
        )
    limit = max_bytes or None
    ahead = [(day, sum(_size_in(item, day) for item in tables)) for day in range(AHEAD_DAYS + 1)]
    now = ahead[0][1]
    early = None if limit is None else next((day for day, size in ahead if size > limit), None)
    full = None
    if disk_free_bytes is not None:
        full = next((day for day, size in ahead if min(size, limit or size) - now > disk_free_bytes), None)
    coming = [item.bytes_per_day for item in tables if item.bytes_per_day is not None]
    settled = [item.settled_bytes for item in tables if item.settled_bytes is not None]
    return StoreGrowth(
        tables, sum(coming) if coming else None, sum(settled) if settled else None, disk_free_bytes, limit, full, early
    )


def row_bytes(item: TableSize) -> float | None:
    """Return what a row of a table takes, in bytes; None while it is too small to tell."""
    return item.bytes / item.rows if item.rows and item.bytes >= LEAST_BYTES else None


def _size_in(item: TableGrowth, days: int) -> float:
    """Return what a table takes in some days: it grows until its oldest row is as old as rows get, and drifts to what settles after."""
    if item.bytes_per_day is None or item.settled_bytes is None:
        return item.bytes
    left = max(0.0, item.kept_days - item.held_days)
    if days <= left:
        return item.bytes + item.bytes_per_day * days
    grown = item.bytes + item.bytes_per_day * left
    share = min(1.0, (days - left) / item.kept_days)
    return grown + (item.settled_bytes - grown) * share
