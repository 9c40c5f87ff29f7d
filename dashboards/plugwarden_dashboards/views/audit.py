"""The decision log: what was done, by whom and why; whether it is whole; and a decision made again from its own entry."""

from __future__ import annotations

import re
from typing import Any

import streamlit as st
from plugwarden_collector.api.client import ApiError

from plugwarden_dashboards import data, evidence, linked, words
from plugwarden_dashboards.address import address, decision_link, subject_link
from plugwarden_dashboards.linked import Cell, Column
from plugwarden_dashboards.page import absent, live, sought

__all__ = ["page"]

SHOWN = 200
"""Entries that a table has; `plugwarden audit list` lists more."""
SEQUENCE = re.compile(r"[0-9]{1,18}")
REPLAYED = "audit_replayed"
"""Key of the session's state that holds which decision was made again last, and what became of it."""
_DECISIONS = (
    # What and whom first: that is what there is room for on a telephone.
    Column("#", "end"), Column("What", choice=True), Column("Scope"), Column("When", narrow=False),
    Column("By", narrow=False, choice=True), Column("Says to be", narrow=False), Column("Why", wide=True),
)  # fmt: skip
_ACCESS = (
    Column("#", "end"), Column("When"), Column("What", choice=True), Column("By", narrow=False), Column("Times", "end", narrow=False),
    Column("Scope", narrow=False), Column("Text", wide=True),
)  # fmt: skip


def page() -> None:
    """The page."""
    live(_body, "audit_body")


def _body() -> None:
    answer = data.fetch("audit", limit=SHOWN, stream="decisions")
    if answer.value is None:
        return
    _whole()
    chosen = sought("decision", SEQUENCE, "decision", "audit")
    if chosen is not None:
        _decision(int(chosen), answer.value)
    _table(answer.value, None if chosen is None else int(chosen))
    _access()


def _whole() -> None:
    """Say whether the log is whole."""
    verified = data.fetch("audit/verify", max_age_seconds=300).value
    if verified is None:
        return
    if verified["valid"]:
        many = words.counted(verified["decisions"], "decision")
        st.text(f"Decision log: {many} in an unbroken hash chain; head {verified['head'][:16]}…")
    else:
        linked.notice(
            "bad",
            verified["problem"],
            key="audit_broken",
            title="■ The decision log does not verify",
        )


def _table(decisions: list[dict[str, Any]], chosen: int | None) -> None:
    if not decisions:
        st.info("No decision has been made yet.")
        return
    current = next((index for index, row in enumerate(decisions) if row["sequence"] == chosen), None)
    linked.table(
        "Decisions, newest first", _DECISIONS, [_row(row) for row in decisions], key="decisions", current=current,
        note=f"the newest {len(decisions)} of {decisions[0]['sequence']:,}" if len(decisions) == SHOWN else "",
    )  # fmt: skip


def _row(row: dict[str, Any]) -> list[linked.Said]:
    about = row["quarantine_id"]
    return [
        decision_link(row["sequence"]),
        row["kind"],
        subject_link(about, words.option(row["scope"])) if about else words.option(row["scope"]),
        words.moment(row["time"]),
        row["actor"],
        row["says"] or "",
        row["reason"],
    ]


def _decision(sequence: int, decisions: list[dict[str, Any]]) -> None:
    """Draw one decision, with what was known and the button that makes it again."""
    row = next((item for item in decisions if item["sequence"] == sequence), None) or _older(sequence)
    if row is None:
        absent("decision", str(sequence), "audit")
        return
    with st.container(border=True, key="decision"):
        about = row["quarantine_id"]
        scope = subject_link(about, words.option(row["scope"])) if about else Cell(words.option(row["scope"]))
        linked.line(Cell(row["kind"], strong=True), scope, _close(), key="decision_head")
        says = f" (says: {words.plain(row['says'])})" if row["says"] else ""
        st.text(f"#{sequence} · {words.moment(row['time'])} · by {words.plain(row['actor'])}{says}")
        st.text(words.plain(row["reason"], 2000))
        traces = evidence.traces_of(row["evidence"])
        if traces:
            linked.line(*traces, key="decision_traces")
        with st.expander("Evidence at the decision"):
            evidence.show(row["evidence"])
            st.text("Seal of the entry, and of all before it:")
            st.code(row["hash"], language=None, wrap_lines=True)
        if st.button("Replay", key="audit_replay", help="Recompute this decision from its log entry alone"):
            st.session_state[REPLAYED] = (sequence, _replay(sequence))
        known, found = st.session_state.get(REPLAYED, (0, None))
        if known == sequence and found is not None:
            _replayed(found)


def _close() -> Cell:
    """Return the link that leads back to the log alone."""
    return Cell("Close", href=address("audit"))


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
        text = "The same result: kind, scope, reason, weights and alternatives."
        linked.notice("good", text, key="replay_same", title="●")
    elif found["same"] is None:
        linked.notice("none", found["problem"] or "", key="replay_none", title="○ This decision cannot be replayed")
    else:
        linked.notice("bad", found["problem"] or "", key="replay_other", title="■ A different result")
        columns = (Column("Part"), Column("In the log", wide=True), Column("This time", wide=True))
        rows = [[item["part"], str(item["entry"]), str(item["replay"])] for item in found["differences"]]
        linked.table("Parts that differ", columns, rows, key="differences")
    if found["decided_by"] != found["replayed_by"] and found["decided_by"]:
        st.text(f"Decided by version {words.plain(found['decided_by'])}, replayed by {found['replayed_by']}")


def _access() -> None:
    looks = data.fetch("audit", limit=SHOWN, stream="access").value or []
    if not looks:
        return
    with st.expander("Access log: SQL queries, backups, refused requests and pushed alerts"):
        linked.table(
            "Access log, newest first", _ACCESS,
            [
                [Cell(f"#{row['sequence']}", value=row["sequence"]), words.moment(row["time"]), row["kind"], row["actor"],
                 Cell(words.count(times := row["evidence"].get("count", 1)), value=times), words.option(row["scope"]), row["reason"]]
                for row in looks
            ],
            key="access",
        )  # fmt: skip
