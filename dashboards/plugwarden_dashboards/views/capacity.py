"""Capacity: what each plugin asks of its hosts."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from plugwarden_dashboards import data, words
from plugwarden_dashboards.page import live, since

__all__ = ["page"]


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
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "Plugin": words.plain(row["plugin_id"]),
                    "Calls/s": row["calls_per_second"],
                    "Peak calls/s": row["peak_calls_per_second"],
                    "Calls at once": row["concurrency"],
                    "CPU cores": row["cpu_cores"],
                }
                for row in rows
            ]
        ),
        hide_index=True,
        key="capacity_table",
        alt="Rate, concurrency and CPU by plugin",
        column_config={
            "Calls/s": st.column_config.NumberColumn(format="%.1f"),
            "Peak calls/s": st.column_config.NumberColumn(format="%.1f", help="Highest over 10 s, a minute or an hour, by the span"),
            "Calls at once": st.column_config.NumberColumn(format="%.3f"),
            "CPU cores": st.column_config.ProgressColumn(
                format="%.3f", min_value=0, max_value=max(0.01, max(row["cpu_cores"] or 0 for row in rows)),
                help="Estimated from one call in sixteen",
            ),
        },
    )  # fmt: skip
