"""Who uses what, to see and as CSV; and how the collector's own store grows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from plugwarden_collector.wording import cell

from plugwarden_dashboards import data, linked, words
from plugwarden_dashboards.linked import Cell, Column
from plugwarden_dashboards.page import since

__all__ = ["as_csv", "showback", "store"]

_SHARES = (
    Column("Who"), Column("Plugins", "end", narrow=False), Column("Calls", "end"), Column("CPU time", "end"),
    Column("Of CPU", "end", note="Of all that was measured"), Column("Busy", "end", narrow=False), Column("Memory", "end", narrow=False),
    Column("Stored", "end", narrow=False, note="Raw rows that the store holds now, by the mean size of a row"),
)  # fmt: skip
_TABLES = (
    Column("Table"), Column("Rows", "end", narrow=False), Column("Size", "end"), Column("A day", "end"),
    Column("Kept", "end", narrow=False), Column("Settles at", "end", note="Once as much is let go as comes"),
)  # fmt: skip


def showback(who: str) -> None:
    """Draw what belongs to whom: `who` is `owner` or `tenant`."""
    found = data.fetch("capacity/showback", since=since(), by=who)
    if not found.value:
        return
    note = "tenants are told apart for two hours" if who == "tenant" else ""
    rows = [_share(row) for row in found.value]
    linked.table(f"Who uses what, by {who}, over {since()}", _SHARES, rows, key="showback", note=note)
    st.download_button(
        "Download as CSV", as_csv(found.value), f"showback-{who}.csv", "text/csv", key="showback_csv", on_click="ignore"
    )


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV with their names, numbers in full; what is not known is empty, and no text is a formula to a spreadsheet."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: cell(value) if isinstance(value, str) else value for name, value in row.items()})
    return text.getvalue()


def _share(row: Mapping[str, Any]) -> list[linked.Said]:
    ratio = row["cpu_share_ratio"]
    return [
        words.option(row["name"]) if row["named"] else "nobody is named",
        Cell(words.count(row["plugins"]), value=row["plugins"]),
        Cell(words.count(row["calls"]), value=row["calls"]),
        Cell(words.duration(row["cpu_seconds"]), value=row["cpu_seconds"]),
        Cell(words.percent(ratio), value=ratio, share=ratio),
        Cell(words.duration(row["busy_seconds"]), value=row["busy_seconds"]),
        Cell(words.size(row["memory_bytes"]), value=row["memory_bytes"]),
        Cell(words.size(row["stored_bytes"]), value=row["stored_bytes"]),
    ]


def store() -> None:
    """Draw how the collector's own store grows, and when its disk is full."""
    found = data.fetch("capacity/store").value
    if found is None:
        return
    if found["bytes_per_day"] is None:
        text = "No table is large enough yet to tell how it grows."
    else:
        full = found["full_in_days"]
        ends = (
            "The disk is not full with what is kept today."
            if full is None
            else f"The disk is full in {words.counted(full, 'day')}."
        )
        text = f"{words.size(found['bytes_per_day'])} come each day, and {words.size(found['settled_bytes'])} are kept in the end. {ends}"
    st.subheader("The collector's own store")
    linked.table("The collector's own store", _TABLES, [_table(row) for row in found["tables"]], key="store", note=text)


def _table(row: Mapping[str, Any]) -> list[linked.Said]:
    return [
        row["table"],
        Cell(words.count(row["rows"]), value=row["rows"]),
        Cell(words.size(row["bytes"]), value=row["bytes"]),
        Cell(words.size(row["bytes_per_day"]), value=row["bytes_per_day"]),
        Cell(words.duration(row["kept_days"] * 86_400.0), value=row["kept_days"]),
        Cell(words.size(row["settled_bytes"]), value=row["settled_bytes"]),
    ]
