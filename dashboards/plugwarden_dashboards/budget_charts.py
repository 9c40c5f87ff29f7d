"""Charts of one error budget: what was left of it and what will be, and how fast it burned. Times are UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from plugwarden_dashboards.charts import PALETTE

__all__ = ["LEAST_RATE", "burn_down", "burn_rates"]

AnyChart = Any
"""Altair's own types differ between calls that a reader takes for the same."""

LEFT, EVEN, FORECAST = "left", "even pace", "at this pace"
LINES = {LEFT: ("#0072B2", [1, 0]), EVEN: ("#999999", [6, 4]), FORECAST: ("#0072B2", [2, 2])}
"""Colour and dashes of each line of a burn-down."""
LEAST_RATE = 0.01
"""A rate that is lower, as one of nothing, is drawn here: an axis of powers has no zero."""
TICKS = [factor * 10.0**power for power in range(-2, 7) for factor in (1, 3)]
DEEPEST = -1.0
"""What is overspent by more than the whole budget is drawn out of sight: what led there would be a flat line."""
PERCENT = "format(datum.value, '.0%')"
TIMES = "format(datum.value, '~g') + '×'"
DAYS = pd.Timedelta("2D")
"""From this length on an axis of time says days, and below it hours."""
_AT = alt.Tooltip("at:T", title="at", format="%Y-%m-%d %H:%M")


def burn_down(
    lines: pd.DataFrame, cone: pd.DataFrame, left_out: pd.DataFrame, now: pd.Timestamp, height: int = 300
) -> AnyChart:
    """Return what was left of a budget. Columns: of `lines` at, line, ratio; of the forecast's `cone` at, low, high; of stretches that
    corrections leave out begins, ends, why."""
    deepest = max(DEEPEST, min([-0.1, *lines["ratio"].dropna() - 0.05]))
    y = alt.Y(
        "ratio:Q", scale=alt.Scale(domain=[deepest, 1.0], nice=False), axis=alt.Axis(title="budget left", labelExpr=PERCENT, tickCount=6)
    )  # fmt: skip
    domain = alt.Scale(domain=[lines["at"].min().isoformat(), lines["at"].max().isoformat()], nice=False)
    time = _time(lines["at"].max() - lines["at"].min())
    x = alt.X("at:T", axis=time, scale=domain)
    bands = (
        alt.Chart(left_out)
        .mark_rect(color="#999999", opacity=0.3)
        .encode(x=alt.X("begins:T", axis=time, scale=domain), x2="ends:T", tooltip=["why:N"])
    )
    beyond = (
        alt.Chart(pd.DataFrame({"low": [deepest], "high": [0.0]}))
        .mark_rect(color="#D55E00", opacity=0.08)
        .encode(y=alt.Y("low:Q"), y2="high:Q")
    )
    ahead = (
        alt.Chart(cone)
        .mark_area(color="#0072B2", opacity=0.18, clip=True)
        .encode(x=x, y=alt.Y("low:Q"), y2="high:Q", tooltip=[_AT, _percent("low"), _percent("high")])
    )
    colours = alt.Scale(domain=list(LINES), range=[colour for colour, _ in LINES.values()])
    dashes = alt.Scale(domain=list(LINES), range=[dash for _, dash in LINES.values()])
    drawn = (
        alt.Chart(lines)
        .mark_line(clip=True, strokeWidth=2)
        .encode(
            x=x,
            y=y,
            color=alt.Color("line:N", scale=colours, legend=alt.Legend(title=None, orient="top", symbolType="stroke")),
            strokeDash=alt.StrokeDash("line:N", scale=dashes, legend=None),  # never colour alone
            tooltip=[_AT, "line:N", _percent("ratio")],
        )
    )
    marks = pd.DataFrame({"at": [now]})
    today = alt.Chart(marks).mark_rule(color="#999999", strokeDash=[2, 2]).encode(x="at:T", tooltip=[_AT])
    empty = alt.Chart(pd.DataFrame({"ratio": [0.0]})).mark_rule(color="#D55E00", size=1.5).encode(y="ratio:Q")
    return alt.layer(beyond, bands, ahead, empty, today, drawn).properties(height=height)


def burn_rates(
    rates: pd.DataFrame, limits: pd.DataFrame, windows: Sequence[str], since: pd.Timestamp, until: pd.Timestamp, height: int = 300
) -> AnyChart:  # fmt: skip
    """Return burn rates over time, each tier's limit as a line that says what it is. Columns: of `rates` at, window, drawn, rate;
    of `limits` factor, tier. `windows` is their order."""
    most = max([1.0, *rates["drawn"].dropna(), *limits["factor"]]) * 1.5
    least = max(LEAST_RATE, min([0.3, *rates["drawn"].dropna()]))
    y = alt.Scale(type="log", domain=[least, most], nice=False)
    axis = alt.Axis(
        title="burn rate", labelExpr=TIMES, grid=True, values=[tick for tick in TICKS if least <= tick <= most]
    )
    x = alt.X(
        "at:T", axis=_time(until - since), scale=alt.Scale(domain=[since.isoformat(), until.isoformat()], nice=False)
    )
    drawn = (
        alt.Chart(rates)
        .mark_line(clip=True, strokeWidth=2)
        .encode(
            x=x,
            y=alt.Y("drawn:Q", scale=y, axis=axis),
            color=alt.Color(
                "window:N", scale=alt.Scale(domain=list(windows), range=PALETTE),
                legend=alt.Legend(title=None, orient="top", symbolType="stroke"),
            ),
            strokeDash=alt.StrokeDash(
                "window:N", scale=alt.Scale(domain=list(windows), range=[[1, 0], [6, 3], [2, 2], [8, 2, 2, 2]]), legend=None
            ),
            tooltip=[_AT, "window:N", alt.Tooltip("rate:Q", title="burn rate", format=".3g")],
        )
    )  # fmt: skip
    points = (  # between two gaps there is no line
        alt.Chart(rates)
        .mark_circle(clip=True, size=12)
        .encode(
            x=x, y=alt.Y("drawn:Q", scale=y), color=alt.Color("window:N", legend=None), tooltip=drawn.encoding.tooltip
        )
    )
    base = alt.Chart(limits).encode(y=alt.Y("factor:Q", scale=y))
    rules = base.mark_rule(color="#D55E00", strokeDash=[6, 4]).encode(tooltip=["tier:N"])
    names = base.mark_text(align="left", baseline="bottom", dx=4, dy=-2, color="#D55E00").encode(
        x=alt.value(0), text="tier:N"
    )
    return alt.layer(rules, drawn, points, names).properties(height=height)


def _time(length: pd.Timedelta) -> alt.Axis:
    return alt.Axis(
        title="UTC", format="%b %d" if length >= DAYS else "%H:%M", grid=False, labelOverlap=True, tickCount=6
    )


def _percent(name: str) -> alt.Tooltip:
    return alt.Tooltip(f"{name}:Q", format=".3~%")
