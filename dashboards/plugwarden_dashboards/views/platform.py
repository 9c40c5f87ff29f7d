"""Platform health: is the watcher itself well?"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from plugwarden_dashboards import charts, data, frames, linked, states, words
from plugwarden_dashboards.address import subject_link
from plugwarden_dashboards.linked import Cell, Column
from plugwarden_dashboards.page import live

__all__ = ["page"]

_SPANS = {"15m": 15, "1h": 60, "6h": 360}
_VERDICT = {"green": "● Well", "amber": "▲ Strained", "red": "■ In trouble"}
_CONDITIONS = (
    Column("State", choice=True), Column("Condition"), Column("Seen", wide=True), Column("Severity", choice=True, narrow=False),
    Column("What to do when it fires", wide=True, narrow=False),
)  # fmt: skip
_SENDERS = (
    Column("State", choice=True), Column("Service", choice=True), Column("Instance"), Column("Last seen", narrow=False),
    Column("Its interval", "end", narrow=False), Column("Silent for", "end"), Column("Requests", "end", narrow=False),
)  # fmt: skip
_REFUSED = (Column("Signal", choice=True), Column("Reason", wide=True), Column("Items", "end"))
_EVENTS = (
    Column("When"), Column("Condition"), Column("Severity", choice=True, narrow=False), Column("Change", choice=True),
    Column("Why", wide=True, narrow=False),
)  # fmt: skip
_SIGNALS = {"traces": "spans", "metrics": "points", "logs": "records"}


def page() -> None:
    """The page."""
    st.segmented_control(
        "Charts over", list(_SPANS), default="1h", required=True, key="platform_span", bind="query-params"
    )
    live(_body, "platform_body")


def _body() -> None:
    minutes = _SPANS.get(st.session_state.get("platform_span", "1h"), 60)
    answer = data.fetch("health", minutes=minutes)
    if answer.value is None:
        return
    found = answer.value
    if answer.problem is None:  # else the header says that this is the past
        _verdict(found["verdict"])
    _tiles(found)
    _conditions(found["conditions"], found["at"])
    _charts(found)
    _senders(found["senders"])
    _refused(found["refused"])
    _events(found["events"])


def _verdict(verdict: dict[str, str]) -> None:
    level = verdict["level"]
    linked.notice(states.tone(level), verdict["text"], key="platform_verdict", title=_VERDICT[level])


def _tiles(found: dict[str, Any]) -> None:
    now = found["now"]
    rates, event_ages = now["items_per_second"], now["event_age_seconds"]
    with st.grid(4, row_height=132):
        for signal, noun in _SIGNALS.items():
            age = event_ages.get(signal)
            _tile(
                f"{noun.capitalize()} per second",
                words.count(rates.get(signal, 0.0)),
                "none yet" if age is None else f"newest {words.duration(max(0.0, age))} old",
                "Stored over the last minute; the age of the newest one by the time it carries",
            )
        _tile(
            "Ingest lag p99", words.duration(now["lag_p99_seconds"]), f"p50 {words.duration(now['lag_p50_seconds'])}",
            "From receipt to disk, over the last minute",
        )  # fmt: skip
        _tile(
            "Queue", words.size(now["queued_bytes"]),
            f"of {words.size(now['queue_bound_bytes'])}, {words.counted(now['queued_requests'], 'request')}",
            "Decoded rows waiting for a commit; when it is full, senders are told to come back",
        )  # fmt: skip
        _tile("Told to come back", words.count(now["busy"]), "within a minute", "Requests answered 503 or UNAVAILABLE")
        _tile("Database", words.size(now["used_bytes"] or now["file_bytes"]), _growing(now), _file(now))
        _tile(
            "Judging loop", words.duration(now["tick_seconds"]), f"{words.duration(now['tick_age_seconds'])} ago",
            f"Length of the last turn; calls are counted {words.duration(now['rollup_lag_seconds'])} after they are stored",
        )  # fmt: skip


def _tile(label: str, value: str, delta: str, text: str) -> None:
    st.metric(
        label,
        value,
        delta=delta,
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
        help=text,
    )


def _growing(now: dict[str, Any]) -> str:
    growth, limit = now["growth_bytes_per_second"], now["max_bytes"]
    of = f"of {words.size(limit)}" if limit else "no limit"
    if growth is None:
        return of
    if now["seconds_until_full"] is None:
        return f"{of}, not growing"
    return f"{of}, full in {words.duration(now['seconds_until_full'])}"


def _file(now: dict[str, Any]) -> str:
    growth = now["growth_bytes_per_second"]
    grows = "growth is known after five minutes" if growth is None else f"grows by {words.size(growth)} a second"
    return (
        f"In use; {grows}. The file has {words.size(now['file_bytes'])}, of which {words.size(now['free_bytes'])} free for new "
        f"rows; the log {words.size(now['wal_bytes'])}; the disk {words.size(now['disk_free_bytes'])} free."
    )


def _conditions(rows: list[dict[str, Any]], at: str) -> None:
    order = {"firing": 0, "pending": 1, "inactive": 2}
    rows = sorted(rows, key=lambda row: order[row["state"]])
    st.subheader("Conditions")
    st.caption(
        "Alerts on the collector itself. They go to the receivers of the rules file, and never quarantine a plugin."
    )
    open_ = [row for row in rows if row["state"] != "inactive"]
    if not open_:
        st.text("None is true now.")
    for row in open_:
        since = words.age(row["firing_at"] or row["pending_at"], pd.Timestamp(at).to_pydatetime())
        said = [Cell(row["title"], strong=True), Cell(f"began {since}")]
        if row["silenced_by"]:
            said.append(subject_link(row["silenced_by"], f"silenced by {row['silenced_by']}"))
        if row["acknowledged_by"]:
            said.append(Cell(f"{row['acknowledged_by']} knows of it"))
        with st.container(border=True):
            badges = (states.badge(row["state"]), states.badge(row["severity"]))
            linked.line(*badges, *said, key=f"condition_{row['title']}")
            st.text(words.plain(row["summary"], 1000))
            st.text(f"What to do: {words.plain(row['next_step'], 1000)}")
    with st.expander(f"All {words.counted(len(rows), 'condition')}", expanded=False):
        linked.table(
            "All conditions of the collector, those that fire first", _CONDITIONS,
            [
                [states.badge(row["state"], value=order[row["state"]]) if row["state"] != "inactive"
                 else Cell("● fine", tone="good", value=order["inactive"]),
                 row["title"], row["summary"], states.badge(row["severity"]), row["next_step"]]
                for row in rows
            ],
            key="platform_conditions",
        )  # fmt: skip


def _charts(found: dict[str, Any]) -> None:
    history = found["history"]
    st.subheader("The last hours")
    if len(history["at"]) < 2:
        st.info(
            "Charts begin twenty seconds after the collector starts; their history is kept in its memory for six hours."
        )
        return
    st.caption(
        f"By ten seconds, since {words.moment(history['at'][0])}. The collector keeps this in memory for six hours; it started "
        f"{words.moment(found['began_at'])}."
    )
    left, right = st.columns(2)
    with left:
        _chart("Ingest", frames.lines(history, {"traces": "spans", "metrics": "points", "logs": "records"}),
               "count", "Spans, points and records stored per second")  # fmt: skip
        _chart("Commits", frames.lines(history, {"commit_p50_seconds": "p50", "commit_p99_seconds": "p99"}),
               "duration", "Median and 99th percentile of the length of a commit")  # fmt: skip
    with right:
        _chart("Ingest lag", frames.lines(history, {"lag_p50_seconds": "p50", "lag_p99_seconds": "p99"}),
               "duration", "Median and 99th percentile of the time from receipt to disk")  # fmt: skip
        _chart("Database", frames.lines(history, {"used_bytes": "in use", "file_bytes": "file", "wal_bytes": "log"}),
               "bytes", "Bytes in use, of the file and of its log")  # fmt: skip


def _chart(title: str, frame: pd.DataFrame, kind: str, alt: str) -> None:
    st.markdown(f"**{title}**")
    if frame["value"].isna().all():
        st.text("Nothing yet.")
        return
    st.altair_chart(charts.lines(frame, kind), key=f"platform_{title}", width="stretch", alt=alt)


def _senders(senders: dict[str, Any]) -> None:
    st.subheader("Senders")
    if not senders["known"]:
        st.info("Nobody has sent anything within an hour. Point OTEL_EXPORTER_OTLP_ENDPOINT at the collector.")
        return
    st.caption(
        f"{senders['sending']} sending, {senders['silent']} silent, {senders['replaced']} replaced by a newer instance, "
        f"{senders['learning']} whose interval is not known yet. Silent is who missed three of its own export intervals; after an "
        "hour it is forgotten."
        + (f" The first {len(senders['rows'])} are shown." if senders["known"] > len(senders["rows"]) else "")
    )
    linked.table(
        "Processes that send telemetry, the silent first", _SENDERS,
        [
            [_STATE.get(row["state"], row["state"]), words.option(row["service"]), words.option(row["instance"]) or "—",
             words.moment(row["last_at"]),
             *(Cell(words.duration(row[name]), value=row[name]) for name in ("interval_seconds", "silent_seconds")),
             Cell(words.count(row["requests"]), value=row["requests"])]
            for row in senders["rows"]
        ],
        key="platform_senders",
    )  # fmt: skip


_STATE = {
    "sending": "● sending",
    "silent": "■ silent",
    "replaced": "○ replaced",
    "learning": "◐ learning",
    "ended": "○ ended",
}


def _refused(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    st.subheader("Refused")
    st.caption("Left out of requests since the collector started; the senders were told why.")
    linked.table(
        "Refused items by signal and reason", _REFUSED,
        [[row["signal"], row["reason"], Cell(words.count(row["items"]), value=row["items"])] for row in rows], key="platform_refused",
    )  # fmt: skip


def _events(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    st.subheader("History")
    linked.table(
        "Changes of state of the collector's conditions, newest first", _EVENTS,
        [
            [words.moment(row["time"]), row["name"], states.badge(row["severity"]),
             f"{states.said(row['before'])} → {states.said(row['after'])}", row["reason"]]
            for row in rows
        ],
        key="platform_events",
    )  # fmt: skip
