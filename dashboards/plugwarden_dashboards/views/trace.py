"""One trace: the waterfall, and what each span says."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st
from plugwarden_collector.api.client import ApiError
from plugwarden_collector.wording import harmless

from plugwarden_dashboards import charts, data, frames, words

__all__ = ["page"]


def page() -> None:
    """The page."""
    trace_id = st.query_params.get("trace_id", "")
    if len(trace_id) != 32 or not all(sign in "0123456789abcdef" for sign in trace_id):
        st.info("Open a trace from the search, or add ?trace_id= and 32 hex digits to the address.")
        return
    try:
        answer = data.fetch(("traces", trace_id))
    except ApiError as error:
        st.warning(words.md(error))
        return
    if answer.value is None:
        return
    spans, logs = answer.value["spans"], answer.value["logs"]
    if not spans:
        st.info("Only log records of this trace are stored.")
        return
    frame = frames.tree(spans)
    errors = sum(span["status"] == "error" for span in spans)
    whole = frame["end_ms"].max() / 1000
    st.subheader("Trace")
    st.code(trace_id, language=None)
    with st.grid(4, row_height="content"):
        st.metric("Took", words.duration(whole), border=True)
        st.metric("Spans", len(spans), border=True)
        st.metric("Errors", errors, border=True)
        st.metric("Started (UTC)", spans[0]["started_at"][11:19], border=True)
    if len(frame) < len(spans):
        st.warning(f"Only the first {len(frame)} of {len(spans)} spans are drawn.")
    st.altair_chart(
        charts.waterfall(frame), key="trace_waterfall", width="stretch",
        alt=f"Waterfall of {words.counted(len(spans), 'span')} over {words.duration(whole)}, {errors} with errors",
    )  # fmt: skip
    _details(frame, {span["span_id"]: span for span in spans})
    if logs:
        st.subheader("Logs")
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "When": words.moment(row["time"]), "Severity": words.plain(row["severity_text"]),
                        "Plugin": words.plain(row["plugin_id"] or "—"), "Message": words.plain(row["body"], 2000),
                    }
                    for row in logs
                ]
            ),
            hide_index=True, key="trace_logs", alt="Log records of this trace",
        )  # fmt: skip


def _details(frame: pd.DataFrame, spans: dict[str, dict[str, Any]]) -> None:
    order = frame["span_id"].tolist()
    failing = next((index for index, span_id in enumerate(order) if spans[span_id]["status"] == "error"), 0)
    chosen = st.selectbox(
        "Span",
        order,
        index=failing,
        key="trace_span",
        format_func=lambda span_id: (
            f"{words.plain(spans[span_id]['name'], 200)} · {words.duration(spans[span_id]['duration_seconds'])} · {span_id}"
        ),
    )
    span = spans[chosen]
    facts = {
        "plugin": f"{span['plugin_id']}@{span['plugin_version']}" if span["plugin_id"] else None,
        "operation": span["plugin_operation"],
        "outcome": span["outcome"],
        "blamed on": span["error_source"],
        "error": span["error_type"],
        "message": span["status_message"],
        "service": span["service_name"],
        **dict(span["attributes"] or {}),
    }
    left, right = st.columns(2)
    with left:
        st.dataframe(
            pd.DataFrame([{"Attribute": words.plain(k), "Value": words.plain(v)} for k, v in facts.items() if v]),
            hide_index=True, key="trace_attributes", alt="What the span says",
        )  # fmt: skip
    with right:
        for event in span["events"] or []:
            attributes = dict(event["attributes"] or {})
            st.text(f"{words.plain(event['name'])} at {words.moment(event['time'])}")
            said = str(attributes.pop("exception.stacktrace", attributes))
            st.code(harmless(said)[:8000], language=None, wrap_lines=True)
