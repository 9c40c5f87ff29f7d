"""One plugin: how it does, what fails, which version, and why it was taken down."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st
from plugwarden.contract import BreakerState
from plugwarden_collector.api.client import ApiError

from plugwarden_dashboards import charts, data, frames, words
from plugwarden_dashboards.page import goto, live, since

__all__ = ["page"]

_BREAKER = {state.number: state.word.replace("_", " ") for state in BreakerState}


def page() -> None:
    """The page."""
    known = {row["plugin_id"] for row in data.fetch("plugins", since=since()).value or []}
    asked = st.query_params.get("plugin")
    if asked:
        known.add(words.named(asked))
    if not known:
        st.info(f"No plugin has made a call within {since()}.")
        return
    names = sorted(known)
    # The address of the page holds the option. One that none of ours is called stands for the name that it spells.
    first = names.index(words.named(asked)) if asked and words.option(words.named(asked)) != asked else 0
    st.selectbox("Plugin", names, first, format_func=words.option, key="plugin", bind="query-params", width=320)
    live(_body, "plugin_body")


def _body() -> None:
    name = st.session_state.get("plugin")
    if not name:
        return
    try:
        answer = data.fetch(("plugins", name), since=since())
        series = data.fetch(("plugins", name, "series"), since=since())
    except ApiError as error:
        st.warning(words.md(error))
        return
    if answer.value is None or series.value is None:
        return
    detail, step = answer.value, series.value["step_seconds"]
    st.markdown(f"### {words.md(name)} · {words.state(detail['state'])}")
    if detail["why"]:
        st.text(words.plain(detail["why"], 1000))
    _tiles(detail)
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
    _tables(detail)


def _tiles(detail: dict[str, Any]) -> None:
    with st.grid(6, row_height="content"):
        st.metric("Calls per second", words.count(detail.get("calls_per_second")), border=True)
        st.metric("Failed", words.percent(detail["failed_ratio"]), border=True, help="Of the calls that ran")
        st.metric("Refused", words.count(detail.get("rejected")), border=True)
        st.metric("p50", words.duration(detail.get("p50_seconds")), border=True)
        st.metric("p99", words.duration(detail.get("p99_seconds")), border=True)
        st.metric("CPU per call", words.duration(detail["cpu_seconds_per_call"]), border=True)


def _tables(detail: dict[str, Any]) -> None:
    left, right = st.columns(2)
    with left:
        st.subheader("Operations by version")
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "Version": words.plain(row["plugin_version"]),
                        "Operation": words.plain(row["plugin_operation"]),
                        "Calls": row["calls"],
                        "Failed": row["failed"],
                        "Refused": row["rejected"],
                        "Mean": words.duration(row["mean_seconds"]),
                        "CPU": words.duration(row["cpu_seconds"]),
                        "First seen": words.moment(row["first_at"]),
                    }
                    for row in detail["operations"]
                ]
            ),
            hide_index=True, key="plugin_operations", alt="Operations by version",
        )  # fmt: skip
    with right:
        st.subheader("Errors")
        if not detail["errors"]:
            st.text("None in this time range.")
        else:
            st.dataframe(
                pd.DataFrame(
                    [
                        {
                            "Error": words.plain(row["error_type"]),
                            "Version": words.plain(row["plugin_version"]),
                            "Blamed on": words.plain(row["error_source"] or "—"),
                            "Calls": row["calls"],
                            "First": words.moment(row["first_at"]),
                            "Last": words.moment(row["last_at"]),
                        }
                        for row in detail["errors"]
                    ]
                ),
                hide_index=True, key="plugin_errors", alt="Errors by type and version",
            )  # fmt: skip
    if detail["gate"]:
        st.subheader("Gate and runners")
        st.caption("As the hosts last told it. Declared beside observed: what the plugin promised and what it does.")
        st.dataframe(
            pd.DataFrame([_gate_row(row) for row in detail["gate"]]),
            hide_index=True, key="plugin_gate", alt="Breaker, places, workers and refusals by operation",
        )  # fmt: skip
    failing = detail["failing_traces"]
    if failing:
        st.subheader("Failing traces")
        st.session_state["plugin_trace_order"] = [row["trace_id"] for row in failing]
        st.dataframe(
            pd.DataFrame(
                {
                    "open": ["Open"] * len(failing),
                    "when": [words.moment(row["started_at"]) for row in failing],
                    "error": [words.plain(row["error_type"]) for row in failing],
                    "message": [words.plain(row["status_message"], 200) for row in failing],
                    "took": [words.duration(row["duration_seconds"]) for row in failing],
                }
            ),
            hide_index=True,
            key="plugin_traces",
            alt="Recent failing traces",
            column_config={
                "open": st.column_config.ButtonColumn("", key="plugin_open_trace", on_click=_open_trace, width="small"),
                "when": "When", "error": "Error", "message": "Message", "took": "Took",
            },
        )  # fmt: skip


def _gate_row(row: dict[str, Any]) -> dict[str, Any]:
    def beside(declared: str, observed: str) -> str:
        return "—" if declared == "—" else f"{declared} / {observed}"

    refusals = sorted((row["refusals"] or {}).items(), key=lambda item: -item[1])
    return {
        "Version": words.plain(row["plugin_version"]),
        "Operation": words.plain(row["plugin_operation"]),
        "Breaker": _BREAKER.get(row["breaker_state"], "none"),
        "Running": words.count(row["running"]),
        "Waiting": words.count(row["waiting"]),
        "Abandoned": words.count(row["abandoned"]),
        "Deadline / longest": beside(words.duration(row["timeout_seconds"]), words.duration(row["longest_seconds"])),
        "Concurrency / most": beside(words.count(row["concurrency"]), words.count(row["most_running"])),
        "Worker memory": words.size(row["memory_bytes"] if row["workers"] else None),
        "Refused": ", ".join(f"{words.plain(reason)} {calls:,}" for reason, calls in refusals) or "—",
    }


def _open_trace() -> None:
    row = st.session_state["plugin_open_trace"].row
    order = st.session_state.get("plugin_trace_order", [])
    if 0 <= row < len(order):
        goto("trace", trace_id=order[row])


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
