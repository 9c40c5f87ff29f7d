"""Silences: made from an alert with its own labels, listed with their ends, and taken back."""

from __future__ import annotations

from typing import Any

import streamlit as st
from plugwarden_collector.api.client import ApiError

from plugwarden_dashboards import act, data, linked, states, words
from plugwarden_dashboards.address import address, subject_link
from plugwarden_dashboards.linked import Cell, Column
from plugwarden_dashboards.page import absent

__all__ = ["board", "form", "show"]

LENGTHS = {"30 minutes": 1800, "2 hours": 7200, "8 hours": 28_800, "1 day": 86_400, "7 days": 604_800}
"""Seconds that a silence may last; there is none without an end."""
MOST_LABELS = 10
"""Labels that a silence asks for at most; the API takes as many."""
ENDED_HOURS = 24
"""Hours for which a silence that ended is still listed."""
_SILENCES = (
    Column("State", choice=True), Column("Which alerts", wide=True), Column("Ends"), Column("By", narrow=False),
    Column("Why", wide=True, narrow=False), Column("Do", sortable=False),
)  # fmt: skip
_STATES = {
    "active": Cell("◐ active", tone="probe"),
    "pending": Cell("○ to come", tone="none"),
    "expired": Cell("○ over", tone="none"),
}


def form(row: dict[str, Any]) -> None:
    """Draw the form that silences an alert, with what it would hide above its button."""
    labels, mark = row["labels"], row["fingerprint"]
    names = ["alertname", "plugin", "version", "slo", "severity"]
    known = [name for name in (*names, *sorted(labels.keys() - {*names})) if name in labels]
    chosen = st.multiselect(
        "Alerts with the same", known, default=[name for name in known if name in {"alertname", "plugin", "version"}] or known[:1],
        format_func=lambda name: f"{name} = {words.option(labels[name])}", key=f"silence_labels_{mark}", max_selections=MOST_LABELS,
    )  # fmt: skip
    matchers = {name: labels[name] for name in chosen}
    if not matchers:
        st.warning("Choose at least one label: a silence of everything hides every alert.")
        return
    may = _preview(matchers)
    with st.form("silence", border=False):
        reason = st.text_input("Reason", key=f"silence_reason_{mark}", max_chars=2000, required=True)
        length = st.selectbox("Ends after", list(LENGTHS), index=1, key=f"silence_for_{mark}", width=160)
        sent = st.form_submit_button("Silence", type="primary", disabled=not may)
    if sent:
        body = {"matchers": matchers, "seconds": LENGTHS[length], "comment": reason.strip(), "actor": act.ACTOR}
        act.do("silences", body, reason, f"Silenced; it ends by itself after {length}.", leaving="act")


def show(identity: str) -> None:
    """Draw one silence, and the form that takes it back."""
    found = data.fetch("silences", ended_hours=ENDED_HOURS).value
    if found is None:
        return
    row = next((item for item in found if item["id"] == identity), None)
    if row is None:
        absent("silence", identity, "alerts", why=f"those that ended more than {ENDED_HOURS} hours ago are not shown")
        return
    with st.container(border=True, key="silence"):
        close = Cell("Close", href=address("alerts"))
        linked.line(_STATES[row["state"]], Cell(_matchers(row), strong=True), close, key="silence_head")
        st.text(f"by {words.plain(row['created_by'])}: {words.plain(row['comment'], 2000)}")
        st.text(f"from {words.moment(row['starts_at'])} until {words.moment(row['ends_at'])}")
        if row["state"] == "expired":
            return
        with st.form("end_silence", border=False):
            reason = st.text_input("Reason", key=f"end_silence_reason_{identity}", max_chars=2000, required=True)
            sent = st.form_submit_button("End it now", type="primary")
        if sent:
            body = {"reason": reason.strip(), "actor": act.ACTOR}
            act.do(("silences", identity, "end"), body, reason, "The silence is over.", leaving="silence")


def board() -> None:
    """Draw the silences in force, to come, and lately over."""
    found = data.fetch("silences", ended_hours=ENDED_HOURS).value or []
    if not found:
        return
    st.markdown("#### Silences")
    linked.table(
        "Silences in force, to come, and of the last day", _SILENCES, [_row(item) for item in found], key="silences"
    )


def _row(item: dict[str, Any]) -> list[linked.Said]:
    over = item["state"] == "expired"
    return [
        _STATES[item["state"]],
        subject_link(item["id"], _matchers(item)),
        Cell(words.moment(item["ends_at"]), value=item["ends_at"]),
        item["created_by"],
        item["comment"],
        Cell("" if over else "End…", href=None if over else address("alerts", silence=item["id"])),
    ]


def _matchers(item: dict[str, Any]) -> str:
    return ", ".join(words.option(text) for text in item["matchers"])


def _preview(matchers: dict[str, str]) -> bool:
    """Draw what a silence would hide now; return whether it may be made."""
    try:
        hides = data.look("silences/preview", {"matchers": matchers})["hides"]
    except ApiError as error:
        linked.notice("warn", str(error), key="silence_problem")
        return bool(error.unanswered)
    if not hides:
        st.text("It matches nothing that fires now. Later alerts with these labels will be silenced.")
        return True
    st.text(f"It silences {words.counted(len(hides), 'alert')} now:")
    columns = (Column("Severity"), Column("What", wide=True), Column("Is anybody still told?"))
    linked.table(
        "What it would silence now", columns,
        [
            [states.badge(item["severity"]), subject_link(item["key"], item["summary"]),
             Cell("■ nobody", tone="bad") if item["untold"] else Cell("● yes, by another", tone="good")]
            for item in hides
        ],
        key="hides",
    )  # fmt: skip
    return True
