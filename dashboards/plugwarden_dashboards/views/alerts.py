"""Alerts: what fires, whom it concerns, who was told, and what people said about it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from plugwarden_dashboards import alert, data, linked, silence, states, words
from plugwarden_dashboards.address import address, plugin_link, subject_link
from plugwarden_dashboards.linked import Card, Cell, Column, Tile
from plugwarden_dashboards.page import IDENTITY, absent, asked, live, sought

__all__ = ["page"]

_ALERTS = (
    Column("State", choice=True), Column("Severity", choice=True, narrow=False), Column("About", narrow=False), Column("What", wide=True),
    Column("Since", "end", narrow=False), Column("Taken care of", narrow=False, choice=True),
    Column("Do", sortable=False),
)  # fmt: skip
_HISTORY = (
    Column("When"), Column("About"), Column("Alert", narrow=False), Column("Severity", choice=True), Column("Change", choice=True),
    Column("Why", wide=True, narrow=False),
)  # fmt: skip
_CAUSES = (
    Column("From"), Column("To", narrow=False), Column("Plugins"), Column("Cause", narrow=False), Column("Summary", wide=True),
)  # fmt: skip
_ORDER = {"firing": 0, "pending": 1}
_SEVERITIES = {"page": 0, "ticket": 1}


def page() -> None:
    """The page."""
    chosen = sought("alert", IDENTITY, "alert", "alerts")
    if chosen is not None:
        alert.show(chosen)
    made = sought("silence", IDENTITY, "silence", "alerts")
    if made is not None:
        silence.show(made)
    live(_body, "alerts_body")


def _body() -> None:
    answer = data.fetch("alerts")
    if answer.value is None:
        return
    alerts, incidents = answer.value["alerts"], answer.value["incidents"]
    active = sorted((row for row in alerts if row["state"] in _ORDER), key=_urgency)
    opened = [row for row in incidents if row["ended_at"] is None]
    _tiles(active, opened)
    wanted = sought("incident", IDENTITY, "incident", "alerts")
    if wanted is not None and all(row["id"] != wanted for row in incidents):
        absent("incident", wanted, "alerts")
    _incidents([row for row in incidents if row["ended_at"] is None or row["id"] == wanted])
    _table(active)
    silence.board()
    _causes([row for row in incidents if row["ended_at"] is not None])
    _history(answer.value["history"])


def _urgency(row: dict[str, Any]) -> tuple[bool, int, int, str]:
    return bool(row["inhibited_by"]), _ORDER[row["state"]], _SEVERITIES.get(row["severity"], 2), row["summary"]


def _tiles(active: list[dict[str, Any]], opened: list[dict[str, Any]]) -> None:
    firing = [row for row in active if row["state"] == "firing"]
    covered = sum(bool(row["inhibited_by"]) for row in firing)
    quiet = sum(bool(row["silenced_by"] or row["acknowledged_by"]) for row in firing)
    linked.tiles(
        [
            Tile("Firing", words.count(len(firing)), tone="bad" if firing else "good"),
            Tile("Covered by another alert", words.count(covered), note="a quarantine, or a cause that plugins share"),
            Tile("Silenced or acknowledged", words.count(quiet)),
            Tile("Pending", words.count(len(active) - len(firing)), tone="warn" if len(active) > len(firing) else None),
            Tile("Shared causes", words.count(len(opened)), tone="bad" if opened else None),
        ],
        key="alerts_tiles",
    )


def _incidents(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    linked.cards(
        [
            Card(
                "bad" if row["ended_at"] is None else "none",
                [
                    states.badge("firing") if row["ended_at"] is None else Cell("○ over", tone="none"),
                    Cell("Shared cause", strong=True),
                    Cell(f"began {words.age(row['started_at'])}"),
                    *([Cell(f"{row['acknowledged_by']} knows of it")] if row["acknowledged_by"] else []),
                ],
                [row["summary"]],
                [plugin_link(name) for name in row["plugins"]],
            )
            for row in rows
        ],
        key="incidents",
    )


def _table(active: list[dict[str, Any]]) -> None:
    if not active:
        linked.notice("good", "No alert is firing.", key="alerts_none", title="●")
        return
    chosen = asked("alert", IDENTITY)
    linked.table(
        "Alerts, the most urgent first", _ALERTS, [_row(row) for row in active], key="alerts",
        current=next((index for index, row in enumerate(active) if row["fingerprint"] == chosen), None),
    )  # fmt: skip


def _row(row: dict[str, Any]) -> list[linked.Said]:
    since = row["firing_at"] or row["pending_at"]
    mark = row["fingerprint"]
    return [
        states.badge(row["state"], value=_ORDER[row["state"]]),
        states.badge(row["severity"], value=_SEVERITIES.get(row["severity"], 2)),
        plugin_link(row["plugin_id"], row["plugin_version"]),
        Cell(row["summary"] or row["name"], href=address("alerts", alert=mark)),
        Cell(words.age(since), value=since or ""),
        alert.taken(row),
        [
            Cell("Silence", href=address("alerts", alert=mark, act="silence")),
            Cell("Acknowledge", href=address("alerts", alert=mark, act="acknowledge")),
        ],
    ]


def _causes(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    st.markdown("#### Shared causes that are over")
    linked.table(
        "Past shared causes", _CAUSES,
        [
            [subject_link(row["id"], words.moment(row["started_at"])), words.moment(row["ended_at"]),
             [plugin_link(name) for name in row["plugins"]], words.option(row["cause"]), row["summary"]]
            for row in rows
        ],
        key="causes",
    )  # fmt: skip


def _history(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    st.markdown("#### The last day")
    linked.table(
        "Changes of state, newest first", _HISTORY,
        [
            [words.moment(row["time"]), plugin_link(row["plugin_id"], row["plugin_version"]),
             subject_link(row["fingerprint"], row["name"]), row["severity"],
             f"{states.said(row['before'])} → {states.said(row['after'])}", row["reason"]]
            for row in rows
        ],
        key="history",
    )  # fmt: skip
