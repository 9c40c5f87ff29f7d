"""Fleet: which plugin needs me now?"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st
from plugwarden_collector.ratios import Calls

from plugwarden_dashboards import data, words
from plugwarden_dashboards.page import goto, live, since

__all__ = ["page"]

ROW_PIXELS = 35
"""Height of a table's row, and of its header, in pixels."""
_SEVERITY = {"quarantined": 0, "degraded": 1, "probation": 2, "healthy": 3}


def page() -> None:
    """The page."""
    live(_body, "fleet_body")


def _body() -> None:
    answer = data.fetch("plugins", since=since())
    if answer.value is None:
        return
    plugins = sorted(answer.value, key=lambda row: (_SEVERITY.get(row["state"], 9), _left(row), -row["calls"]))
    if not plugins:
        st.info(
            f"No plugin has made a call within {since()}. Wrap one with the sidecar and point "
            "OTEL_EXPORTER_OTLP_ENDPOINT at the collector, or run `make demo`."
        )
        return
    series = data.fetch("series", since=since()).value or {"calls": [], "step_seconds": 1}
    trends = _trends(series)
    _tiles(plugins, trends)
    _attention(plugins)
    _table(plugins, trends)


def _tiles(plugins: list[dict[str, Any]], trends: dict[str, list[float]]) -> None:
    states = pd.Series([row["state"] for row in plugins]).value_counts()
    whole = [sum(values) for values in zip(*trends.values(), strict=True)] if trends else []
    slowest = max(plugins, key=lambda row: row["p99_seconds"] or 0.0)
    with st.grid(5, row_height=190):
        st.metric(
            "Calls per second",
            words.count(sum(row["calls_per_second"] for row in plugins)),
            border=True,
            height="stretch",
            chart_data=whole or None,
            chart_type="area",
        )
        st.metric("Success", words.percent(Calls.of(plugins).success_ratio), border=True, height="stretch")
        st.metric("Slowest p99", words.duration(slowest["p99_seconds"]), border=True, height="stretch",
                  delta=words.md(slowest["plugin_id"], 40), delta_color="off", delta_arrow="off")  # fmt: skip
        st.metric(
            "Healthy", f"{states.get('healthy', 0)} of {len(plugins)}", border=True, height="stretch",
            delta=f"{states.get('degraded', 0)} degraded", delta_color="off", delta_arrow="off",
        )  # fmt: skip
        st.metric(
            "Quarantined", int(states.get("quarantined", 0)), border=True, height="stretch",
            delta=f"{states.get('probation', 0)} on probation", delta_color="off", delta_arrow="off",
        )  # fmt: skip


def _attention(plugins: list[dict[str, Any]]) -> None:
    needing = [row for row in plugins if row["why"]][:5]
    if not needing:
        return
    st.subheader("Needs attention")
    for row in needing:
        with st.container(border=True):
            st.markdown(f"**{words.state(row['state'])}** · {words.md(row['plugin_id'])}")
            st.text(words.plain(row["why"]))


def _table(plugins: list[dict[str, Any]], trends: dict[str, list[float]]) -> None:
    frame = pd.DataFrame(
        {
            "open": ["Open"] * len(plugins),
            "plugin": [words.plain(row["plugin_id"]) for row in plugins],
            "state": [words.state(row["state"]) for row in plugins],
            "versions": [", ".join(words.plain(item) for item in row["versions"]) for row in plugins],
            "calls": [row["calls_per_second"] for row in plugins],
            "trend": [trends.get(row["plugin_id"], []) for row in plugins],
            "failed": [row["failed_ratio"] for row in plugins],
            "p50": [words.duration(row["p50_seconds"]) for row in plugins],
            "p99": [words.duration(row["p99_seconds"]) for row in plugins],
            "budget": [_left(row) if row["budget_remaining_ratio"] is not None else None for row in plugins],
            "burn": [words.times(row["fast_burn_rate"]) for row in plugins],
        }
    )
    st.session_state["fleet_order"] = [row["plugin_id"] for row in plugins]
    st.dataframe(
        frame,
        hide_index=True,
        key="fleet_table",
        alt="All plugins with state, rate, latency and error budget, those in trouble first",
        height=min(700, ROW_PIXELS * (len(plugins) + 1) + 3),
        column_config={
            "open": st.column_config.ButtonColumn("", key="fleet_open", on_click=_open, width="small"),
            "plugin": st.column_config.TextColumn("Plugin", pinned=True),
            "state": "State",
            "versions": "Versions",
            "calls": st.column_config.NumberColumn("Calls/s", format="%.1f"),
            "trend": st.column_config.LineChartColumn("Trend", y_min=0),
            "failed": st.column_config.NumberColumn("Failed", format="percent", help="Of the calls that ran"),
            "p50": "p50",
            "p99": "p99",
            "budget": st.column_config.ProgressColumn(
                "Budget left",
                min_value=0,
                max_value=1,
                format="percent",
                help="Over all of its versions, of the objective with the least",
            ),
            "burn": "Burn rate",
        },
    )


def _open() -> None:
    row = st.session_state["fleet_open"].row
    order = st.session_state.get("fleet_order", [])
    if 0 <= row < len(order):
        goto("plugin", plugin=words.option(order[row]))


def _left(row: dict[str, Any]) -> float:
    left = row["budget_remaining_ratio"]
    return 1.0 if left is None else max(0.0, float(left))


def _trends(series: dict[str, Any]) -> dict[str, list[float]]:
    frame = pd.DataFrame(series["calls"])
    if frame.empty:
        return {}
    wide = frame.pivot_table(index="time", columns="plugin_id", values="calls", aggfunc="sum").fillna(0)
    # The newest step is not over yet, and would look like a drop.
    wide = wide.iloc[:-1].tail(60) / series["step_seconds"]
    return {str(name): wide[name].tolist() for name in wide.columns}
