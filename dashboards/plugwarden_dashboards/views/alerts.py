"""Alerts: what fires, who it concerns, what speaks for it, and how it came."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st
from plugwarden_collector.api.client import ApiError
from plugwarden_collector.wording import harmless

from plugwarden_dashboards import data, words
from plugwarden_dashboards.page import live

__all__ = ["page"]


def page() -> None:
    """The page."""
    live(_body, "alerts_body")


def _body() -> None:
    answer = data.fetch("alerts")
    if answer.value is None:
        return
    alerts, history, incidents = answer.value["alerts"], answer.value["history"], answer.value["incidents"]
    firing = [row for row in alerts if row["state"] == "firing" and not row["inhibited_by"]]
    covered = [row for row in alerts if row["state"] == "firing" and row["inhibited_by"]]
    pending = [row for row in alerts if row["state"] == "pending"]
    opened = [row for row in incidents if row["ended_at"] is None]
    with st.grid(4, row_height="content"):
        st.metric("Firing", len(firing), border=True)
        st.metric("Covered by something", len(covered), border=True, help="A quarantine or an incident speaks for them")
        st.metric("Pending", len(pending), border=True)
        st.metric("Open incidents", len(opened), border=True)
    if opened:
        st.subheader("Incidents")
        for incident in opened:
            with st.container(border=True):
                st.markdown(
                    f"**■ {words.md(', '.join(incident['plugins']))}** · since {words.age(incident['started_at'])}"
                )
                st.text(words.plain(incident["summary"], 1000))
    _group("Firing", firing, "Nothing fires that nobody speaks for.")
    _group("Covered", covered, "")
    _group("Pending", pending, "")
    ended = [row for row in incidents if row["ended_at"] is not None]
    if ended:
        st.subheader("Incidents that are over")
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "From": words.moment(row["started_at"]), "To": words.moment(row["ended_at"]),
                        "Plugins": ", ".join(words.plain(name) for name in row["plugins"]),
                        "Cause": words.plain(row["cause"]), "Summary": words.plain(row["summary"]),
                    }
                    for row in ended
                ]
            ),
            hide_index=True, key="incidents_over", alt="Incidents that are over",
        )  # fmt: skip
    if history:
        st.subheader("History")
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "When": words.moment(row["time"]),
                        "Plugin": words.plain(_about(row)),
                        "Alert": words.plain(row["name"]),
                        "Severity": words.plain(row["severity"]),
                        "Change": f"{row['before']} → {row['after']}",
                        "Why": words.plain(row["reason"]),
                    }
                    for row in history
                ]
            ),
            hide_index=True, key="alerts_history", alt="Changes of state, newest first",
        )  # fmt: skip


def _group(title: str, rows: list[dict[str, Any]], empty: str) -> None:
    if not rows and not empty:
        return
    st.subheader(title)
    if not rows:
        st.text(empty)
    for row in rows:
        with st.container(border=True):
            name = _about(row) or row["name"]
            covered = f" · covered by {words.md(row['inhibited_by'])}" if row["inhibited_by"] else ""
            if row["silenced_by"]:
                covered += f" · silenced by {words.md(row['silenced_by'])}"
            if row["acknowledged_by"]:
                covered += f" · {words.md(row['acknowledged_by'])} knows of it"
            st.markdown(
                f"**{words.state(row['state'])}** · {words.md(row['severity'])} · {words.md(name)} · "
                f"since {words.age(row['firing_at'] or row['pending_at'])}{covered}"
            )
            st.text(words.plain(row["summary"]))
            st.text(words.plain(row["description"], 1000))
            if row["source"] == "plugwarden" and st.toggle("Runbook", key=f"runbook-{row['fingerprint']}"):
                _runbook(row["fingerprint"])


def _runbook(fingerprint: str) -> None:
    """What to do about an alert, as the collector knows it."""
    try:
        answer = data.fetch(("alerts", fingerprint, "runbook"))
    except ApiError as error:
        st.text(words.plain(error, 1000))
        return
    if answer.value is not None:
        st.code(harmless(answer.value["text"]), language=None, wrap_lines=True)


def _about(row: dict[str, Any]) -> str:
    """What an alert is about: a version, or a plugin over all of its versions; empty where it is about neither."""
    plugin, version = row["plugin_id"] or "", row["plugin_version"]
    return plugin if version is None else f"{plugin}@{version}"
