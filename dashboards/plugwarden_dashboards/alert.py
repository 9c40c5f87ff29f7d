"""One alert: what it says, its runbook, and the forms by which people answer it."""

from __future__ import annotations

from typing import Any

import streamlit as st
from plugwarden_collector.api.client import ApiError
from plugwarden_collector.wording import harmless

from plugwarden_dashboards import act, data, linked, silence, states, told, words
from plugwarden_dashboards.address import address, budget_link, plugin_link, subject_link, trace_link
from plugwarden_dashboards.linked import Cell
from plugwarden_dashboards.page import absent

__all__ = ["show", "taken"]

LENGTHS = {"1 hour": 3600, "4 hours": 14_400, "1 day": 86_400}
"""Seconds for which somebody may say that they know."""


def show(mark: str) -> None:
    """Draw the alert with this fingerprint, and the form that the address asks for."""
    found = data.fetch("alerts").value
    if found is None:
        return
    row = next((item for item in found["alerts"] if item["fingerprint"] == mark), None)
    if row is None:
        absent("alert", mark, "alerts")
        return
    with st.container(border=True, key="alert"):
        close = Cell("Close", href=address("alerts"))
        linked.line(
            states.badge(row["state"]), states.badge(row["severity"]),
            plugin_link(row["plugin_id"], row["plugin_version"], strong=True), Cell(row["name"]),
            Cell(f"began {words.age(row['firing_at'] or row['pending_at'])}"), *_marks(row), close, key="alert_head",
        )  # fmt: skip
        st.text(words.plain(row["summary"], 1000))
        st.text(words.plain(row["description"], 2000))
        linked.line(*_ways(row), key="alert_ways")
        wanted = st.query_params.get("act", "")
        if wanted == "silence":
            silence.form(row)
        elif wanted == "acknowledge":
            _acknowledge(row)
        told.show(row)
        if row["source"] == "plugwarden":
            with st.expander("Runbook: what to do about it", expanded=wanted == "runbook"):
                _runbook(mark)


def taken(row: dict[str, Any]) -> Cell:
    """Return who takes care of an alert: a silence, a person, or what is told in its place."""
    if row["silenced_by"]:
        return subject_link(row["silenced_by"], "silenced")
    if row["acknowledged_by"]:
        return Cell(f"{row['acknowledged_by']} knows of it")
    if row["inhibited_by"]:
        return subject_link(row["inhibited_by"], "covered by another")
    return Cell("nobody yet")


def _marks(row: dict[str, Any]) -> list[Cell]:
    """Return why people are not told of an alert by itself."""
    found = []
    if row["inhibited_by"]:
        found.append(subject_link(row["inhibited_by"], f"covered by {row['inhibited_by']}"))
    if row["silenced_by"]:
        found.append(subject_link(row["silenced_by"], f"silenced by {row['silenced_by']}"))
    if row["acknowledged_by"]:
        found.append(Cell(f"{row['acknowledged_by']} knows of it until {words.moment(row['acknowledged_until'])}"))
    return found


def _ways(row: dict[str, Any]) -> list[Cell]:
    """Return where to go from an alert: to its evidence, and to the forms that answer it."""
    mark, plugin, version = row["fingerprint"], row["plugin_id"], row["plugin_version"]
    trace = row["detail"].get("trace") or row["detail"].get("exemplar")
    ways = [
        Cell("Silence…", href=address("alerts", alert=mark, act="silence")),
        Cell("Acknowledge…", href=address("alerts", alert=mark, act="acknowledge")),
        Cell("Runbook", href=address("alerts", alert=mark, act="runbook")),
    ]
    if isinstance(trace, str) and len(trace) == 32:
        ways.append(trace_link(trace, "Exemplar trace"))
    if plugin and row["slo"]:
        ways.append(budget_link(row["slo"], plugin, text="Error budget"))
    if plugin:
        named = {"t_plugin": words.option(plugin), "t_version": words.option(version) if version else None}
        ways.append(Cell("Failing traces", href=address("traces", t_outcome="error", **named)))
    return ways


def _acknowledge(row: dict[str, Any]) -> None:
    """Draw the form by which somebody says that they know."""
    with st.form("acknowledge", border=False):
        st.text("Receivers that were told are not told again for this long. When the alert ends, all of them are told.")
        reason = st.text_input(
            "What you are doing about it", key=f"acknowledge_reason_{row['fingerprint']}", max_chars=2000, required=True
        )
        length = st.selectbox("For", list(LENGTHS), key=f"acknowledge_for_{row['fingerprint']}", width=160)
        sent = st.form_submit_button("Acknowledge", type="primary")
    if sent:
        body = {"subject": row["fingerprint"], "seconds": LENGTHS[length], "reason": reason.strip(), "actor": act.ACTOR}
        act.do("acknowledgements", body, reason, "Acknowledged.", leaving="act")


def _runbook(mark: str) -> None:
    """Draw what to do about an alert, as the collector knows it."""
    try:
        answer = data.fetch(("alerts", mark, "runbook"))
    except ApiError as error:
        st.text(words.plain(error, 1000))
        return
    if answer.value is not None:
        st.code(harmless(answer.value["text"]), language=None, wrap_lines=True)
