"""Capacity: what would be full first, what is asked for, what would be, who uses it; or all of that of one plugin."""

from __future__ import annotations

from functools import partial

import streamlit as st

from plugwarden_dashboards import data, words
from plugwarden_dashboards.capacity import demand, limits, plugin, usage, whatif
from plugwarden_dashboards.page import live, since

__all__ = ["page"]

SLOW_SECONDS = 60.0
"""Least time between refreshes of what is read from weeks of hours, which change no sooner."""
AHEAD_DAYS = ["7", "28", "90"]


def page() -> None:
    """The page."""
    asked = st.query_params.get("plugin")
    if asked:
        _of(words.named(asked))
    else:
        _all()


def _all() -> None:
    live(limits.draw, "capacity_limits", least_seconds=SLOW_SECONDS)
    found = data.fetch("capacity", since=since())
    if found.value:
        whatif.operands([row["plugin_id"] for row in found.value])
        live(whatif.answer, "capacity_whatif", least_seconds=SLOW_SECONDS)
        st.subheader("What is asked for")
        with st.container(horizontal=True, key="demand_choice"):
            by = st.segmented_control("By", demand.BY, default="plugin", required=True, key="by", bind="query-params")
            resource = _resource("load", "calls_per_second")
        live(partial(demand.draw, by or "plugin", resource), "capacity_demand", least_seconds=SLOW_SECONDS)
        st.subheader("Who uses it")
        who = st.segmented_control(
            "Of",
            ["owner", "tenant"],
            default="owner",
            required=True,
            key="of",
            bind="query-params",
            label_visibility="collapsed",
        )
        live(partial(usage.showback, who or "owner"), "capacity_showback", least_seconds=SLOW_SECONDS)
    live(usage.store, "capacity_store", least_seconds=SLOW_SECONDS)


def _of(name: str) -> None:
    plugin.head(name)
    with st.container(horizontal=True, key="capacity_choice"):
        resource = _resource("resource", "concurrency")
        days = st.segmented_control(
            "Days ahead", AHEAD_DAYS, default="28", required=True, key="days", bind="query-params"
        )
    live(partial(plugin.draw, name, resource, int(days or "28")), "capacity_plugin", least_seconds=SLOW_SECONDS)


def _resource(key: str, usual: str) -> str:
    found = st.segmented_control(
        "Load in", list(demand.RESOURCES), default=usual, required=True, key=key, bind="query-params",
        format_func=demand.RESOURCES.__getitem__,
    )  # fmt: skip
    return str(found or usual)
