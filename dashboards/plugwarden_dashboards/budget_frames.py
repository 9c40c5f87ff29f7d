"""What the API says of one budget as frames for charts: reshaping only, no business rule."""

from __future__ import annotations

from typing import Any

import pandas as pd

from plugwarden_dashboards import budget_charts, words
from plugwarden_dashboards.frames import times

__all__ = ["burn_down", "burn_rates", "left_out", "limits", "moment"]


def moment(text: str) -> pd.Timestamp:
    """A time of the API as UTC without a zone."""
    return pd.Timestamp(text).tz_convert("UTC").tz_localize(None)


def burn_down(points: list[dict[str, Any]], foreseen: list[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What was left, the even pace and what will be (columns: at, line, ratio); and between what that will be (at, low, high)."""
    rows = [(item["time"], budget_charts.LEFT, item["remaining_ratio"]) for item in points]
    rows += [(item["time"], budget_charts.EVEN, item["even_ratio"]) for item in (points[0], points[-1])]
    rows += [(item["time"], budget_charts.FORECAST, item["remaining_ratio"]) for item in foreseen]
    lines = pd.DataFrame(rows, columns=["time", "line", "ratio"])
    lines["at"], lines["ratio"] = times(lines["time"]), pd.to_numeric(lines["ratio"])
    cone = pd.DataFrame(
        [(item["time"], item["low_ratio"], item["high_ratio"]) for item in foreseen], columns=["time", "low", "high"]
    )
    cone["at"] = times(cone["time"])
    return lines[["at", "line", "ratio"]], cone[["at", "low", "high"]]


def left_out(corrections: list[dict[str, Any]], begins: pd.Timestamp, ends: pd.Timestamp) -> pd.DataFrame:
    """Corrections within a span of time. Columns: begins, ends, why."""
    frame = pd.DataFrame(
        [(row["starts_at"], row["ends_at"], words.plain(row["reason"], 200)) for row in corrections],
        columns=["starts_at", "ends_at", "why"],
    )
    frame["begins"] = [max(begins, at) for at in times(frame["starts_at"])]
    frame["ends"] = [min(ends, at) for at in times(frame["ends_at"])]
    return frame[frame["begins"] < frame["ends"]][["begins", "ends", "why"]]


def burn_rates(points: list[dict[str, Any]], least: float) -> tuple[pd.DataFrame, list[str]]:
    """Burn rates by window (columns: at, window, rate, drawn, which is never below `least`), and the windows, the shortest first."""
    frame = pd.DataFrame(points, columns=["time", "window_seconds", "burn_rate"]).sort_values(
        ["window_seconds", "time"]
    )
    frame["at"], frame["rate"] = times(frame["time"]), pd.to_numeric(frame["burn_rate"])
    frame["window"] = frame["window_seconds"].map(words.duration)
    frame["drawn"] = frame["rate"].clip(lower=least)
    return frame[["at", "window", "rate", "drawn"]], list(dict.fromkeys(frame["window"]))


def limits(tiers: list[dict[str, Any]]) -> pd.DataFrame:
    """Limits of tiers. Columns: factor, tier."""
    rows = [(tier["factor"], f"{tier['severity']} {words.times(tier['factor'])}") for tier in tiers]
    return pd.DataFrame(rows, columns=["factor", "tier"]).drop_duplicates()
