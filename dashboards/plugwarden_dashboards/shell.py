"""What surrounds every page: navigation, time range, refresh, how old the data are, and the banner when they are."""

from __future__ import annotations

import time

import streamlit as st

from plugwarden_dashboards import data, words
from plugwarden_dashboards.page import LEAVING, RANGES, REFRESH
from plugwarden_dashboards.views import (
    alerts,
    audit,
    budgets,
    capacity,
    fleet,
    platform,
    plugin,
    quarantine,
    trace,
    traces,
)

__all__ = ["run"]

STALE_SECONDS = 30.0
"""Sidecars report every five seconds or so: six intervals without a call is worth saying."""

_PAGES = {
    "fleet": (fleet.page, "Fleet", "🛡"),
    "plugin": (plugin.page, "Plugin", ""),
    "budgets": (budgets.page, "Error budgets", ""),
    "alerts": (alerts.page, "Alerts", ""),
    "quarantine": (quarantine.page, "Quarantine", ""),
    "audit": (audit.page, "Audit", ""),
    "traces": (traces.page, "Traces", ""),
    "trace": (trace.page, "Trace", ""),
    "capacity": (capacity.page, "Capacity", ""),
    "platform": (platform.page, "Platform health", ""),
}
_HIDDEN = {"trace"}
_PLATFORM = {"green": "● collector well", "amber": "▲ collector strained", "red": "■ collector in trouble"}


def run() -> None:
    """One turn of the app."""
    st.set_page_config(page_title="Plugwarden", page_icon="🛡️", layout="wide")
    pages = {
        name: st.Page(
            view,
            title=title,
            url_path="" if name == "fleet" else name,
            default=name == "fleet",
            visibility="hidden" if name in _HIDDEN else "visible",
        )
        for name, (view, title, _) in _PAGES.items()
    }
    current = st.navigation(list(pages.values()), position="top")
    if data.login_required():
        _login()
        return
    _controls()
    wanted = st.session_state.pop(LEAVING, None)
    if wanted is not None:
        st.switch_page(pages[wanted[0]], query_params=wanted[1])
    flash = st.session_state.pop("flash", None)
    if flash:
        st.toast(words.md(flash), duration="long")
    current.run()


def _controls() -> None:
    interval = REFRESH.get(st.session_state.get("refresh", "5s"), 5.0)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Time range", RANGES, index=1, key="range", bind="query-params", width=110)
        st.segmented_control("Refresh", list(REFRESH), default="5s", required=True, key="refresh", bind="query-params")

        @st.fragment(run_every=interval, key="header")
        def header() -> None:
            _header()

        header()


def _header() -> None:
    answer = data.fetch("status")
    if answer.value is None:
        st.error(
            f"No data: {words.md(answer.problem or 'the collector has not answered yet')}",
            title="The collector is gone",
        )
        return
    status = answer.value
    if answer.problem is not None:
        ago = words.duration(time.time() - answer.at)
        st.error(
            f"You are looking at the past: the last answer came {ago} ago. {words.md(answer.problem)}",
            title="The collector is gone",
        )
        return
    age = status["data_age_seconds"]
    with st.container(horizontal=True, horizontal_alignment="right", gap="medium"):
        fresh = "no calls yet" if age is None else f"data {words.duration(age)} old"
        st.text(fresh)
        st.text(f"{words.counted(status['firing'], 'alert')} firing")
        # Scopes, not plugins: one version may be isolated while its plugin is healthy with another.
        st.text(f"{words.counted(status['quarantined'], 'scope')} in quarantine")
        st.text(f"policy: {status['enforcement']}")
        st.text(_PLATFORM[status["verdict"]["level"]])
    if age is not None and age > STALE_SECONDS:
        st.warning(f"The newest call is {words.duration(age)} old: hosts are idle, or their telemetry does not arrive.")
    if status["frozen"]:
        st.warning(f"The automation is frozen: {words.md(status['frozen'])}")


def _login() -> None:
    st.subheader("Plugwarden")
    with st.form("login"):
        token = st.text_input("Token", type="password", help="One that the collector knows")
        entered = st.form_submit_button("Enter")
    if entered and token:
        problem = data.check_token(token)
        if problem is None:
            st.session_state["token"] = token
            st.rerun()
        st.error(words.md(problem))
