"""One trace: the waterfall, and what each span says."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pandas as pd
import streamlit as st
from plugwarden_collector.api.client import ApiError
from plugwarden_collector.wording import harmless

from plugwarden_dashboards import charts, data, frames, linked, states, words
from plugwarden_dashboards.address import address, plugin_link, trace_link
from plugwarden_dashboards.linked import Cell, Column, Tile
from plugwarden_dashboards.page import SPAN_ID, TRACE_ID, absent, sought

__all__ = ["page"]

_SPANS = (
    Column("Span"), Column("Status"), Column("Took", "end"), Column("Begins after", "end", narrow=False),
    Column("Plugin", narrow=False), Column("Span id", narrow=False),
)  # fmt: skip
_LOGS = (Column("When"), Column("Severity", choice=True), Column("Plugin", narrow=False), Column("Message", wide=True))


def page() -> None:
    """The page."""
    trace_id = sought("trace_id", TRACE_ID, "trace", "traces")
    if trace_id is None and st.query_params.get("trace_id"):
        return
    if trace_id is None:
        linked.notice(
            "none", "The address of this page names no trace. Open one from the search, or add ?trace_id= and 32 hex digits.",
            key="trace_missing", links=[Cell("Search traces", href=address("traces"))],
        )  # fmt: skip
        return
    try:
        answer = data.fetch(("traces", trace_id))
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            absent("trace", trace_id, "traces", why="it was sampled out, is past retention, or has not arrived yet")
        else:
            linked.notice(
                "warn", str(error), key="trace_problem", links=[Cell("Search traces", href=address("traces"))]
            )
        return
    if answer.value is None:
        return
    spans, logs, kept = answer.value["spans"], answer.value["logs"], answer.value["span_count"]
    if not spans:
        st.info("Of this trace only log records were kept, no spans.")
        return
    frame = frames.tree(spans)
    errors = sum(span["status"] == "error" for span in spans)
    whole = frame["end_ms"].max() / 1000
    root, read = spans[0], f"{len(spans):,} are read, those that failed first"
    linked.line(
        Cell("Trace", strong=True), plugin_link(root["plugin_id"], root["plugin_version"]), Cell(trace_id, mono=True),
        key="trace_head", size="large",
    )  # fmt: skip
    linked.tiles(
        [
            Tile("Took", words.duration(whole)),
            Tile("Spans", words.count(kept), note="" if kept == len(spans) else read),
            Tile(
                "Errors",
                words.count(errors),
                tone="bad" if errors else None,
                note="" if kept == len(spans) else "of those read",
            ),
            Tile("Started (UTC)", root["started_at"][11:19], note=root["started_at"][:10]),
        ],
        key="trace_tiles",
    )
    if len(frame) < kept:
        text = f"Only {len(frame):,} of {words.counted(kept, 'span')} are drawn" + (
            f"; {read}." if len(spans) < kept else "."
        )
        linked.notice("warn", text, key="trace_cut", title="▲")
    st.altair_chart(
        charts.waterfall(frame), key="trace_waterfall", width="stretch",
        alt=f"Waterfall of {len(frame):,} of {words.counted(kept, 'span')} over {words.duration(whole)}, {errors} with errors",
    )  # fmt: skip
    _details(trace_id, frame, {span["span_id"]: span for span in spans})
    if logs:
        st.markdown("#### Logs")
        linked.table("Log records of this trace", _LOGS, [_log(row) for row in logs], key="trace_logs")


def _log(row: dict[str, Any]) -> list[linked.Said]:
    return [words.moment(row["time"]), row["severity_text"], plugin_link(row["plugin_id"]), row["body"]]


def _details(trace_id: str, frame: pd.DataFrame, spans: dict[str, dict[str, Any]]) -> None:
    """Draw all spans, and what one of them says: the one asked for, else the first that failed."""
    order = frame["span_id"].tolist()
    failing = next((span_id for span_id in order if states.tone(_outcome(spans[span_id])) == "bad"), order[0])
    wanted = sought("span", SPAN_ID, "span", "traces")
    if wanted is not None and wanted not in spans:
        absent("span", wanted, "traces", why="it is not among those of this trace that are read")
    chosen = wanted if wanted is not None and wanted in spans else failing
    linked.table(
        "Spans, each below the one that it is part of", _SPANS,
        [_span(trace_id, spans[row["span_id"]], row) for row in frame.to_dict("records")], key="spans",
        current=order.index(chosen) if chosen in order else None,
    )  # fmt: skip
    _says(spans[chosen])


def _span(trace_id: str, span: dict[str, Any], row: dict[Any, Any]) -> list[linked.Said]:
    return [
        trace_link(trace_id, "› " * min(row["depth"], 12) + words.option(span["name"])[:80], span["span_id"]),
        states.badge(_outcome(span)),
        Cell(words.duration(span["duration_seconds"]), value=span["duration_seconds"]),
        Cell(words.duration(row["start_ms"] / 1000), value=row["start_ms"]),
        plugin_link(span["plugin_id"], span["plugin_version"]) if span["outcome"] else Cell("host"),
        Cell(span["span_id"], mono=True),
    ]


def _outcome(span: dict[str, Any]) -> str:
    """Return what became of a span: of a host's own one, whether it is an error."""
    return str(span["outcome"] or ("error" if span["status"] == "error" else "ok"))


def _says(span: dict[str, Any]) -> None:
    """Draw what a span says of itself."""
    st.markdown("#### The marked span")
    facts = {
        "operation": span["plugin_operation"],
        "outcome": span["outcome"],
        "blamed on": span["error_source"],
        "error": span["error_type"],
        "message": span["status_message"],
        "service": span["service_name"],
        **dict(span["attributes"] or {}),
    }
    rows: list[list[linked.Said]] = [
        [words.option(name), words.option(str(value))] for name, value in facts.items() if value
    ]
    if span["plugin_id"]:
        rows.insert(0, ["plugin", plugin_link(span["plugin_id"], span["plugin_version"])])
    left, right = st.columns(2)
    with left:
        columns = (Column("Attribute"), Column("Value", wide=True))
        linked.table("What the span says", columns, rows, key="attributes")
    with right:
        for event in span["events"] or []:
            attributes = dict(event["attributes"] or {})
            st.text(f"{words.plain(event['name'])} at {words.moment(event['time'])}")
            text = str(attributes.pop("exception.stacktrace", attributes))
            st.code(harmless(text)[:8000], language=None, wrap_lines=True)
