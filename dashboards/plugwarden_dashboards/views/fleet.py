"""Fleet: which plugin needs me now?"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st
from plugwarden_collector.ratios import Calls

from plugwarden_dashboards import data, linked, states, words
from plugwarden_dashboards.address import address, plugin_link
from plugwarden_dashboards.linked import Card, Cell, Column, Tile
from plugwarden_dashboards.page import live, since

__all__ = ["page"]

STEPS = 30
"""Points of a trend: as many as a column of a table shows."""
_SEVERITY = {"quarantined": 0, "degraded": 1, "probation": 2, "healthy": 3}
_COLUMNS = (
    Column("Plugin"), Column("State", choice=True), Column("Versions", narrow=False), Column("Calls/s", "end"),
    Column("Trend", narrow=False, sortable=False), Column("Failed", "end", note="Of the calls that ran"),
    Column("p50", "end", narrow=False), Column("p99", "end"),
    Column("Budget left", "end", narrow=False, note="Over all of its versions, of the objective with the least"),
    Column("Burn rate", "end", narrow=False),
)  # fmt: skip


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
    counts = pd.Series([row["state"] for row in plugins]).value_counts()
    whole = [sum(values) for values in zip(*trends.values(), strict=True)] if trends else []
    slowest = max(plugins, key=lambda row: row["p99_seconds"] or 0.0)
    healthy = int(counts.get("healthy", 0))
    linked.tiles(
        [
            Tile("Calls per second", words.count(sum(row["calls_per_second"] for row in plugins)), trend=whole[-STEPS:]),
            Tile("Success", words.percent(Calls.of(plugins).success_ratio), address("traces", t_outcome="error"),
                 "of the calls that ran"),
            Tile("Slowest p99", words.duration(slowest["p99_seconds"]), plugin_link(slowest["plugin_id"]).href,
                 words.option(slowest["plugin_id"])),
            Tile("Healthy plugins", f"{healthy} of {len(plugins)}", note=f"{counts.get('degraded', 0)} degraded",
                 tone="good" if healthy == len(plugins) else "warn"),
            Tile("Plugins in quarantine", str(int(counts.get("quarantined", 0))), address("quarantine"),
                 f"{counts.get('probation', 0)} on probation", "held" if counts.get("quarantined") else None),
        ],
        key="fleet_tiles",
    )  # fmt: skip


def _attention(plugins: list[dict[str, Any]]) -> None:
    needing = [row for row in plugins if row["why"]][:5]
    if not needing:
        return
    st.markdown("#### Needs attention")
    linked.cards(
        [
            Card(
                states.tone(row["state"]),
                [states.badge(row["state"]), plugin_link(row["plugin_id"], strong=True)],
                [row["why"]],
            )
            for row in needing
        ],
        key="fleet_attention",
    )


def _table(plugins: list[dict[str, Any]], trends: dict[str, list[float]]) -> None:
    linked.table(
        "All plugins, those in trouble first",
        _COLUMNS,
        [_row(row, trends.get(row["plugin_id"], [])) for row in plugins],
        key="fleet",
    )


def _row(row: dict[str, Any], trend: list[float]) -> list[linked.Said]:
    left = row["budget_remaining_ratio"]
    return [
        plugin_link(row["plugin_id"], strong=True),
        states.badge(row["state"], value=_SEVERITY.get(row["state"], 9)),
        [plugin_link(row["plugin_id"], version, alone=True) for version in row["versions"]],
        Cell(words.count(row["calls_per_second"]), value=row["calls_per_second"]),
        Cell(trend=trend[-STEPS:]),
        Cell(words.percent(row["failed_ratio"]), value=row["failed_ratio"]),
        Cell(words.duration(row["p50_seconds"]), value=row["p50_seconds"]),
        Cell(words.duration(row["p99_seconds"]), value=row["p99_seconds"]),
        Cell(words.budget(left), value=left, share=None if left is None else max(0.0, left)),
        Cell(words.times(row["fast_burn_rate"]), value=row["fast_burn_rate"]),
    ]


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
