"""Who was told of an alert, who is owed it, and why nobody else is: as the log of attempts and the standing have it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import streamlit as st

from plugwarden_dashboards import data, linked, states, words
from plugwarden_dashboards.address import subject_link
from plugwarden_dashboards.linked import Cell, Column, Said

__all__ = ["show", "told", "why"]

MOST_ATTEMPTS = 1000
"""Newest attempts to tell somebody that are looked through."""
MOST_ROWS = 20
"""Attempts at one alert that are listed; one that fails for a day has a thousand."""
_TOLD = (Column("Receiver"), Column("Result", choice=True), Column("When"), Column("What went wrong", wide=True))


def show(row: dict[str, Any]) -> None:
    """Draw whom receivers were told of an alert, who is owed it, and what keeps others from being told."""
    found = data.fetch("notifications", limit=MOST_ATTEMPTS).value
    if found is None:
        return
    mark = row["fingerprint"]
    owed = [item for item in found["owed"] if item["fingerprint"] == mark]
    attempts = [item for item in found["attempts"] if mark in item["fingerprint"].split()]
    now = [item for item in attempts if row["firing_at"] and _at(item["time"]) >= _at(row["firing_at"])]
    linked.line(Cell(told(owed, now), strong=True), *why(row, owed, now), key="told_by")
    if len(found["attempts"]) == MOST_ATTEMPTS:
        st.text(f"Of all attempts the newest {MOST_ATTEMPTS:,} were looked through.")
    if owed or attempts:
        rows: list[list[Said]] = [*map(_owed, owed), *map(_attempt, attempts)]
        note = f"the latest {MOST_ROWS} of {len(rows)}" if len(rows) > MOST_ROWS else ""
        linked.table("Notifications, the latest first", _TOLD, rows[:MOST_ROWS], key="told", note=note)


def told(owed: Sequence[dict[str, Any]], attempts: Sequence[dict[str, Any]]) -> str:
    """Return in a sentence who was told of an alert since it fires, or who is owed it."""
    took, waits = _names(item for item in attempts if item["status"] == "sent"), _names(owed)
    if took:
        return f"Taken by {took}" + (f"; owed to {waits}." if waits else ".")
    if waits:
        return f"Nobody has taken it yet: owed to {waits}."
    return "Nobody took it: no attempt went well." if attempts else "Nobody was told of it."


def why(row: dict[str, Any], owed: Sequence[dict[str, Any]], attempts: Sequence[dict[str, Any]]) -> list[Cell]:
    """Return what keeps receivers from being told of an alert, each as a sentence that leads there."""
    if row["state"] == "pending":
        return [Cell("It is pending: receivers are told when it fires.")]
    if row["state"] != "firing":
        return [Cell("It is over.")]
    found = []
    if row["silenced_by"]:
        text = f"Silence {row['silenced_by']} covers it: nobody is told of it until that ends."
        found.append(subject_link(row["silenced_by"], text))
    if row["inhibited_by"]:
        text = f"{row['inhibited_by']} speaks for it: whoever is told of that is not told of this one."
        found.append(subject_link(row["inhibited_by"], text))
    if row["acknowledged_by"]:
        until = words.moment(row["acknowledged_until"])
        found.append(Cell(f"{row['acknowledged_by']} knows of it until {until}: whoever was told is not told again."))
    if not (found or owed or attempts):
        found.append(Cell("No receiver in the rules asks for its severity and labels, or only such as escalate."))
    return found


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _names(items: Any) -> str:
    return ", ".join(dict.fromkeys(words.option(item["receiver"]) for item in items))


def _owed(item: dict[str, Any]) -> list[Said]:
    what = "its end" if item["status"] == "resolved" else "it"
    if item["attempts"]:
        again = f", again {words.moment(item['next_attempt_at'])}" if item["next_attempt_at"] else ""
        text = f"{what} was offered {words.counted(item['attempts'], 'time')} and not taken{again}"
    else:
        text = f"{what} was not offered yet: it waits for its group, or its turn"
    return [item["receiver"], Cell("◐ owed", tone="probe"), words.moment(item["since"]), text]


def _attempt(item: dict[str, Any]) -> list[Said]:
    at = words.moment(item["finished_at"] or item["time"])
    return [item["receiver"], states.badge(item["status"]), at, item["error"] or ""]
