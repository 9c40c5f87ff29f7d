"""Trace search: find the calls that were slow or failed."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from plugwarden_dashboards import charts, data, frames, words
from plugwarden_dashboards.page import goto, live, since

__all__ = ["page"]

ANY = ""
"""In place of a plugin's name: no plugin has an empty one, and any other may be one's."""
OUTCOMES = ["any", "success", "error", "timeout", "rejected", "cancelled"]


def page() -> None:
    """The page."""
    names = sorted(row["plugin_id"] for row in data.fetch("plugins", since=since()).value or [])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Plugin", [ANY, *names], format_func=_option, key="t_plugin", bind="query-params", width=200)
        st.selectbox("Outcome", OUTCOMES, key="t_outcome", bind="query-params", width=140)
        st.number_input("At least (ms)", 0.0, 600_000.0, 0.0, key="t_min_ms", bind="query-params", width=140)
        st.text_input("Name or error contains", key="t_text", bind="query-params", width=240, max_chars=200)
        st.number_input("At most", 10, 1000, 200, key="t_limit", bind="query-params", width=120)
    live(_body, "traces_body")


def _body() -> None:
    state = st.session_state
    plugin, outcome = state.get("t_plugin", ANY), state.get("t_outcome", "any")
    answer = data.fetch(
        "traces",
        since=since(),
        plugin=plugin or None,
        outcome=None if outcome == "any" else outcome,
        min_seconds=(state.get("t_min_ms") or 0.0) / 1000 or None,
        text=state.get("t_text") or None,
        limit=int(state.get("t_limit") or 200),
    )
    if answer.value is None:
        return
    rows = answer.value
    if not rows:
        st.info(
            "No trace matches. Errors and the slowest calls are kept; of the rest, a share (PLUGWARDEN_TRACE_RATIO)."
        )
        return
    frame = pd.DataFrame(
        {
            "started": frames.times(pd.Series([row["started_at"] for row in rows])),
            "seconds": [max(row["duration_seconds"], 1e-6) for row in rows],
            "spans": [row["spans"] for row in rows],
            "status": ["error" if row["errors"] else "ok" for row in rows],
            "root": [words.plain(row["root"], 80) for row in rows],
        }
    )
    st.altair_chart(
        charts.trace_scatter(frame), key="traces_scatter", width="stretch",
        alt=f"{words.counted(len(rows), 'trace')} by time and duration; {sum(frame['status'] == 'error')} with errors",
    )  # fmt: skip
    st.session_state["traces_order"] = [row["trace_id"] for row in rows]
    st.dataframe(
        pd.DataFrame(
            {
                "open": ["Open"] * len(rows),
                "started": [words.moment(row["started_at"]) for row in rows],
                "root": frame["root"],
                "status": ["■ error" if row["errors"] else "● ok" for row in rows],
                "took": [words.duration(row["duration_seconds"]) for row in rows],
                "spans": frame["spans"],
                "plugins": [", ".join(words.plain(name) for name in row["plugins"] or []) for row in rows],
                "trace": [row["trace_id"] for row in rows],
            }
        ),
        hide_index=True,
        key="traces_table",
        alt="Matching traces, newest first",
        column_config={
            "open": st.column_config.ButtonColumn("", key="traces_open", on_click=_open, width="small"),
            "started": "Started", "root": "Root", "status": "Status", "took": "Took", "spans": "Spans",
            "plugins": "Plugins", "trace": "Trace id",
        },
    )  # fmt: skip


def _option(name: str) -> str:
    return words.option(name) if name else "⟨any⟩"  # which no name's option is


def _open() -> None:
    row = st.session_state["traces_open"].row
    order = st.session_state.get("traces_order", [])
    if 0 <= row < len(order):
        goto("trace", trace_id=order[row])
