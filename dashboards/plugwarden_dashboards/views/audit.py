"""The decision log: what was done, by whom and why; whether it is whole; and a decision made again from its own entry."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st
from plugwarden_collector.api.client import ApiError

from plugwarden_dashboards import data, evidence, words
from plugwarden_dashboards.page import live

__all__ = ["page"]

SHOWN = 200
"""Entries that a table has; `plugwarden audit list` lists more."""
ORDER = "audit_order"
"""Key of the session's state that holds which decision each row of the table is."""
REPLAYED = "audit_replayed"
"""Key that holds which decision was made again last, and what became of it."""


def page() -> None:
    """The page."""
    live(_body, "audit_body")


def _body() -> None:
    answer = data.fetch("audit", limit=SHOWN, stream="decisions")
    if answer.value is None:
        return
    _whole()
    chosen = st.query_params.get("decision", "")
    if chosen.isdecimal() and 0 < len(chosen) < 19:
        _decision(int(chosen), answer.value)
    _table(answer.value)
    _access()


def _whole() -> None:
    """Say whether the log is whole."""
    st.subheader("Decision log")
    verified = data.fetch("audit/verify", max_age_seconds=300).value
    if verified is None:
        return
    if verified["valid"]:
        many = words.counted(verified["decisions"], "decision")
        st.text(f"{many} in an unbroken hash chain; head {verified['head'][:16]}…")
    else:
        st.error(f"The log is not what was left: {words.md(verified['problem'])}")


def _table(decisions: list[dict[str, Any]]) -> None:
    if not decisions:
        st.info("Nothing was decided yet, and nothing was kept from being done.")
        return
    st.session_state[ORDER] = [row["sequence"] for row in decisions]
    st.dataframe(
        pd.DataFrame(
            [
                {
                    # What and whom first: that is what there is room for on a telephone.
                    "open": "Open", "What": words.plain(row["kind"]), "Scope": words.plain(row["scope"]),
                    "When": words.moment(row["time"]), "By": words.plain(row["actor"]),
                    "Says to be": words.plain(row["says"] or ""), "Why": words.plain(row["reason"], 1000), "#": row["sequence"],
                }
                for row in decisions
            ]
        ),
        hide_index=True, key="decisions", alt="Decisions, newest first",
        column_config={
            "open": st.column_config.ButtonColumn("", key="decisions_open", on_click=_open, width="small"),
            "Why": st.column_config.TextColumn(width="large"),
        },
    )  # fmt: skip


def _open() -> None:
    row, order = st.session_state["decisions_open"].row, st.session_state.get(ORDER, [])
    if 0 <= row < len(order):
        st.query_params["decision"] = str(order[row])


def _close() -> None:
    st.query_params.pop("decision", None)


def _decision(sequence: int, decisions: list[dict[str, Any]]) -> None:
    """Draw one decision, with what was known and the button that makes it again."""
    row = next((item for item in decisions if item["sequence"] == sequence), None) or _older(sequence)
    with st.container(border=True, key="decision"):
        if row is None:
            st.text(f"There is no decision {sequence}.")
            st.button("Close", on_click=_close)
            return
        st.markdown(f"**{words.md(row['kind'])} · {words.md(row['scope'])}**")
        says = f" (says: {words.md(row['says'])})" if row["says"] else ""
        st.markdown(f"#{sequence} · {words.moment(row['time'])} · by {words.md(row['actor'])}{says}")
        st.text(words.plain(row["reason"], 2000))
        with st.expander("Evidence at the decision"):
            evidence.show(row["evidence"], str(sequence))
            st.text("Seal of the entry, and of all before it:")
            st.code(row["hash"], language=None, wrap_lines=True)
        with st.container(horizontal=True):
            again = st.button(
                "Replay", key="audit_replay", help="Make this decision again from nothing but its own entry"
            )
            st.button("Close", on_click=_close)
        if again:
            st.session_state[REPLAYED] = (sequence, _replay(sequence))
        known, found = st.session_state.get(REPLAYED, (0, None))
        if known == sequence and found is not None:
            _replayed(found)


def _older(sequence: int) -> dict[str, Any] | None:
    """Return a decision that is not among the newest, without the megabytes that it may rest on."""
    page = data.fetch("audit", stream="decisions", before=sequence + 1, limit=1).value
    return page[0] if page and page[0]["sequence"] == sequence else None


def _replay(sequence: int) -> dict[str, Any]:
    try:
        answer = data.fetch(("audit", str(sequence), "replay"))
    except ApiError as error:
        return {"same": None, "problem": str(error), "differences": [], "decided_by": None, "replayed_by": None}
    return answer.value or {
        "same": None, "problem": answer.problem, "differences": [], "decided_by": None, "replayed_by": None,
    }  # fmt: skip


def _replayed(found: dict[str, Any]) -> None:
    """Say what became of a decision that was made again."""
    if found["same"]:
        st.success("● The same comes out: kind, scope, reason, weights and alternatives.")
    elif found["same"] is None:
        st.info(f"It cannot be made again: {words.md(found['problem'])}")
    else:
        why = f": {words.md(found['problem'])}" if found["problem"] else "."
        st.error(f"■ Something else comes out{why}")
        st.dataframe(
            pd.DataFrame(
                [
                    {"Part": words.plain(item["part"]), "In the log": words.plain(item["entry"], 1000),
                     "This time": words.plain(item["replay"], 1000)}
                    for item in found["differences"]
                ]
            ),
            hide_index=True, key="differences", alt="Parts that differ",
        )  # fmt: skip
    if found["decided_by"] != found["replayed_by"] and found["decided_by"]:
        st.text(f"Decided by version {words.plain(found['decided_by'])}, made again by {found['replayed_by']}")


def _access() -> None:
    looks = data.fetch("audit", limit=SHOWN, stream="access").value or []
    if not looks:
        return
    with st.expander("Who read with SQL, took backups, was refused, pushed alerts"):
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "#": row["sequence"], "When": words.moment(row["time"]), "What": words.plain(row["kind"]),
                        "By": words.plain(row["actor"]), "Times": row["evidence"].get("count", 1),
                        "Scope": words.plain(row["scope"]), "Text": words.plain(row["reason"], 1000),
                    }
                    for row in looks
                ]
            ),
            hide_index=True, key="access", alt="Every look, newest first",
        )  # fmt: skip
