"""One plugin: what it asks for, what holds it, and when it is full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st
from plugwarden_collector.api.client import ApiError
from plugwarden_collector.capacity.wording import amount, limit_amount, until_full

from plugwarden_dashboards import data, linked, words
from plugwarden_dashboards.address import address, plugin_link
from plugwarden_dashboards.capacity import charts, demand, frames
from plugwarden_dashboards.capacity.limits import CONFIDENCE, level
from plugwarden_dashboards.linked import Cell, Column, Tile
from plugwarden_dashboards.page import since

__all__ = ["draw", "head"]

DAY = pd.Timedelta("1D")
_LIMITS = (
    Column("Operation"), Column("Limit"), Column("Usual", "end", narrow=False, note="Mean over the time range"),
    Column("Fullest", "end", note="In the fullest part of the time range"), Column("Use", "end"),
)  # fmt: skip
_FULL = (
    Column("Operation"), Column("Limit"), Column("Use now", "end"), Column("Full in"), Column("How sure"),
    Column("Because", wide=True, narrow=False),
)  # fmt: skip
_OPERATIONS = (
    Column("Operation"), Column("Calls/s", "end"), Column("At once", "end"), Column("CPU cores", "end"), Column("CPU per call", "end"),
)  # fmt: skip


def draw(name: str, resource: str, days: int) -> None:
    """Draw one plugin; its load of `resource` is foreseen for some days."""
    try:
        whole = data.fetch("capacity", since=since(), plugin=name).value
        standing = data.fetch("capacity/utilisation", since=since(), plugin=name).value
        full = data.fetch("capacity/full", plugin=name).value
        curve = data.fetch("capacity/forecast", plugin=name, resource=resource, days=days).value
    except ApiError as error:
        linked.notice("warn", str(error), key="capacity_problem")
        return
    if None in (whole, standing, full, curve):
        return
    _tiles(whole[0] if whole else {}, full)
    _full(full)
    _over_range(name, resource, standing)
    _foreseen(name, curve, standing, days)
    _held(name, standing)
    _operations(name)


def _tiles(row: Mapping[str, Any], full: list[dict[str, Any]]) -> None:
    figures = [
        ("Calls per second", words.count(row.get("calls_per_second"))),
        ("Peak calls per second", words.count(row.get("peak_calls_per_second"))),
        ("Calls at once", words.count(row.get("concurrency"))),
        ("CPU cores", words.count(row.get("cpu_cores"))),
        ("CPU per call", words.duration(row.get("cpu_seconds_per_call"))),
        ("Of all processors", words.percent(row.get("host_share_ratio"))),
        ("Memory", words.size(row.get("memory_bytes"))),
    ]
    ends, _, interval = (until_full(full[0]["until"], full[0]["record"]) if full else "—").partition(" (")
    found = [Tile("Full in", ends, note=interval.removesuffix(")")), *(Tile(label, value) for label, value in figures)]
    linked.tiles(found, key="plugin_capacity_tiles")


def _full(full: list[dict[str, Any]]) -> None:
    if not full:
        st.text("Nothing says how much it can do: no limit is known that it could fill.")
        return
    rows: list[list[linked.Said]] = [
        [
            words.option(item["limit"]["plugin_operation"] or "") or "—",
            limit_amount(item["limit"]),
            Cell(
                words.percent(item["limit"]["ratio"]),
                value=item["limit"]["ratio"],
                share=min(1.0, item["limit"]["ratio"]),
            ),
            until_full(item["until"], item["record"]),
            level(item["record"]["confidence"]),
            item["record"]["reason"],
        ]
        for item in full
    ]
    linked.line(Cell("When its limits are full, the soonest first", strong=True), key="plugin_full_head")
    linked.table("When its limits are full, the soonest first", _FULL, rows, key="plugin_full")


def _over_range(name: str, resource: str, standing: Mapping[str, Any]) -> None:
    found = demand.steps(plugin=name)
    frame = pd.DataFrame(
        [{"at": begins, "until": ends, "value": row[resource]} for begins, ends, rows in found for row in rows],
        columns=["at", "until", "value"],
    ).dropna()
    title = demand.RESOURCES[resource]
    heading = f"{title[:1].upper()}{title[1:]} over {since()}, and what holds it"
    linked.line(Cell(heading, strong=True), key="plugin_load_head")
    if frame.empty:
        st.text(f"{title[:1].upper()}{title[1:]}: nothing was measured within {since()}.")
        return
    limits = frames.limit_lines(standing, resource, name)
    st.altair_chart(
        charts.concurrency(frame, limits, found[0][0], found[-1][1], title), key="plugin_load", width="stretch",
        alt=f"{title} of {words.plain(name)} over {since()}; dashed lines are its limits",
    )  # fmt: skip


def _foreseen(name: str, curve: Mapping[str, Any], standing: Mapping[str, Any], days: int) -> None:
    title, record = demand.RESOURCES[curve["resource"]], curve["record"]
    st.subheader(f"{title[:1].upper()}{title[1:]}, as foreseen")
    ahead = frames.ahead(curve)
    bands = "" if ahead.empty else " The dark band is to hold 80 % of what comes, the light one 95 %."
    st.text(words.plain(_trust(record) + bands, 500))
    if ahead.empty:
        return
    begins = ahead["at"].iloc[0] - days * DAY
    past = frames.past(curve, begins)
    limits = frames.limit_lines(standing, curve["resource"], name)
    st.altair_chart(
        charts.foreseen(past, ahead, limits, begins, ahead["at"].iloc[-1], title), key="plugin_forecast", width="stretch",
        alt=f"{title} of {words.plain(name)} by the hour for {days} days back and ahead, with intervals of 80 and 95 %",
    )  # fmt: skip


def _trust(record: Mapping[str, Any]) -> str:
    """Say how a forecast did on its own past, and how far it may be trusted."""
    if record["growth"] is None:
        return f"Too little data: {record['reason']}."
    sure = f"{CONFIDENCE[record['confidence']]} confidence: {record['reason']}."
    if record["error_ratio"] is None or record["coverage_ratio"] is None:
        return f"{sure} It was not tried on its own past."
    return (
        f"{sure} Made again as of earlier days, it missed the week that followed by {words.percent(record['error_ratio'])} on average, and "
        f"{words.percent(record['coverage_ratio'])} of what came was within the band of 80 %."
    )


def _held(name: str, standing: Mapping[str, Any]) -> None:
    rows: list[list[linked.Said]] = [
        [
            words.option(item["plugin_operation"] or "") or "—",
            limit_amount(item),
            Cell(amount(item["resource"], item["usual"]), value=item["usual"]),
            Cell(amount(item["resource"], item["used"]), value=item["used"]),
            Cell(words.percent(item["ratio"]), value=item["ratio"], share=min(1.0, item["ratio"])),
        ]
        for item in standing["plugins"]
    ]
    if rows:
        linked.line(Cell(f"How full its limits are, over {since()}", strong=True), key="plugin_limits_head")
        linked.table(f"How full its limits are, over {since()}", _LIMITS, rows, key="plugin_limits")
    ceiling = standing["ceilings"].get(name)
    if ceiling is not None:
        st.text(words.plain(f"Where its latency bends: {ceiling['reason']}{_interval(ceiling)}"))


def _interval(ceiling: Mapping[str, Any]) -> str:
    low, high = ceiling["low"], ceiling["high"]
    if low is None:
        return ""
    if high is None:
        return f" (from {words.count(low)} calls/s on; nothing says up to where)"
    return f" (from {words.count(low)} to {words.count(high)} calls/s)"


def _operations(name: str) -> None:
    found = data.fetch("capacity", since=since(), plugin=name, by="operation").value
    if not found:
        return
    rows: list[list[linked.Said]] = [
        [
            words.option(row["plugin_operation"] or "") or "—",
            *(
                Cell(words.count(row[figure]), value=row[figure])
                for figure in ("calls_per_second", "concurrency", "cpu_cores")
            ),
            Cell(words.duration(row["cpu_seconds_per_call"]), value=row["cpu_seconds_per_call"]),
        ]
        for row in found
    ]
    linked.line(Cell(f"Its operations, over {since()}", strong=True), key="plugin_operations_head")
    linked.table(f"Its operations, over {since()}", _OPERATIONS, rows, key="plugin_operations")


def head(name: str) -> None:
    """Say which plugin this is, and lead to its other page and to all of them."""
    linked.line(
        Cell(words.option(name), strong=True), Cell("How it does", href=plugin_link(name).href),
        Cell("What would be without it", href=address("capacity", w_without=words.option(name))),
        Cell("All plugins", href=address("capacity")), key="capacity_head", size="large",
    )  # fmt: skip
