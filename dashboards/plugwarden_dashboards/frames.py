"""API answers as frames for charts: reshaping only, no business rule."""

from __future__ import annotations

from typing import Any

import pandas as pd
from plugwarden.contract.histogram import lower_bound_seconds, quantile_seconds, upper_bound_seconds
from plugwarden_collector import waterfall

from plugwarden_dashboards.words import plain

__all__ = ["heat", "lines", "marks", "quantiles", "rates", "times", "tree"]

JOINED = 8
"""Buckets of the scale-4 histogram per row of the heatmap: half an octave."""


def times(column: pd.Series[Any]) -> pd.Series[Any]:
    """The API's times as UTC without a zone: charts show them as they are."""
    return pd.to_datetime(column, utc=True, format="ISO8601").dt.tz_localize(None)


def rates(calls: list[dict[str, Any]], by: str, step: float, *, ran_only: bool = False) -> pd.DataFrame:
    """Calls per second by step and one key. Columns: at, until, `by`, rate, low, high."""
    frame = pd.DataFrame(calls)
    if ran_only and not frame.empty:
        frame = frame[frame["outcome"] != "rejected"]
    if frame.empty:
        return pd.DataFrame({"at": [], "until": [], by: [], "rate": [], "low": [], "high": []})
    key = {"version": "plugin_version"}.get(by, by)
    grouped = pd.DataFrame(frame.groupby(["time", key], as_index=False)["calls"].sum())
    grouped["at"] = times(grouped["time"])
    grouped["until"] = grouped["at"] + pd.Timedelta(seconds=step)
    grouped["rate"] = grouped["calls"] / step
    # Stacked here: Vega cannot stack marks that span a range of time.
    grouped["high"] = grouped.groupby("at")["rate"].cumsum()
    grouped["low"] = grouped["high"] - grouped["rate"]
    grouped[by] = grouped[key].map(plain)
    return grouped[["at", "until", by, "rate", "low", "high"]]


def heat(latency: list[dict[str, Any]], step: float) -> pd.DataFrame:
    """Histogram buckets by step, joined to half octaves so that a cell can be seen. Columns: at, until, low, high, count."""
    frame = pd.DataFrame(latency)
    if frame.empty:
        return frame
    frame["index"] = frame["index"] // JOINED * JOINED
    frame = pd.DataFrame(frame.groupby(["time", "index"], as_index=False)["count"].sum())
    frame["at"] = times(frame["time"])
    frame["until"] = frame["at"] + pd.Timedelta(seconds=step)
    frame["low"] = [lower_bound_seconds(index) for index in frame["index"]]
    frame["high"] = [upper_bound_seconds(index + JOINED - 1) for index in frame["index"]]
    return frame[["at", "until", "low", "high", "count"]]


def lines(columns: dict[str, list[Any]], names: dict[str, str]) -> pd.DataFrame:
    """Some of the columns below one another; steps that say nothing stay, as gaps. Columns: at, line, value."""
    wide = pd.DataFrame({"at": columns["at"], **{title: columns[name] for name, title in names.items()}})
    wide["at"] = times(wide["at"])
    long = wide.melt("at", var_name="line", value_name="value")
    long["value"] = pd.to_numeric(long["value"])
    return long


def quantiles(latency: list[dict[str, Any]]) -> pd.DataFrame:
    """p50, p95 and p99 by step. Columns: at, quantile, seconds."""
    frame = pd.DataFrame(latency)
    if frame.empty:
        return frame
    rows = []
    for moment, group in frame.sort_values("index").groupby("time"):
        indexes, counts = group["index"].tolist(), group["count"].tolist()
        for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            rows.append({"time": moment, "quantile": name, "seconds": quantile_seconds(indexes, counts, q)})
    found = pd.DataFrame(rows)
    found["at"] = times(found["time"])
    return found[["at", "quantile", "seconds"]]


def marks(
    changes: list[dict[str, Any]], decisions: list[dict[str, Any]], plugin: str, since: pd.Timestamp
) -> pd.DataFrame:
    """Deployments of a plugin, out of those of all, and the decisions about it. Columns: at, what."""
    rows = [(item["time"], plain(item["text"])) for item in changes if item["plugin_id"] == plugin]
    rows += [(item["time"], plain(f"{item['kind']} {item['scope']}")) for item in decisions]
    frame = pd.DataFrame(rows, columns=["time", "what"])
    frame["at"] = times(frame["time"])
    return frame[frame["at"] >= since][["at", "what"]]


def tree(spans: list[dict[str, Any]], limit: int = 2000) -> pd.DataFrame:
    """Spans in the order of a waterfall, parents before children, children by start."""
    rows: list[dict[str, Any]] = []
    for node in waterfall.tree(spans)[:limit]:
        span = node.span
        # A host's own spans carry a scope that is no plugin; they are told apart by having no outcome.
        owner = plain(f"{span['plugin_id']}@{span['plugin_version']}", 80) if span["outcome"] else "host"
        if span["downstream"]:
            owner = plain(f"downstream {span['downstream']}", 80)
        begins, length = node.begin_us / 1000, span["duration_seconds"] * 1000
        rows.append(
            {
                "row": len(rows), "name": "› " * min(node.depth, 12) + plain(span["name"], 80),
                "label": plain(span["name"], 80), "start_ms": begins, "end_ms": begins + max(length, 0.001),
                "length_ms": length, "depth": node.depth, "plugin": owner, "status": span["status"], "span_id": span["span_id"],
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
