"""Capacity: what each plugin asks of its hosts."""

from __future__ import annotations

from typing import Any

import streamlit as st
from plugwarden.contract.metrics import CPU_SAMPLED_CALLS

from plugwarden_dashboards import data, linked, words
from plugwarden_dashboards.address import plugin_link
from plugwarden_dashboards.linked import Cell, Column
from plugwarden_dashboards.page import live, since

__all__ = ["page"]

_COLUMNS = (
    Column("Plugin"),
    Column("Calls/s", "end"),
    Column("Peak calls/s", "end", narrow=False, note="Highest over 10 s, a minute or an hour, by the span"),
    Column("Calls at once", "end"),
    Column("CPU cores", "end", note=f"Estimated from one call in {CPU_SAMPLED_CALLS}"),
)


def page() -> None:
    """The page."""
    live(_body, "capacity_body")


def _body() -> None:
    answer, status = data.fetch("capacity", since=since()), data.fetch("status")
    if answer.value is None or status.value is None:
        return
    rows = answer.value
    with st.grid(4, row_height="content"):
        st.metric("CPU cores in plugins", words.count(sum(row["cpu_cores"] or 0 for row in rows)), border=True)
        st.metric("Calls at once", words.count(sum(row["concurrency"] or 0 for row in rows)), border=True,
                  help="Little's law: busy seconds per second")  # fmt: skip
        st.metric("Store", words.size(status.value["database_bytes"]), border=True)
        st.metric("Rows", words.count(sum(status.value["rows"].values())), border=True)
    if not rows:
        st.info(f"No plugin has made a call within {since()}.")
        return
    most = max(0.01, *(row["cpu_cores"] or 0 for row in rows))
    linked.table("Rate, concurrency and CPU by plugin", _COLUMNS, [_row(row, most) for row in rows], key="capacity")


def _row(row: dict[str, Any], most: float) -> list[linked.Said]:
    cores = row["cpu_cores"]
    return [
        plugin_link(row["plugin_id"]),
        *(
            Cell(words.count(row[name]), value=row[name])
            for name in ("calls_per_second", "peak_calls_per_second", "concurrency")
        ),
        Cell(words.count(cores), value=cores, share=None if cores is None else cores / most),
    ]
