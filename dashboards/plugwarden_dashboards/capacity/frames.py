"""Answers about load as frames for charts: reshaping only. Missing stays missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from plugwarden_dashboards.frames import times
from plugwarden_dashboards.words import plain

__all__ = ["ahead", "limit_lines", "over_time", "past"]

OTHERS = "all others"


def over_time(
    steps: Sequence[tuple[pd.Timestamp, pd.Timestamp, Mapping[str, float | None]]], most: int
) -> pd.DataFrame:
    """Return load by step, those with the most by name and the rest together. Columns: at, until, line, value, low, high. Whoever
    was not heard within a step in which others were has none; a step in which nobody was heard has no rows.
    """
    sums: dict[str, float] = {}
    for _, _, values in steps:
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + (value or 0.0)
    named = sorted(sums, key=lambda name: (-sums[name], name))[:most]
    rows = []
    for begins, ends, values in steps:
        low = 0.0
        rest = [value for name, value in values.items() if name not in named and value is not None]
        parts = [(plain(name, 60), values[name]) for name in named if name in values]
        for line, value in [*parts, *([(OTHERS, sum(rest))] if rest else [])]:
            if value is not None:
                rows.append(
                    {"at": begins, "until": ends, "line": line, "value": value, "low": low, "high": low + value}
                )
                low += value
    return pd.DataFrame(rows, columns=["at", "until", "line", "value", "low", "high"])


def past(curve: Mapping[str, Any], since: pd.Timestamp) -> pd.DataFrame:
    """Return the hours that were, from a moment on; those in which nobody was heard are gaps. Columns: at, value."""
    frame = pd.DataFrame(curve["past"], columns=["time", "value"])
    frame["at"] = times(frame["time"])
    frame["value"] = pd.to_numeric(frame["value"])
    return frame[frame["at"] >= since][["at", "value"]]


def ahead(curve: Mapping[str, Any]) -> pd.DataFrame:
    """Return the hours to come. Columns: at, expected, low_80, high_80, low_95, high_95."""
    names = ["expected", "low_80", "high_80", "low_95", "high_95"]
    frame = pd.DataFrame(curve["ahead"], columns=["time", *names])
    frame["at"] = times(frame["time"])
    return frame[["at", *names]]


def limit_lines(standing: Mapping[str, Any], resource: str, plugin: str) -> pd.DataFrame:
    """Return what holds a plugin, of one resource: limits, and where its latency bends. Columns: value, line."""
    rows = [
        {
            "value": item["limit"],
            "line": " ".join(filter(None, (item["kind"], plain(item["plugin_operation"] or "", 40)))),
        }
        for item in standing["plugins"]
        if item["plugin_id"] == plugin and item["resource"] == resource
    ]
    return pd.DataFrame(rows, columns=["value", "line"]).drop_duplicates()
