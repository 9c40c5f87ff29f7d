"""One plugin: how it does, what fails, which version, and why it was taken down."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pandas as pd
import streamlit as st
from plugwarden.contract import BreakerState
from plugwarden_collector.api.client import ApiError

from plugwarden_dashboards import charts, data, frames, linked, states, words
from plugwarden_dashboards.address import address, budget_link, plugin_link, subject_link, trace_link
from plugwarden_dashboards.linked import Cell, Column, Tile
from plugwarden_dashboards.page import absent, live, since

__all__ = ["page"]

ALL = ""
"""In place of a version: none has an empty name."""
SHOWN = 5
"""Failing traces that stand above the charts; the search has all of them."""
_BREAKER = {state.number: state.word.replace("_", " ") for state in BreakerState}
_OPERATIONS = (
    Column("Version"), Column("Operation"), Column("Calls", "end"), Column("Failed", "end"), Column("Refused", "end", narrow=False),
    Column("Mean", "end"), Column("CPU", "end", narrow=False), Column("First seen", narrow=False),
)  # fmt: skip
_ERRORS = (
    Column("Error"), Column("Version"), Column("Blamed on"), Column("Calls", "end"), Column("First", narrow=False),
    Column("Last", narrow=False),
)  # fmt: skip
_FAILING = (
    Column("When"), Column("Version", narrow=False), Column("Error"), Column("Message", wide=True), Column("Took", "end", narrow=False),
    Column("Trace"),
)  # fmt: skip
_GATE = (
    Column("Version"), Column("Operation"), Column("Breaker", choice=True), Column("Running", "end"), Column("Waiting", "end"),
    Column("Abandoned", "end", narrow=False), Column("Deadline / longest", "end", narrow=False),
    Column("Concurrency / most", "end", narrow=False), Column("Worker memory", "end", narrow=False), Column("Refused", narrow=False),
)  # fmt: skip


def page() -> None:
    """The page."""
    known = {row["plugin_id"]: row["versions"] for row in data.fetch("plugins", since=since()).value or []}
    asked = st.query_params.get("plugin")
    if asked:
        known.setdefault(words.named(asked), [])
    if not known:
        st.info(f"No plugin has made a call within {since()}.")
        return
    names = sorted(known)
    # The address of the page holds the option. One that none of ours is called stands for the name that it spells.
    # None is chosen by default: what is the default is left out of the address, which others then could not share.
    first = names.index(words.named(asked)) if asked and words.option(words.named(asked)) != asked else None
    with st.container(horizontal=True):
        name = st.selectbox(
            "Plugin", names, first, format_func=words.option, key="plugin", bind="query-params", width=320,
            placeholder="Which one?",
        )  # fmt: skip
        version = words.named(st.query_params.get("version", ""))
        versions = sorted({*known.get(name or "", []), *([version] if version else [])})
        st.selectbox("Version", [ALL, *versions], format_func=_option, key="version", bind="query-params", width=160)
    if name is None:
        linked.line(*map(plugin_link, names), key="plugin_names")
        return
    live(_body, "plugin_body")


def _option(version: str) -> str:
    return words.option(version) if version else "⟨all⟩"  # which no version's option is


def _body() -> None:
    name, version = st.session_state.get("plugin"), st.session_state.get("version") or ALL
    if not name:
        return
    try:
        answer = data.fetch(("plugins", name), since=since())
        series = data.fetch(("plugins", name, "series"), since=since())
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            absent("plugin", name, "fleet", why=f"it made no call within {since()}, or is past retention")
        else:
            linked.notice("warn", str(error), key="plugin_problem", links=[Cell("Fleet", href=address("fleet"))])
        return
    if answer.value is None or series.value is None:
        return
    detail, step = answer.value, series.value["step_seconds"]
    _head(name, detail)
    _tiles(detail)
    _failing_traces(name, version, detail["failing_traces"])
    calls, latency = series.value["calls"], series.value["latency"]
    if not calls:
        st.info("No calls in this time range.")
        return
    begin = frames.times(pd.Series([row["time"] for row in calls])).min()
    changes = frames.marks(data.fetch("changes").value or [], _decisions(name, detail["versions"]), name, begin)
    limits = [row["threshold_seconds"] for row in detail["objectives"] if row["threshold_seconds"] is not None]
    if latency:
        st.subheader("Latency")
        st.altair_chart(
            charts.latency_heatmap(frames.heat(latency, step), limits, changes), key="plugin_heat", width="stretch",
            alt=f"Heatmap of {words.plain(name)}'s latency over time; dashed lines are its objectives' thresholds",
        )  # fmt: skip
        st.altair_chart(
            charts.latency_lines(frames.quantiles(latency), changes), key="plugin_lines", width="stretch",
            alt="50th, 95th and 99th percentile of latency over time",
        )  # fmt: skip
    left, right = st.columns(2)
    with left:
        st.subheader("Throughput by outcome")
        st.altair_chart(
            charts.calls_by_outcome(frames.rates(calls, "outcome", step), changes), key="plugin_outcomes",
            width="stretch", alt="Calls per second by outcome; dotted lines are deployments and decisions",
        )  # fmt: skip
    with right:
        st.subheader("Versions that ran")
        st.altair_chart(
            charts.versions(frames.rates(calls, "version", step, ran_only=True), changes), key="plugin_versions",
            width="stretch", alt="Calls per second by version",
        )  # fmt: skip
    _tables(name, detail, version)


def _head(name: str, detail: dict[str, Any]) -> None:
    """Say which plugin this is, how it stands and why, and lead to what is done about it."""
    linked.line(Cell(words.option(name), strong=True), states.badge(detail["state"]), key="plugin_head", size="large")
    if not detail["why"]:
        return
    held = [row for row in data.fetch("quarantine").value or [] if row["plugin_id"] == name and row["ended_at"] is None]
    alerts = (data.fetch("alerts").value or {"alerts": []})["alerts"]
    firing = [row for row in alerts if row["plugin_id"] == name and row["state"] == "firing"]
    links = [subject_link(row["id"], "What was done about it") for row in held[:1]]
    links += [subject_link(row["fingerprint"], f"Alert: {row['name']}, {row['severity']}") for row in firing[:4]]
    linked.notice(states.tone(detail["state"]), detail["why"], key="plugin_why", links=links)


def _tiles(detail: dict[str, Any]) -> None:
    name = words.option(detail["plugin_id"])
    linked.tiles(
        [
            Tile("Calls per second", words.count(detail.get("calls_per_second"))),
            Tile("Failed", words.percent(detail["failed_ratio"]), address("traces", t_plugin=name, t_outcome="error"),
                 "of the calls that ran", "bad" if detail["state"] == "degraded" else None),
            Tile("Refused", words.count(detail.get("rejected")), address("traces", t_plugin=name, t_outcome="rejected")),
            Tile("p50", words.duration(detail.get("p50_seconds"))),
            Tile("p99", words.duration(detail.get("p99_seconds"))),
            Tile("CPU per call", words.duration(detail["cpu_seconds_per_call"])),
            Tile("Budget left", words.budget(detail["budget_remaining_ratio"]), _budget(detail),
                 words.plain(detail["budget_slo"] or "")),
        ],
        key="plugin_tiles",
    )  # fmt: skip


def _budget(detail: dict[str, Any]) -> str | None:
    slo = detail["budget_slo"]
    return budget_link(slo, detail["plugin_id"]).href if slo else address("budgets")


def _failing_traces(name: str, version: str, failing: list[dict[str, Any]]) -> None:
    """Draw the newest calls that failed, and lead to all of them."""
    rows = [row for row in failing if version in (ALL, row["plugin_version"])]
    if not rows:
        return
    found = address("traces", t_plugin=words.option(name), t_version=words.option(version), t_outcome="error")
    linked.line(Cell("Failing traces", strong=True), Cell("search all of them", href=found), key="failing_head")
    linked.table("The newest failing traces", _FAILING, [_failing(name, row) for row in rows[:SHOWN]], key="failing")


def _tables(name: str, detail: dict[str, Any], version: str) -> None:
    def chosen(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in rows if version in (ALL, row["plugin_version"])]

    left, right = st.columns(2)
    with left:
        st.markdown("#### Operations by version")
        rows = [_operation(name, row) for row in chosen(detail["operations"])]
        linked.table("Operations by version", _OPERATIONS, rows, key="operations")
    with right:
        st.markdown("#### Errors")
        errors = [_error(name, row) for row in chosen(detail["errors"])]
        if errors:
            linked.table("Errors by type and version", _ERRORS, errors, key="errors")
        else:
            st.text("None in this time range.")
    gate = chosen(detail["gate"])
    if gate:
        st.markdown("#### Gate and runners")
        st.caption("As hosts reported last. Each pair is what the plugin declares / what was observed.")
        rows = [_gate_row(name, row) for row in gate]
        linked.table("Breaker, places, workers and refusals by operation", _GATE, rows, key="gate")


def _operation(name: str, row: dict[str, Any]) -> list[linked.Said]:
    return [
        plugin_link(name, row["plugin_version"], alone=True),
        words.option(row["plugin_operation"]),
        *(Cell(words.count(row[key]), value=row[key]) for key in ("calls", "failed", "rejected")),
        *(Cell(words.duration(row[key]), value=row[key]) for key in ("mean_seconds", "cpu_seconds")),
        words.moment(row["first_at"]),
    ]


def _error(name: str, row: dict[str, Any]) -> list[linked.Said]:
    version = words.option(row["plugin_version"])
    found = address(
        "traces", t_plugin=words.option(name), t_version=version, t_text=words.plain(row["error_type"], 200)
    )
    return [
        Cell(words.option(row["error_type"]), href=found),
        plugin_link(name, row["plugin_version"], alone=True),
        row["error_source"] or "—",
        Cell(words.count(row["calls"]), value=row["calls"]),
        words.moment(row["first_at"]),
        words.moment(row["last_at"]),
    ]


def _failing(name: str, row: dict[str, Any]) -> list[linked.Said]:
    return [
        trace_link(row["trace_id"], words.moment(row["started_at"]), row["span_id"]),
        plugin_link(name, row["plugin_version"], alone=True),
        words.option(row["error_type"] or "—"),
        row["status_message"],
        Cell(words.duration(row["duration_seconds"]), value=row["duration_seconds"]),
        trace_link(row["trace_id"]),
    ]


def _gate_row(name: str, row: dict[str, Any]) -> list[linked.Said]:
    def beside(say: Callable[[float | None], str], declared: str, observed: str) -> Cell:
        limit = row[declared]
        return Cell("—" if limit is None else f"{say(limit)} / {say(row[observed])}", value=limit)

    refusals = sorted((row["refusals"] or {}).items(), key=lambda item: -item[1])
    memory = row["memory_bytes"] if row["workers"] else None
    return [
        plugin_link(name, row["plugin_version"], alone=True),
        words.option(row["plugin_operation"] or "—"),
        _BREAKER.get(row["breaker_state"], "none"),
        *(Cell(words.count(row[key]), value=row[key]) for key in ("running", "waiting", "abandoned")),
        beside(words.duration, "timeout_seconds", "longest_seconds"),
        beside(words.count, "concurrency", "most_running"),
        Cell(words.size(memory), value=memory),
        Cell(
            ", ".join(f"{words.plain(reason)} {calls:,}" for reason, calls in refusals) or "—",
            value=sum(row["refusals"].values()) if refusals else None,
        ),
    ]


def _decisions(name: str, versions: list[str]) -> list[dict[str, Any]]:
    """Those about this plugin: by their quarantine, and what led to none by its scope, whose text could be another plugin's name."""
    own = {row["id"] for row in data.fetch("quarantine").value or [] if row["plugin_id"] == name}
    scopes = [name, *(f"{name}@{version}" for version in versions)]
    return [
        row
        for row in data.fetch("audit", limit=200, stream="decisions").value or []
        if row["quarantine_id"] in own
        or (row["quarantine_id"] is None and any(f"{row['scope']} ".startswith(f"{scope} ") for scope in scopes))
    ]
