"""Charts of load: over the asked time range, and as it is foreseen. Times are UTC."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from plugwarden_dashboards.charts import PALETTE

__all__ = ["concurrency", "foreseen", "stacked"]

AnyChart = Any
"""Altair's own types differ between calls that a reader takes for the same."""

PAST, EXPECTED = "measured", "foreseen"
LOAD = "#0072B2"
"""Colour of load: 3 to 1 and more on the light and the dark page."""
BOUND = "#D55E00"
"""Colour of what holds load, as bright."""
AMOUNT_LABEL = "format(datum.value, datum.value < 1 ? '.3~g' : '.3~s')"
"""Label of an axis of load: below one it is a decimal, for nobody reads `800m` as a part of a core."""
DAY = pd.Timedelta("1D")
"""From this length on an axis of time says dates, and below it hours."""
_AT = alt.Tooltip("at:T", title="at", format="%Y-%m-%d %H:%M")
_VALUE = alt.Tooltip("value:Q", format=".3~s")


def stacked(frame: pd.DataFrame, since: pd.Timestamp, until: pd.Timestamp, title: str, height: int = 240) -> AnyChart:
    """Return load by step, those that ask for it above one another. Columns: at, until, line, value, low, high."""
    order = list(dict.fromkeys(frame["line"]))
    return (
        alt.Chart(frame)
        .mark_rect(clip=True)
        .encode(
            x=_x(since, until),
            x2="until:T",
            y=_y("low:Q", title),
            y2="high:Q",
            color=alt.Color(
                "line:N", scale=alt.Scale(domain=order, range=PALETTE), legend=alt.Legend(title=None, orient="top", columns=4)
            ),
            tooltip=[_AT, alt.Tooltip("until:T", format="%Y-%m-%d %H:%M"), "line:N", _VALUE],
        )
        .properties(height=height)
    )  # fmt: skip


def concurrency(
    frame: pd.DataFrame, limits: pd.DataFrame, since: pd.Timestamp, until: pd.Timestamp, title: str, height: int = 240
) -> AnyChart:
    """Return load by step against what holds it. Columns: of `frame` at, until, value; of `limits` value, line."""
    steps = (
        alt.Chart(frame)
        .mark_rule(color=LOAD, strokeWidth=3, clip=True)
        .encode(x=_x(since, until), x2="until:T", y=_y("value:Q", title), tooltip=[_AT, _VALUE])
    )
    return alt.layer(steps, *_bounds(limits)).properties(height=height)


def foreseen(
    past: pd.DataFrame, ahead: pd.DataFrame, limits: pd.DataFrame, since: pd.Timestamp, until: pd.Timestamp, title: str, height: int = 300
) -> AnyChart:  # fmt: skip
    """Return load by the hour as it was and is foreseen, with the intervals of 80 and 95 % as bands. Columns: of `past` at, value;
    of `ahead` at, expected, low_80, high_80, low_95, high_95; of `limits` value, line."""
    x = _x(since, until)
    bands = [
        alt.Chart(ahead)
        .mark_area(color=LOAD, opacity=opacity, clip=True)
        .encode(
            x=x, y=_y(f"low_{level}:Q", title), y2=f"high_{level}:Q",
            tooltip=[_AT, alt.Tooltip(f"low_{level}:Q", format=".3~s"), alt.Tooltip(f"high_{level}:Q", format=".3~s")],
        )
        for level, opacity in ((95, 0.15), (80, 0.25))
    ]  # fmt: skip
    drawn = pd.concat(
        [past.assign(line=PAST), ahead[["at", "expected"]].rename(columns={"expected": "value"}).assign(line=EXPECTED)]
    )
    lines = (
        alt.Chart(drawn)
        .mark_line(color=LOAD, clip=True, strokeWidth=1.5)
        .encode(
            x=x,
            y=_y("value:Q", title),
            strokeDash=alt.StrokeDash(
                "line:N", scale=alt.Scale(domain=[PAST, EXPECTED], range=[[1, 0], [4, 3]]),
                legend=alt.Legend(title=None, orient="top", symbolType="stroke"),
            ),
            tooltip=[_AT, "line:N", _VALUE],
        )
    )  # fmt: skip
    return alt.layer(*bands, lines, *_bounds(limits)).properties(height=height)


def _bounds(limits: pd.DataFrame) -> list[AnyChart]:
    base = alt.Chart(limits).encode(y=alt.Y("value:Q"))
    return [
        base.mark_rule(color=BOUND, strokeDash=[6, 4], size=1.5).encode(tooltip=["line:N", _VALUE]),
        base.mark_text(align="left", baseline="bottom", dx=4, dy=-2, color=BOUND).encode(x=alt.value(0), text="line:N"),
    ]


def _x(since: pd.Timestamp, until: pd.Timestamp) -> alt.X:
    length = until - since
    form = "%H:%M" if length < DAY else "%b %d %H:%M" if length < 4 * DAY else "%b %d"
    return alt.X(
        "at:T", axis=alt.Axis(title="UTC", format=form, grid=False, labelOverlap=True, tickCount=6),
        scale=alt.Scale(domain=[since.isoformat(), until.isoformat()], nice=False),
    )  # fmt: skip


def _y(column: str, title: str) -> alt.Y:
    return alt.Y(column, axis=alt.Axis(title=title, labelExpr=AMOUNT_LABEL, tickCount=5), scale=alt.Scale(zero=True))
