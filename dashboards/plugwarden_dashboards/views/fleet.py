"""Fleet: which plugin needs me now?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd
import streamlit as st
from plugwarden_collector.ratios import Calls

from plugwarden_dashboards import causes, data, frames, linked, states, words
from plugwarden_dashboards.address import address, budget_link, decision_link, plugin_link
from plugwarden_dashboards.linked import Cell, Column, Tile, Tone
from plugwarden_dashboards.page import live, since

__all__ = ["page"]

MANY = 100
"""Above so many plugins a table alone shows no pattern."""
CARDS = 4
"""Causes that stand above the table; with more it would not be seen."""
EVENTS = 50
"""Newest decisions that are looked through."""
TRENDS = 200
"""Plugins, those in trouble and then the busiest first, whose trend is sent: as many rows as a table draws at once."""
STEPS = 30
"""Points of a trend: as many as a column of a table shows."""
_SEVERITY = {"quarantined": 0, "degraded": 1, "probation": 2, "healthy": 3}
_COLUMNS = (
    Column("Plugin"), Column("State", choice=True), Column("Versions", narrow=False), Column("Calls/s", "end"),
    Column("Trend", narrow=False, sortable=False), Column("Failed", "end", note="Of the calls that ran"),
    Column("p50", "end", narrow=False), Column("p99", "end"),
    Column("Budget left", "end", narrow=False, note="Over all of its versions, of the objective with the least"),
    Column("Burn rate", "end", narrow=False), Column("Owner", narrow=False, choice=True),
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
        _causes(plugins)
        st.info(
            f"No plugin has made a call within {since()}. Wrap one with the sidecar and point "
            "OTEL_EXPORTER_OTLP_ENDPOINT at the collector, or run `make demo`."
        )
        return
    series = data.fetch("series", since=since()).value or {"calls": [], "step_seconds": 1}
    trends = _trends(series)
    _tiles(plugins, trends)
    _causes(plugins)
    _table(plugins, trends)
    _events(series["calls"])


def _tiles(plugins: list[dict[str, Any]], trends: dict[str, list[float]]) -> None:
    whole = [sum(values) for values in zip(*trends.values(), strict=True)] if trends else []
    slowest = max(plugins, key=lambda row: row["p99_seconds"] or 0.0)
    counts = Counter(row["state"] for row in plugins)
    worst = min(counts, key=lambda word: _SEVERITY.get(word, 9))
    by_state = ", ".join(f"{words.count(counts[word])} {states.said(word)}" for word in _SEVERITY if counts[word])
    found = [
        Tile("Calls per second", words.count(sum(row["calls_per_second"] for row in plugins)), trend=whole[-STEPS:]),
        Tile("Success", words.percent(Calls.of(plugins).success_ratio), address("traces", t_outcome="error"),
             "of the calls that ran"),
        Tile("Slowest p99", words.duration(slowest["p99_seconds"]), plugin_link(slowest["plugin_id"]).href,
             words.option(slowest["plugin_id"])),
        Tile("Plugins", words.count(len(plugins)), note=by_state,
             tone=states.tone(worst)),
    ]  # fmt: skip
    status = data.fetch("status").value
    if status is not None:
        # As the header has them: one number a thing, the collector's.
        firing, held = status["firing"], status["quarantined"]
        found += [
            Tile("Alerts firing", words.count(firing), address("alerts"), tone="bad" if firing else "good"),
            Tile("Scopes in quarantine", words.count(held), address("quarantine"), tone="held" if held else "good"),
        ]
    linked.tiles(found, key="fleet_tiles")


def _causes(plugins: list[dict[str, Any]]) -> None:
    """Draw what is wrong, one card a cause."""
    status = data.fetch("status").value  # alerts may be about no plugin, such as one on an upstream
    if not any(row["why"] or row["firing"] for row in plugins) and not (status and status["firing"]):
        return
    alerts, held = data.fetch("alerts").value, data.fetch("quarantine").value
    found = causes.cards(alerts["alerts"], alerts["incidents"], held) if alerts and held is not None else []
    if not found:
        return
    linked.cards(found[:CARDS], key="fleet_causes")
    if len(found) > CARDS:
        rest = Cell(f"and {len(found) - CARDS} more: all alerts", href=address("alerts"))
        linked.line(rest, Cell("all quarantines", href=address("quarantine")), key="fleet_more")


def _events(steps: list[dict[str, Any]]) -> None:
    """Draw what was deployed and decided within the time range."""
    if not steps:
        return
    begins = frames.times(pd.Series([row["time"] for row in steps])).min()
    ends = max(pd.Timestamp.now("UTC").tz_localize(None), begins + pd.Timedelta(seconds=1))
    found = [
        linked.Event(place, text, href, tone)
        for at, text, href, tone in _happened()
        if 0 <= (place := (at - begins) / (ends - begins)) <= 1
    ]
    if found:
        linked.line(Cell("What was deployed and decided", strong=True), key="fleet_events_head")
        linked.ribbon(f"{begins:%Y-%m-%d %H:%M} UTC", "now", found, key="fleet_events")


def _happened() -> Iterator[tuple[pd.Timestamp, str, str | None, Tone]]:
    for row in data.fetch("changes").value or []:
        yield _moment(row), f"{words.moment(row['time'])}: {row['text']}", plugin_link(row["plugin_id"]).href, "probe"
    for row in data.fetch("audit", limit=EVENTS, stream="decisions").value or []:
        text = f"{words.moment(row['time'])}: {row['kind']} {row['scope']}"
        yield _moment(row), text, decision_link(row["sequence"]).href, "held"


def _moment(row: dict[str, Any]) -> pd.Timestamp:
    return pd.Timestamp(row["time"]).tz_localize(None)


def _table(plugins: list[dict[str, Any]], trends: dict[str, list[float]]) -> None:
    linked.table(
        "All plugins, those in trouble first",
        _COLUMNS,
        [_row(row, trends.get(row["plugin_id"], []) if index < TRENDS else []) for index, row in enumerate(plugins)],
        key="fleet",
        squares=len(plugins) > MANY,
    )


def _row(row: dict[str, Any], trend: list[float]) -> list[linked.Said]:
    return [
        plugin_link(row["plugin_id"]),
        states.badge(row["state"], value=_SEVERITY.get(row["state"], 9)),
        [plugin_link(row["plugin_id"], version, alone=True) for version in row["versions"]],
        Cell(words.count(row["calls_per_second"]), value=row["calls_per_second"]),
        Cell(trend=trend[-STEPS:]),
        Cell(words.percent(row["failed_ratio"]), value=row["failed_ratio"]),
        Cell(words.duration(row["p50_seconds"]), value=row["p50_seconds"]),
        Cell(words.duration(row["p99_seconds"]), value=row["p99_seconds"]),
        _budget(row),
        Cell(words.times(row["fast_burn_rate"]), value=row["fast_burn_rate"]),
        [Cell(words.option(owner)) for owner in row["owners"]] or "—",
    ]


def _budget(row: dict[str, Any]) -> Cell:
    left, slo = row["budget_remaining_ratio"], row["budget_slo"]
    href = budget_link(slo, row["plugin_id"]).href if slo else None
    return Cell(words.budget(left), href=href, value=left, share=None if left is None else max(0.0, left))


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
