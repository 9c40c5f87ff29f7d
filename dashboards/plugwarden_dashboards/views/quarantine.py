"""The quarantine board: what is held, why, on what evidence; and the hands that can change it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from plugwarden_dashboards import act, data, evidence, forecast, linked, states, words
from plugwarden_dashboards.address import address, plugin_link, subject_link
from plugwarden_dashboards.linked import Cell, Column
from plugwarden_dashboards.page import IDENTITY, absent, live, sought

__all__ = ["page"]

LENGTHS = {"as long as the policy says": None, "15 minutes": 900, "2 hours": 7200, "1 day": 86_400, "7 days": 604_800}
"""How long the automation leaves alone what a person ended, in seconds; the API takes no more than the last."""

PARTS = {
    "plugin": "plugin_id", "version": "plugin_version", "operation": "plugin_operation", "instance": "instance_id",
    "tenant": "tenant_id",
}  # fmt: skip
"""Parts of a scope, and the columns of a quarantine that hold them."""
CONSEQUENCE = "In every host, calls go to an earlier version where there is one, else to the fallback, else they raise PluginQuarantined"
FORESEEN = "quarantine_foreseen"
"""Key of the session's state that holds the scope whose forecast was shown."""

_RELEASED = (
    Column("What"), Column("Plugin", narrow=False), Column("Began", narrow=False), Column("Ended"),
    Column("Why", wide=True),
)  # fmt: skip


def page() -> None:
    """The page."""
    if st.button("Quarantine a plugin…", key="quarantine_new", shortcut="Q"):
        _quarantine_dialog()
    live(_body, "quarantine_body")


def _body() -> None:
    answer = data.fetch("quarantine")
    if answer.value is None:
        return
    rows = answer.value
    wanted = sought("quarantine", IDENTITY, "quarantine", "quarantine")
    if wanted is not None and all(row["id"] != wanted for row in rows):
        absent("quarantine", wanted, "quarantine")
    if not rows:
        st.info(
            "Nothing has been quarantined so far. What the automation would have done is in the decision log, on the Audit page."
        )
        return
    running = {item["id"]: item for item in data.fetch("quarantine/running").value or []}
    open_ = [row for row in rows if row["ended_at"] is None]
    needing = [row for row in open_ if needs_person(row)]
    _chosen(next((row for row in rows if row["id"] == wanted and row["ended_at"] is not None), None))
    if needing:
        st.markdown(f"#### Needs you · {len(needing)}")
        for place, row in zip(_places(len(needing)), needing, strict=False):
            with place:
                _card(row, running, wanted)
    held = [row for row in open_ if row not in needing]
    columns = {
        "Quarantined": [row for row in held if row["state"] == "quarantined"],
        "Probation": [row for row in held if row["state"] == "probation"],
    }
    if not held:
        st.text("Nothing is quarantined now.")
        columns = {}
    for place, (title, found) in zip(st.columns(2), columns.items(), strict=False):
        with place:
            st.markdown(f"#### {title} · {len(found)}")
            for row in found:
                _card(row, running, wanted)
    _released([row for row in rows if row["ended_at"] is not None])


def needs_person(row: dict[str, Any]) -> bool:
    """Whether a person has to decide: of a suggestion, and of a probation that too few calls went through."""
    return bool(row["state"] == "degraded" or row["inconclusive"])


def _places(many: int) -> Iterator[DeltaGenerator]:
    """Give a place a card, two beside one another where there are several."""
    while True:
        yield from st.columns(2) if many > 1 else [st.container()]


def _chosen(row: dict[str, Any] | None) -> None:
    """Draw the quarantine that the address asks for, where it is over and has no card of its own."""
    if row is not None:
        _card(row, {}, row["id"])


def _released(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    st.markdown(f"#### No longer in force · {len(rows)}")
    linked.table(
        "Quarantines and suggestions that are over", _RELEASED, [_over(row) for row in rows], key="released", sort="-Ended",
    )  # fmt: skip


def _over(row: dict[str, Any]) -> list[linked.Said]:
    return [
        subject_link(row["id"], _scope(row)),
        plugin_link(row["plugin_id"], row["plugin_version"]),
        Cell(words.moment(row["started_at"]), value=row["started_at"]),
        Cell(words.moment(row["ended_at"]), value=row["ended_at"]),
        ". ".join([row["reason"].rstrip("."), *_stands(row)]),
    ]


def _still(running: dict[str, Any]) -> str:
    """How far a scope that is isolated has drained."""
    calls = running["running"]
    if calls is None:
        return "calls still running: hosts do not count them by tenant"
    if running["drained"]:
        return "no call is running"
    text = "1 call still running" if calls == 1 else f"{words.count(calls)} calls still running"
    if running["not_obeying"]:
        hosts = words.counted(running["hosts"], "host process", "host processes")
        do = "does" if running["not_obeying"] == 1 else "do"
        text += f"; {running['not_obeying']} of {hosts} {do} not isolate it yet"
    return text


def _card(row: dict[str, Any], running: dict[str, dict[str, Any]], wanted: str | None) -> None:
    state = "suspected" if row["state"] == "degraded" else row["state"]
    if row["ended_at"] is not None:
        state = "released"
    with st.container(border=True, key=f"card_{row['id']}"):
        linked.line(
            states.badge(state), Cell(_scope(row), href=_page(row), strong=True), f"by {row['actor']}", words.age(row["started_at"]),
            *([Cell("Close", href=address("quarantine"))] if state == "released" else []), key=f"head_{row['id']}",
        )  # fmt: skip
        st.text(words.plain(row["reason"], 600))
        links = [subject_link(row["alert"], "Its alert")] if row["alert"] else []
        linked.line(
            subject_link(row["id"], "Link to this"),
            *links,
            *evidence.traces_of(row["evidence"]),
            key=f"links_{row['id']}",
        )
        if row["state"] == "probation":
            st.progress(row["share_ratio"], text=f"{words.percent(row['share_ratio'])} of calls are let through")
        if row["superseded_by"]:
            st.text(f"superseded by {words.plain(row['superseded_by'])}; stays isolated")
        elif row["hold_until"] and row["ended_at"] is None:
            st.text(f"probation begins {words.moment(row['hold_until'])}")
        if row["id"] in running:
            st.text(_still(running[row["id"]]))
        if row["evidence"].get("errors") is not None or row["evidence"].get("forecast"):
            with st.expander("Evidence at the decision", expanded=row["id"] == wanted):
                evidence.show(row["evidence"])
        for text in _stands(row):
            st.text(words.plain(text, 600))
        if row["ended_at"] is None:
            with st.container(horizontal=True):
                pressed = [
                    way
                    for way in (SUGGESTED if row["state"] == "degraded" else HELD)
                    if st.button(f"{way.name}…", key=f"{way.name.lower()}_{row['id']}")
                ]
            for way in pressed:
                way.ask(row)


def _stands(row: dict[str, Any]) -> list[str]:
    """Return who decided, and for how long the automation leaves it alone."""
    known, found = row["evidence"], []
    if known.get("approved_by"):
        became = f"; it became quarantine {known['quarantine']}" if known.get("quarantine") else ""
        found.append(f"approved by {known['approved_by']}{became}")
    prevented = [text for text in map(str, known.get("prevented") or ()) if text not in row["reason"]]
    if prevented and row["ended_at"] is None:
        found.append(f"the automation may not isolate it: {'; '.join(prevented)}")
    person, until = known.get("released_by"), known.get("override_until")
    if person and until and datetime.fromisoformat(until).replace(tzinfo=UTC) > datetime.now(UTC):
        what = "declined" if known.get("declined") else "released"
        found.append(f"{what} by {person}; the automation leaves it alone until {words.moment(until)}")
    return found


@st.dialog("Quarantine a plugin")
def _quarantine_dialog() -> None:
    known = sorted(row["plugin_id"] for row in data.fetch("plugins", since="1h").value or [])
    plugin = st.selectbox("Plugin", known, format_func=words.option, key="quarantine_plugin", index=None)
    version = st.text_input("Version (empty: all of them)", key="quarantine_version", max_chars=200)
    scope = {"plugin": plugin, "version": version or None}
    found = forecast.show(scope) if plugin is not None else forecast.Foreseen(False)
    force = found.unknown and st.checkbox(
        "Quarantine it anyway, so that it is blocked when it appears", key="quarantine_force"
    )
    may = found.may and (force or not found.unknown)
    with st.form("quarantine_form", border=False):
        reason = st.text_area("Reason", key="quarantine_reason", max_chars=2000, required=True)
        st.text(f"{CONSEQUENCE}, until it is released.")
        sent = st.form_submit_button("Quarantine", type="primary", disabled=not may)
    # Who leaves the field of the version by pressing the button has not seen what that version would cost.
    if sent and may and st.session_state.get(FORESEEN) == scope:
        act.do(
            "quarantine",
            {**scope, "reason": reason.strip(), "actor": act.ACTOR, "force": force},
            reason,
            f"{plugin} is quarantined",
        )
    elif sent and may:
        st.warning("You changed what will be quarantined. Check the forecast above, then press again.")
    st.session_state[FORESEEN] = scope


@st.dialog("Quarantine what is suspected")
def _approve_dialog(row: dict[str, Any]) -> None:
    scope = _scope(row)
    st.text(words.plain(scope))
    may = forecast.show({name: row[key] for name, key in PARTS.items()}).may
    with st.form("approve_form", border=False):
        reason = st.text_area("Reason", key="approve_reason", max_chars=2000, required=True)
        st.text(f"{CONSEQUENCE}, until probation shows that it works again.")
        sent = st.form_submit_button("Approve", type="primary", disabled=not may)
    if sent:
        act.do(
            ("quarantine", row["id"], "approve"),
            {"reason": reason.strip(), "actor": act.ACTOR},
            reason,
            f"{scope} is quarantined",
        )


@st.dialog("Decline what is suggested")
def _decline_dialog(row: dict[str, Any]) -> None:
    _end("decline", row, "stays in service")


@st.dialog("Release from quarantine")
def _release_dialog(row: dict[str, Any]) -> None:
    _end("release", row, "is released")


def _end(way: str, row: dict[str, Any], done: str) -> None:
    scope = _scope(row)
    st.text(words.plain(scope))
    with st.form(f"{way}_form", border=False):
        reason = st.text_area("Reason", key=f"{way}_reason", max_chars=2000, required=True)
        length = st.selectbox("Keep the automation from touching it for", list(LENGTHS), key=f"{way}_for")
        sent = st.form_submit_button(way.capitalize(), type="primary")
    if sent:
        body = {"reason": reason.strip(), "override_seconds": LENGTHS[length], "actor": act.ACTOR}
        act.do(("quarantine", row["id"], way), body, reason, f"{scope} {done}")


@dataclass(frozen=True, slots=True)
class _Way:
    """What a person can do about a quarantine."""

    name: str
    ask: Callable[[dict[str, Any]], None]
    """Opens a dialog, given the quarantine."""


SUGGESTED = (_Way("Approve", _approve_dialog), _Way("Decline", _decline_dialog))
HELD = (_Way("Release", _release_dialog),)


def _page(row: dict[str, Any]) -> str | None:
    """Return the address of what a quarantine covers."""
    return plugin_link(row["plugin_id"], row["plugin_version"]).href


def _scope(row: dict[str, Any]) -> str:
    """Return what a quarantine covers, in words."""
    plugin, version, *narrower = PARTS.items()
    text = words.option(row[plugin[1]]) + (f"@{words.option(row[version[1]])}" if row[version[1]] else "")
    return text + "".join(f" {name}={words.option(row[key])}" for name, key in narrower if row[key])
