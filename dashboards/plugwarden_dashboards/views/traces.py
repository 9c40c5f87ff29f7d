"""Trace search: find the calls that were slow or failed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from plugwarden_dashboards import charts, data, frames, linked, states, words
from plugwarden_dashboards.address import plugin_link, trace_link
from plugwarden_dashboards.linked import Cell, Column
from plugwarden_dashboards.page import live, since

__all__ = ["page"]

ANY = ""
"""In place of a plugin's name: no plugin has an empty one, and any other may be one's."""
OUTCOMES = ["any", "success", "error", "timeout", "rejected", "cancelled"]
_COLUMNS = (
    Column("Started"), Column("Root"), Column("Status", choice=True), Column("Took", "end"),
    Column("Spans", "end", narrow=False), Column("Plugins", narrow=False), Column("Trace id", narrow=False),
)  # fmt: skip


def page() -> None:
    """The page."""
    names = sorted(row["plugin_id"] for row in data.fetch("plugins", since=since()).value or [])
    asked = words.named(st.query_params.get("t_plugin", ""))
    if asked and asked not in names and asked != words.named(_option(ANY)):
        names = sorted([*names, asked])  # a link may name one that made no call within the time range
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Plugin", [ANY, *names], format_func=_option, key="t_plugin", bind="query-params", width=200)
        st.text_input("Version", key="t_version", bind="query-params", width=120, max_chars=200)
        st.selectbox("Outcome", OUTCOMES, key="t_outcome", bind="query-params", width=140)
        st.number_input("At least (ms)", 0.0, 600_000.0, 0.0, key="t_min_ms", bind="query-params", width=140)
        st.text_input("Name or error contains", key="t_text", bind="query-params", width=240, max_chars=200)
        st.number_input("At most", 10, 1000, 200, key="t_limit", bind="query-params", width=120)
    live(_body, "traces_body")


def _body() -> None:
    state = st.session_state
    plugin, outcome = state.get("t_plugin", ANY), state.get("t_outcome", "any")
    limit = int(state.get("t_limit") or 200)
    answer = data.fetch(
        "traces",
        since=since(),
        plugin=plugin or None,
        version=words.named(state.get("t_version") or "") or None,
        outcome=None if outcome == "any" else outcome,
        min_seconds=(state.get("t_min_ms") or 0.0) / 1000 or None,
        text=state.get("t_text") or None,
        limit=limit,
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
    more = (
        f"the newest {len(rows)}; there may be more: raise “At most”, or narrow the search"
        if len(rows) == limit
        else ""
    )
    linked.table("Matching traces, newest first", _COLUMNS, [_row(row) for row in rows], key="traces", note=more)


def _row(row: dict[str, Any]) -> list[linked.Said]:
    status = "error" if row["errors"] else "ok"
    return [
        trace_link(row["trace_id"], words.moment(row["started_at"])),
        trace_link(row["trace_id"], words.option(row["root"])),
        states.badge(status),
        Cell(words.duration(row["duration_seconds"]), value=row["duration_seconds"]),
        Cell(words.count(row["spans"]), value=row["spans"]),
        [plugin_link(name) for name in row["plugins"] or []],
        trace_link(row["trace_id"]),
    ]


def _option(name: str) -> str:
    return words.option(name) if name else "⟨any⟩"  # which no name's option is
