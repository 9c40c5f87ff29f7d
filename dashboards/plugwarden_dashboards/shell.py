"""What surrounds every page: navigation, time range, refresh, how old the data are, and the banner when they are."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import unquote, urlsplit

import streamlit as st

from plugwarden_dashboards import act, data, linked, states, visitor, words
from plugwarden_dashboards.address import CHOSEN, address
from plugwarden_dashboards.linked import Cell
from plugwarden_dashboards.page import RANGES, REFRESH
from plugwarden_dashboards.signin import Ended, Session
from plugwarden_dashboards.signin.form import sign_in_address
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
    "fleet": (fleet.page, "Fleet"),
    "plugin": (plugin.page, "Plugin"),
    "alerts": (alerts.page, "Alerts"),
    "quarantine": (quarantine.page, "Quarantine"),
    "traces": (traces.page, "Traces"),
    "trace": (trace.page, "Trace"),
    "budgets": (budgets.page, "Error budgets"),
    "audit": (audit.page, "Audit"),
    "capacity": (capacity.page, "Capacity"),
    "platform": (platform.page, "Platform health"),
}
_HIDDEN = {"trace"}


def run() -> None:
    """One turn of the app."""
    st.set_page_config(page_title="Plugwarden", page_icon="🛡️", layout="wide")
    pages = [
        st.Page(
            view,
            title=title,
            url_path="" if name == "fleet" else name,
            default=name == "fleet",
            visibility="hidden" if name in _HIDDEN else "visible",
        )
        for name, (view, title) in _PAGES.items()
    ]
    current = st.navigation(pages, position="top")
    st.set_page_config(page_title=f"{current.title} · Plugwarden")
    found = None if visitor.at_this_machine() else visitor.use()
    if isinstance(found, Ended):
        _signed_out(found)
        return
    _controls(found)
    done = st.session_state.pop(act.FLASH, None)
    if done:
        linked.notice("good", done, key="done", title="●")
    current.run()


def _controls(signed_in: Session | None) -> None:
    interval = REFRESH.get(st.session_state.get("refresh", CHOSEN["refresh"]), 5.0)
    with st.container(horizontal=True, vertical_alignment="center", key="controls"):
        st.selectbox(
            "Time range", RANGES, index=RANGES.index(CHOSEN["range"]), key="range", bind="query-params", width=90,
            label_visibility="collapsed",
        )  # fmt: skip
        st.segmented_control(
            "Refresh", list(REFRESH), default=CHOSEN["refresh"], required=True, key="refresh", bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
        st.fragment(run_every=interval, key="header")(_header)()
        if signed_in is not None:
            linked.line(f"signed in as {signed_in.person}", key="person", align="end")
            st.button("Sign out", key="sign_out", on_click=visitor.sign_out)


def _header() -> None:
    answer = data.fetch("status")
    if answer.value is None:
        text = f"No data: {answer.problem or 'the collector has not answered yet'}"
        linked.notice("bad", text, key="header_gone", title="■ The collector is gone")
        return
    status = answer.value
    if answer.problem is not None:
        text = f"You are looking at the past: the last answer came {words.duration(time.time() - answer.at)} ago. {answer.problem}"
        linked.notice("bad", text, key="header_past", title="■ The collector is gone")
        return
    linked.line(*_facts(status), key="header_facts", align="end")
    age = status["data_age_seconds"]
    if age is not None and age > STALE_SECONDS:
        text = f"The newest call is {words.duration(age)} old: hosts are idle, or their telemetry does not arrive."
        linked.notice("warn", text, key="header_stale", title="▲")
    if status["frozen"]:
        linked.notice("warn", status["frozen"], key="header_frozen", title="▲ The automation is frozen")


def _facts(status: dict[str, Any]) -> list[Cell]:
    """Return what is true of everything now, each with the way to the page that says more."""
    age, firing, held = status["data_age_seconds"], status["firing"], status["quarantined"]
    level = status["verdict"]["level"]
    return [
        Cell("no calls yet" if age is None else f"data {words.duration(age)} old", href=address("platform")),
        Cell(f"{'■' if firing else '●'} {words.counted(firing, 'alert')} firing", href=address("alerts"), tone="bad" if firing else "good"),
        # Scopes, not plugins: one version may be isolated while its plugin is healthy with another.
        Cell(f"{'⊘' if held else '●'} {words.counted(held, 'scope')} in quarantine", href=address("quarantine"),
             tone="held" if held else "good"),
        Cell(f"policy: {status['enforcement']}", href=address("audit")),
        states.badge(level, href=address("platform")),
    ]  # fmt: skip


def _signed_out(why: Ended) -> None:
    """Say why nobody is signed in, with the way to the sign-in and back."""
    here = urlsplit(st.context.url or "/")
    linked.notice("warn", why.value, key="signed_out", title="▲")
    linked.line(
        Cell("Sign in", href=sign_in_address(unquote(here.path), here.query), strong=True), key="sign_in", size="large"
    )
