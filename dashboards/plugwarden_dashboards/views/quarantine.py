"""The quarantine board: what is held, why, on what evidence; and the hands that can change it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st
from plugwarden_collector.api.client import ApiError, Path

from plugwarden_dashboards import data, words
from plugwarden_dashboards.page import goto, live

__all__ = ["page"]

MIN_REASON = 3
"""Characters; the API asks for as many."""


def page() -> None:
    """The page."""
    if st.button("Quarantine a plugin…", key="quarantine_new", shortcut="Q"):
        _quarantine_dialog()
    live(_body, "quarantine_body")


def _body() -> None:
    answer = data.fetch("quarantine")
    if answer.value is None:
        return
    rows = answer.value
    columns = {
        "Suspected": [row for row in rows if row["state"] == "degraded" and row["ended_at"] is None],
        "Quarantined": [row for row in rows if row["state"] == "quarantined" and row["ended_at"] is None],
        "Probation": [row for row in rows if row["state"] == "probation" and row["ended_at"] is None],
        "Released": [row for row in rows if row["ended_at"] is not None][:20],
    }
    if not rows:
        st.info("Nothing was ever quarantined. What the automation would do is in the decision log below.")
    else:
        for place, (title, cards) in zip(st.columns(4), columns.items(), strict=True):
            with place:
                st.markdown(f"#### {title} · {len(cards)}")
                for row in cards:
                    _card(row)
    _log()


def _card(row: dict[str, Any]) -> None:
    with st.container(border=True, key=f"card_{row['id']}"):
        st.markdown(f"**{words.md(_scope(row))}**")
        st.markdown(f"{words.state(row['state'])} · by {words.md(row['actor'])} · {words.age(row['started_at'])}")
        st.text(words.plain(row["reason"], 600))
        if row["state"] == "probation":
            st.progress(row["share_ratio"], text=f"{words.percent(row['share_ratio'])} of calls are let through")
        if row["superseded_by"]:
            st.text(f"superseded by {words.plain(row['superseded_by'])}; stays isolated")
        elif row["hold_until"] and row["ended_at"] is None:
            st.text(f"probation begins {words.moment(row['hold_until'])}")
        if row["evidence"].get("long"):
            with st.expander("Evidence at the decision"):
                _evidence(row["evidence"])
        if row["ended_at"] is None and st.button("Release…", key=f"release_{row['id']}"):
            _release_dialog(row["id"], _scope(row))


def _evidence(evidence: dict[str, Any]) -> None:
    for name in ("long", "short"):
        window = evidence[name]
        st.text(
            f"{words.duration(window['seconds'])}: {window['bad']} of {window['total']} failed, burn rate "
            f"{words.times(window['burn_rate'])} (limit {words.times(evidence['factor'])})"
        )
    for error, calls in evidence.get("errors", {}).items():
        st.text(f"{calls} × {words.plain(error)}")
    st.text(words.plain(evidence.get("scope", "")))
    for trace_id in evidence.get("traces", [])[:3]:
        st.button(
            f"Trace {trace_id[:8]}…", key=f"evidence_{trace_id}", on_click=goto, args=("trace",),
            kwargs={"trace_id": trace_id},
        )  # fmt: skip


def _log() -> None:
    decisions = data.fetch("audit", limit=200, stream="decisions").value or []
    verified = data.fetch("audit/verify", max_age_seconds=300).value
    st.subheader("Decision log")
    if verified is not None:
        if verified["valid"]:
            st.text(f"{verified['decisions']} decisions in an unbroken hash chain; head {verified['head'][:16]}…")
        else:
            st.error(f"The log is not what was left: {words.md(verified['problem'])}")
    if decisions:
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "#": row["sequence"], "When": words.moment(row["time"]), "What": row["kind"],
                        "By": words.plain(row["actor"]), "Says to be": words.plain(row["says"] or ""),
                        "Scope": words.plain(row["scope"]),
                        "Why": words.plain(row["reason"], 1000),
                    }
                    for row in decisions
                ]
            ),
            hide_index=True, key="decisions", alt="Every decision, newest first",
        )  # fmt: skip
    _access()


def _access() -> None:
    looks = data.fetch("audit", limit=200, stream="access").value or []
    if not looks:
        return
    with st.expander("Who read with SQL, took backups, was refused, pushed alerts"):
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "#": row["sequence"], "When": words.moment(row["time"]), "What": row["kind"],
                        "By": words.plain(row["actor"]), "Times": row["evidence"].get("count", 1),
                        "Scope": words.plain(row["scope"]), "Text": words.plain(row["reason"], 1000),
                    }
                    for row in looks
                ]
            ),
            hide_index=True, key="access", alt="Every look, newest first",
        )  # fmt: skip


@st.dialog("Quarantine a plugin")
def _quarantine_dialog() -> None:
    known = sorted(row["plugin_id"] for row in data.fetch("plugins", since="1h").value or [])
    with st.form("quarantine_form", border=False):
        plugin = st.selectbox(
            "Plugin", known, format_func=words.option, key="quarantine_plugin", index=None, required=True
        )
        version = st.text_input("Version (empty: all of them)", key="quarantine_version", max_chars=200)
        reason = st.text_area("Reason", key="quarantine_reason", max_chars=2000, required=True)
        st.text("Calls will be answered by their fallback, or raise PluginQuarantined, in every host, until released.")
        sent = st.form_submit_button("Quarantine", type="primary")
    if sent and plugin:
        _act("quarantine", {"plugin": plugin, "version": version or None, "reason": reason.strip(), "actor": "dashboards"},
             reason, f"{plugin} is quarantined")  # fmt: skip


@st.dialog("Release from quarantine")
def _release_dialog(identity: str, scope: str) -> None:
    st.text(words.plain(scope))
    with st.form("release_form", border=False):
        reason = st.text_area("Reason", key="release_reason", max_chars=2000, required=True)
        sent = st.form_submit_button("Release", type="primary")
    if sent:
        _act(
            ("quarantine", identity, "release"),
            {"reason": reason.strip(), "actor": "dashboards"},
            reason,
            f"{scope} is released",
        )


def _act(path: Path, body: dict[str, Any], reason: str, done: str) -> None:
    if len(reason.strip()) < MIN_REASON:
        st.error("A reason is required: it goes into the audit log.")
        return
    try:
        data.post(path, body)
    except ApiError as error:
        st.error("That did not work.")
        st.text(words.plain(error))
        return
    st.session_state["flash"] = done
    st.rerun()


def _scope(row: dict[str, Any]) -> str:
    text = str(row["plugin_id"]) + (f"@{row['plugin_version']}" if row["plugin_version"] else "")
    for name, key in (("operation", "plugin_operation"), ("instance", "instance_id"), ("tenant", "tenant_id")):
        if row[key]:
            text += f" {name}={row[key]}"
    return text
