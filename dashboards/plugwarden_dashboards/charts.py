"""Turns frames into charts and does nothing else. Times are UTC; durations carry their unit on the axis.

Colours: Okabe and Ito's palette, which people with colour-blindness tell apart; red only for what is bad.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import altair as alt
import pandas as pd
from plugwarden_collector.durations import UNITS

__all__ = [
    "calls_by_outcome",
    "latency_heatmap",
    "latency_lines",
    "lines",
    "trace_scatter",
    "versions",
    "waterfall",
]

AnyChart = Any
"""Altair's own types differ between calls that a reader takes for the same."""

OUTCOMES = {
    "success": "#0072B2",
    "error": "#D55E00",
    "timeout": "#E69F00",
    "rejected": "#CC79A7",
    "cancelled": "#999999",
}
PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999"]
DURATION_LABEL = (
    "".join(
        f"datum.value<{following!r}?format(datum.value/{length!r},'.3~g')+' {unit}':"
        for (unit, length), (_, following) in pairwise(UNITS)
    )
    + f"format(datum.value/{UNITS[-1][1]!r},',.3~r')+' {UNITS[-1][0]}'"
)
"""Label of an axis in seconds, as `duration` has it: an expression of Vega's."""
COUNT_LABEL = "format(datum.value,'~s')"
BYTE_UNITS = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))
NAMES_PIXELS = 200
"""Room for the names of spans, in pixels: a telephone has 390, and the bars need some of it."""
_TIME = alt.Axis(title=None, format="%H:%M:%S", grid=False, labelOverlap=True)


def calls_by_outcome(frame: pd.DataFrame, changes: pd.DataFrame) -> AnyChart:
    """Calls per second, stacked by outcome. Columns: at, until, outcome, rate, low, high."""
    return _stacked(frame, changes, "outcome", alt.Scale(domain=list(OUTCOMES), range=list(OUTCOMES.values())))


def versions(frame: pd.DataFrame, changes: pd.DataFrame) -> AnyChart:
    """Calls that ran per second, by version. Columns: at, until, version, rate, low, high."""
    return _stacked(frame, changes, "version", alt.Scale(range=PALETTE))


def latency_heatmap(
    cells: pd.DataFrame, limits_seconds: Sequence[float], changes: pd.DataFrame, height: int = 260
) -> AnyChart:
    """Return where the calls are, time by log latency, with a dashed line a limit. Columns: at, until, low, high (s), count."""
    low, high = float(cells["low"].min()), float(cells["high"].max())
    domain = [
        min([low, *(limit / 2 for limit in limits_seconds)]),
        max([high, *(limit * 2 for limit in limits_seconds)]),
    ]
    heat = (
        alt.Chart(cells)
        .mark_rect()
        .encode(
            x=alt.X("at:T", axis=_TIME),
            x2="until:T",
            y=alt.Y(
                "low:Q",
                scale=alt.Scale(type="log", domain=domain, nice=False),
                axis=alt.Axis(title="latency", labelExpr=DURATION_LABEL, grid=False),
            ),
            y2="high:Q",
            color=alt.Color(
                "count:Q", scale=alt.Scale(scheme="viridis", type="symlog"), legend=alt.Legend(title="calls")
            ),
            tooltip=[
                alt.Tooltip("at:T", format="%H:%M:%S"),
                alt.Tooltip("low:Q", title="from (s)", format=".3g"),
                alt.Tooltip("high:Q", title="to (s)", format=".3g"),
                alt.Tooltip("count:Q", title="calls"),
            ],
        )
    )
    layers: list[Any] = [heat, _rules(changes)]
    if limits_seconds:
        line = alt.Chart(pd.DataFrame({"threshold": limits_seconds}))
        layers.append(line.mark_rule(strokeDash=[6, 4], color="#D55E00", size=2).encode(y="threshold:Q"))
    return alt.layer(*layers).properties(height=height)


def latency_lines(frame: pd.DataFrame, changes: pd.DataFrame, height: int = 200) -> AnyChart:
    """p50, p95 and p99 over time: one hue, three weights. Columns: at, quantile, seconds."""
    lines = (
        alt.Chart(frame)
        .mark_line(interpolate="step-after", color="#0072B2")
        .encode(
            x=alt.X("at:T", axis=_TIME),
            y=alt.Y(
                "seconds:Q",
                scale=alt.Scale(type="log", nice=True),
                axis=alt.Axis(title="latency", labelExpr=DURATION_LABEL, grid=False),
            ),
            strokeDash=alt.StrokeDash(
                "quantile:N",
                scale=alt.Scale(domain=["p50", "p95", "p99"], range=[[1, 0], [6, 3], [2, 2]]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            opacity=alt.Opacity(
                "quantile:N", scale=alt.Scale(domain=["p50", "p95", "p99"], range=[0.6, 0.8, 1.0]), legend=None
            ),
            tooltip=[
                alt.Tooltip("at:T", format="%H:%M:%S"), "quantile:N", alt.Tooltip("seconds:Q", format=".3g"),
            ],
        )
    )  # fmt: skip
    return alt.layer(lines, _rules(changes)).properties(height=height)


def lines(frame: pd.DataFrame, kind: str, height: int = 220) -> AnyChart:
    """Lines over time from zero. Columns: at, line, value. `kind`: `count`, `duration` (s) or `bytes`."""
    label = DURATION_LABEL if kind == "duration" else COUNT_LABEL
    title = None
    if kind == "bytes":  # in the unit of the largest, so that the axis has round numbers
        most = float(frame["value"].max())
        factor, title = next(((size, unit) for size, unit in BYTE_UNITS if most >= size), BYTE_UNITS[-1])
        frame = frame.assign(value=frame["value"] / factor)
    axis = alt.Axis(title=title, tickCount=4, labelExpr=label)
    order = list(dict.fromkeys(frame["line"]))
    return (
        alt.Chart(frame)
        .mark_line(interpolate="step-before")
        .encode(
            x=alt.X("at:T", axis=_TIME),
            y=alt.Y("value:Q", axis=axis, scale=alt.Scale(zero=True)),
            color=alt.Color(
                "line:N", scale=alt.Scale(domain=order, range=PALETTE), legend=alt.Legend(title=None, orient="top")
            ),
            # Never colour alone.
            strokeDash=alt.StrokeDash(
                "line:N", scale=alt.Scale(domain=order, range=[[1, 0], [6, 3], [2, 2]]), legend=None
            ),
            tooltip=[alt.Tooltip("at:T", format="%H:%M:%S"), "line:N", alt.Tooltip("value:Q", format=".3s")],
        )
        .properties(height=height)
    )


def trace_scatter(frame: pd.DataFrame, height: int = 220) -> AnyChart:
    """Traces by time and duration. Columns: started, seconds, spans, status, root."""
    return (
        alt.Chart(frame)
        .mark_circle(opacity=0.75)
        .encode(
            x=alt.X("started:T", axis=_TIME),
            y=alt.Y(
                "seconds:Q",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(title="duration", labelExpr=DURATION_LABEL, grid=False),
            ),
            size=alt.Size("spans:Q", legend=None, scale=alt.Scale(range=[20, 200])),
            color=alt.Color(
                "status:N",
                scale=alt.Scale(domain=["ok", "error"], range=["#0072B2", "#D55E00"]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=["root:N", alt.Tooltip("seconds:Q", format=".3g"), "spans:Q", "status:N"],
        )
        .properties(height=height)
    )


def waterfall(frame: pd.DataFrame) -> AnyChart:
    """Spans of one trace over time. Columns: row (from 0), name, label, start_ms, end_ms, length_ms, plugin, status."""
    # Names by the number of their row: by themselves the axis would fold spans of the same name into one. A JSON text is the same
    # text in Vega's expressions.
    rows = alt.Y(
        "row:O",
        axis=alt.Axis(
            title=None, labelExpr=f"{json.dumps(frame['name'].tolist())}[datum.value]", labelAlign="left",
            labelPadding=NAMES_PIXELS, labelLimit=NAMES_PIXELS - 8, minExtent=NAMES_PIXELS, labelOverlap=False, ticks=False,
            domain=False,
        ),
    )  # fmt: skip
    bars = (
        alt.Chart(frame)
        .mark_bar(height={"band": 0.7}, cornerRadius=2)
        .encode(
            x=alt.X("start_ms:Q", title="ms since the trace began", scale=alt.Scale(nice=False)),
            x2="end_ms:Q",
            y=rows,
            color=alt.Color("plugin:N", scale=alt.Scale(range=PALETTE), legend=alt.Legend(title=None, orient="top")),
            stroke=alt.condition(alt.datum.status == "error", alt.value("#D00000"), alt.value(None)),
            strokeWidth=alt.condition(alt.datum.status == "error", alt.value(2.5), alt.value(0)),
            tooltip=[
                "label:N",
                alt.Tooltip("start_ms:Q", format=".3f"),
                alt.Tooltip("length_ms:Q", format=".3f"),
                "status:N",
            ],
        )
    )
    return bars.properties(height=110 + 28 * len(frame))


def _stacked(frame: pd.DataFrame, changes: pd.DataFrame, by: str, scale: alt.Scale) -> AnyChart:
    bars = (
        alt.Chart(frame)
        .mark_rect()
        .encode(
            x=alt.X("at:T", axis=_TIME),
            x2="until:T",
            y=alt.Y("low:Q", title="calls per second"),
            y2="high:Q",
            color=alt.Color(f"{by}:N", scale=scale, legend=alt.Legend(title=None, orient="top")),
            tooltip=[alt.Tooltip("at:T", format="%H:%M:%S"), f"{by}:N", alt.Tooltip("rate:Q", format=".3g")],
        )
    )
    return alt.layer(bars, _rules(changes)).properties(height=200)


def _rules(changes: pd.DataFrame) -> AnyChart:
    """Deployments and decisions as vertical lines. Columns: at, what."""
    return (
        alt.Chart(changes)
        .mark_rule(color="#CC79A7", strokeDash=[3, 3], size=1.5)
        .encode(x="at:T", tooltip=[alt.Tooltip("at:T", format="%H:%M:%S"), "what:N"])
    )
