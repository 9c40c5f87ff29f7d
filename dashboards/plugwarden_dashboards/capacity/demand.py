"""What is asked for: over the time range in equal steps, and in figures, by plugin, operation, owner or tenant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import streamlit as st
from plugwarden.contract.metrics import CPU_SAMPLED_CALLS
from plugwarden_collector.rules.duration import seconds

from plugwarden_dashboards import data, linked, words
from plugwarden_dashboards.address import address
from plugwarden_dashboards.capacity import charts, frames
from plugwarden_dashboards.capacity.limits import total
from plugwarden_dashboards.linked import Cell, Column
from plugwarden_dashboards.page import since

__all__ = ["BY", "RESOURCES", "draw", "steps"]

BY = ["plugin", "operation", "owner", "tenant"]
RESOURCES = {"calls_per_second": "calls per second", "concurrency": "calls at once", "cpu_cores": "CPU cores"}
"""What load is told of, and how it is called."""
STEPS = 12
"""Steps of a chart: each is a question of its own, whose rates are means over the time within it that has data."""
SHOWN = 7
"""Names that are told apart in a chart: as many as there are colours, and one for all others."""
TENANTS_SECONDS = 7200.0
"""How long tenants are told apart."""
_COLUMNS = (
    Column("Who"), Column("Of", narrow=False), Column("Calls/s", "end"), Column("Peak calls/s", "end", narrow=False),
    Column("At once", "end", note="Little's law: busy seconds a second"), Column("Peak at once", "end", narrow=False),
    Column("CPU cores", "end", note=f"Estimated from one call in {CPU_SAMPLED_CALLS}"), Column("CPU per call", "end", narrow=False),
    Column("Of hosts", "end", narrow=False, note="Of all processors of the hosts that tell of them"),
    Column("Memory", "end", narrow=False), Column("Owner", narrow=False, choice=True),
)  # fmt: skip
_Step = tuple[pd.Timestamp, pd.Timestamp, list[dict[str, Any]]]


def draw(by: str, resource: str) -> None:
    """Draw demand by one of `BY`; `resource` is one of `RESOURCES`."""
    asked = "plugin" if by == "owner" else by
    whole = data.fetch("capacity", since=since(), by=asked)
    if not whole.value:
        return
    found = steps(by=asked)
    parts = [(begins, ends, _named(rows, by, resource)) for begins, ends, rows in found]
    frame = frames.over_time(parts, SHOWN)
    title = RESOURCES[resource]
    if frame.empty:
        st.text(f"{title[:1].upper()}{title[1:]}: nothing was measured within {since()}.")
    else:
        st.altair_chart(
            charts.stacked(frame, found[0][0], found[-1][1], title), key="demand_chart", width="stretch",
            alt=f"{title} by {by} over {since()}, in {STEPS} steps",
        )  # fmt: skip
    if by == "tenant" and seconds(since()) > TENANTS_SECONDS:
        st.text("Tenants are told apart for two hours; before that nothing is known of them.")
    caption = f"What is asked for by {asked}, over {words.duration(whole.value[0]['over_seconds'])} that have data"
    linked.table(caption, _COLUMNS, [_row(row) for row in whole.value], key="demand")


def steps(**asked: str | None) -> list[_Step]:
    """Return what was asked for in equal steps of the time range, each with its beginning and end, the oldest first."""
    length = seconds(since()) / STEPS
    found = []
    now = pd.Timestamp.now("UTC").tz_localize(None)
    for number in range(STEPS, 0, -1):
        begins, ends = number * length, (number - 1) * length
        answer = data.fetch("capacity", since=f"{begins:g}s", until=f"{ends:g}s" if ends else None, **asked)
        found.append((now - pd.Timedelta(seconds=begins), now - pd.Timedelta(seconds=ends), answer.value or []))
    return found


def _named(rows: Iterable[Mapping[str, Any]], by: str, resource: str) -> dict[str, float | None]:
    parts: dict[str, list[float | None]] = {}
    for row in rows:
        parts.setdefault(_name(row, by), []).append(row[resource])
    return {name: total(values) for name, values in parts.items()}


def _name(row: Mapping[str, Any], by: str) -> str:
    if by == "owner":
        return row["owner"] or "nobody is named"
    if by == "operation":
        return f"{row['plugin_id']} {row['plugin_operation'] or ''}".strip()
    if by == "tenant":
        return row["tenant_id"] or "no tenant in particular"
    return str(row["plugin_id"])


def _row(row: Mapping[str, Any]) -> list[linked.Said]:
    plugin = words.option(row["plugin_id"])
    of = row["plugin_operation"] if row["plugin_operation"] is not None else row["tenant_id"]
    return [
        Cell(plugin, href=address("capacity", plugin=plugin)),
        words.option(of or "") or "—",
        *(
            Cell(words.count(row[name]), value=row[name])
            for name in ("calls_per_second", "peak_calls_per_second", "concurrency", "peak_concurrency", "cpu_cores")
        ),
        Cell(words.duration(row["cpu_seconds_per_call"]), value=row["cpu_seconds_per_call"]),
        Cell(words.percent(row["host_share_ratio"]), value=row["host_share_ratio"]),
        Cell(words.size(row["memory_bytes"]), value=row["memory_bytes"]),
        words.option(row["owner"] or "") or "—",
    ]
