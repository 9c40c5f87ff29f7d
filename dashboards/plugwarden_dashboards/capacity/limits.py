"""What would be full first: tiles, and every limit with the days until it is reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st
from plugwarden_collector.capacity.wording import amount, limit_amount, until_full

from plugwarden_dashboards import data, linked, words
from plugwarden_dashboards.address import address
from plugwarden_dashboards.linked import Cell, Column, Tile
from plugwarden_dashboards.page import since

__all__ = ["CONFIDENCE", "draw", "level", "total", "whose"]

CONFIDENCE = {
    "high": "● high", "medium": "◐ medium", "low": "▲ low", "none": "○ none",
}  # fmt: skip
"""Sign and word of how sure an answer is."""
FULL_RATIO = 0.9
"""Use of a limit from which on its tile is marked: an hour that is a tenth busier reaches it."""
LAST_DAYS = 10_000.0
"""What a limit is sorted by that is not reached within a year; beyond it is what cannot be foreseen."""
_COLUMNS = (
    Column("Of"), Column("Operation", narrow=False), Column("Limit", narrow=False), Column("Kind", choice=True, narrow=False),
    Column("Used", "end", narrow=False, note="In the fullest part of the last week"), Column("Use now", "end"),
    Column("Full in", note="By the busiest hour of a day: at even odds, and from one chance in five to four in five"),
    Column("How sure", narrow=False, choice=True), Column("Because", wide=True, narrow=False),
)  # fmt: skip
_STANDING = (
    Column("Of"), Column("Operation", narrow=False), Column("Resource", choice=True), Column("Limit", "end", narrow=False),
    Column("Kind", narrow=False, choice=True), Column("Usual", "end", narrow=False, note="Mean over the time range"),
    Column("Fullest", "end", narrow=False, note="In the fullest part of the time range"), Column("Use", "end"),
)  # fmt: skip


def draw() -> None:
    """Draw tiles, what would be full first, and how full every limit is."""
    demand, full = data.fetch("capacity", since=since()), data.fetch("capacity/full")
    standing, store = data.fetch("capacity/utilisation", since=since()), data.fetch("capacity/store")
    now = data.fetch("capacity/what-if", since=since())
    if None in (demand.value, full.value, standing.value, store.value, now.value):
        return
    _tiles(demand.value, now.value["bottleneck"], store.value)
    if not demand.value:
        st.info(f"No plugin has made a call within {since()}.")
    st.subheader("What would be full first")
    if full.value:
        linked.table("What would be full first", _COLUMNS, [_row(item) for item in full.value], key="full")
    else:
        st.text("No limit is known of a plugin or a host; sidecars tell of bulkheads, rates, quotas and processors.")
    unlimited = standing.value["unlimited"]
    rows = [*standing.value["plugins"], *standing.value["machines"]]
    if rows:
        linked.table(
            f"How full limits are, over {since()}", _STANDING, [_standing(item) for item in rows], key="limits"
        )
    if unlimited:
        linked.line("Nothing says how much these can do:", [_plugin(name) for name in unlimited], key="unlimited")


def total(values: Iterable[float | None]) -> float | None:
    """Return a sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def whose(limit: Mapping[str, Any]) -> Cell:
    """Return whose limit it is: a plugin, with the way to its page, or a machine."""
    if limit["plugin_id"] is None:
        return Cell(words.option(limit["host_name"] or "—"))
    return _plugin(limit["plugin_id"])


def level(confidence: str) -> Cell:
    """Return how sure an answer is, by its sign and word."""
    return Cell(CONFIDENCE[confidence], value=list(CONFIDENCE).index(confidence))


def _plugin(name: str) -> Cell:
    return Cell(words.option(name), href=address("capacity", plugin=words.option(name)))


def _tiles(demand: Sequence[Mapping[str, Any]], nearest: Mapping[str, Any] | None, store: Mapping[str, Any]) -> None:
    cores, share = (total(row[name] for row in demand) for name in ("cpu_cores", "host_share_ratio"))
    early, full = store["early_in_days"], store["full_in_days"]
    free = f"{words.size(store['disk_free_bytes'])} are free"
    linked.tiles(
        [
            Tile("CPU cores in plugins", words.count(cores), note=f"mean over {since()}"),
            Tile("Of all processors", words.percent(share), note="of the hosts that tell of them"),
            Tile("Calls at once", words.count(total(row["concurrency"] for row in demand)), note="Little's law: busy seconds a second"),
            Tile("Nearest limit", "—") if nearest is None else Tile(
                "Nearest limit", words.percent(nearest["ratio"]), whose(nearest).href, f"{whose(nearest).text}: {limit_amount(nearest)}",
                "warn" if nearest["ratio"] >= FULL_RATIO else None,
            ),
            Tile(
                "Store's disk full in",
                "—" if store["disk_free_bytes"] is None or store["bytes_per_day"] is None
                else "not with what is kept" if full is None else words.duration(full * 86_400.0),
                note=free if early is None else f"{free}; raw rows go early in {words.counted(early, 'day')}",
                tone="warn" if full is not None else None,
            ),
        ],
        key="capacity_tiles",
    )  # fmt: skip


def _row(item: Mapping[str, Any]) -> list[linked.Said]:
    limit, until, record = item["limit"], item["until"], item["record"]
    soonest, median = until["soonest_days"], until["median_days"]
    days = (
        LAST_DAYS + (record["growth"] is None) if soonest is None else soonest + (median or LAST_DAYS) / (2 * LAST_DAYS)
    )
    return [
        whose(limit),
        words.option(limit["plugin_operation"] or "") or "—",
        Cell(amount(limit["resource"], limit["limit"]), value=limit["limit"]),
        limit["kind"],
        Cell(amount(limit["resource"], limit["used"]), value=limit["used"]),
        Cell(words.percent(limit["ratio"]), value=limit["ratio"], share=min(1.0, limit["ratio"])),
        Cell(until_full(until, record), value=float(days)),
        level(record["confidence"]),
        record["reason"],
    ]


def _standing(item: Mapping[str, Any]) -> list[linked.Said]:
    return [
        whose(item),
        words.option(item["plugin_operation"] or "") or "—",
        item["resource"].replace("_", " "),
        Cell(amount(item["resource"], item["limit"]), value=item["limit"]),
        item["kind"],
        Cell(amount(item["resource"], item["usual"]), value=item["usual"]),
        Cell(amount(item["resource"], item["used"]), value=item["used"]),
        Cell(words.percent(item["ratio"]), value=item["ratio"], share=min(1.0, item["ratio"])),
    ]
