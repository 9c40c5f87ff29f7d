"""The quarantine board: what is held, why, on what evidence; and the hands that can change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import streamlit as st
from plugwarden_collector.api.client import ApiError, Path, Unreachable

from plugwarden_dashboards import data, evidence, forecast, words
from plugwarden_dashboards.page import live

__all__ = ["page"]

MIN_REASON = 3
"""Characters; the API asks for as many."""
LENGTHS = {"as long as the policy says": None, "15 minutes": 900, "2 hours": 7200, "1 day": 86_400, "7 days": 604_800}
"""How long the automation leaves alone what a person ended, in seconds; the API takes no more than the last."""

PARTS = {
    "plugin": "plugin_id", "version": "plugin_version", "operation": "plugin_operation", "instance": "instance_id",
    "tenant": "tenant_id",
}  # fmt: skip
"""Parts of a scope, and the columns of a quarantine that hold them."""
FORESEEN = "quarantine_foreseen"
"""Key of the session's state that holds the scope whose forecast was shown."""


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
    running = {item["id"]: item for item in data.fetch("quarantine/running").value or []}
    columns = {
        "Suspected": [row for row in rows if row["state"] == "degraded" and row["ended_at"] is None],
        "Quarantined": [row for row in rows if row["state"] == "quarantined" and row["ended_at"] is None],
        "Probation": [row for row in rows if row["state"] == "probation" and row["ended_at"] is None],
        "Released": [row for row in rows if row["ended_at"] is not None][:20],
    }
    if not rows:
        st.info("Nothing was ever quarantined. What the automation would do is in the decision log, on the page Audit.")
        return
    for place, (title, cards) in zip(st.columns(4), columns.items(), strict=True):
        with place:
            st.markdown(f"#### {title} · {len(cards)}")
            for row in cards:
                _card(row, running)


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


def _card(row: dict[str, Any], running: dict[str, dict[str, Any]]) -> None:
    with st.container(border=True, key=f"card_{row['id']}"):
        st.markdown(f"**{words.md(_scope(row))}**")
        st.markdown(f"{words.state(row['state'])} · by {words.md(row['actor'])} · {words.age(row['started_at'])}")
        st.text(words.plain(row["reason"], 600))
        if row["state"] == "probation":
            st.progress(row["share_ratio"], text=f"{words.percent(row['share_ratio'])} of calls are let through")
        if row["superseded_by"]:
            st.text(f"superseded by {words.plain(row['superseded_by'])}; stays isolated")
        elif row["hold_until"] and row["ended_at"] is None:
            st.text(f"probation begins {words.moment(row['hold_until'])}")
        if row["id"] in running:
            st.text(_still(running[row["id"]]))
        if row["evidence"].get("errors") is not None or row["evidence"].get("forecast"):
            with st.expander("Evidence at the decision"):
                evidence.show(row["evidence"], row["id"])
        _stands(row)
        if row["ended_at"] is None:
            with st.container(horizontal=True):
                pressed = [
                    act
                    for act in (SUGGESTED if row["state"] == "degraded" else HELD)
                    if st.button(f"{act.name}…", key=f"{act.name.lower()}_{row['id']}")
                ]
            for act in pressed:
                act.ask(row)


def _stands(row: dict[str, Any]) -> None:
    """Who decided, and for how long the automation leaves it alone."""
    known = row["evidence"]
    if known.get("approved_by"):
        became = f"; it became quarantine {words.plain(known['quarantine'])}" if known.get("quarantine") else ""
        st.text(f"approved by {words.plain(known['approved_by'])}{became}")
    prevented = [text for text in map(str, known.get("prevented") or ()) if text not in row["reason"]]
    if prevented and row["ended_at"] is None:
        st.text(f"the automation may not isolate it: {words.plain('; '.join(prevented), 600)}")
    person, until = known.get("released_by"), known.get("override_until")
    if person and until and datetime.fromisoformat(until).replace(tzinfo=UTC) > datetime.now(UTC):
        what = "declined" if known.get("declined") else "released"
        st.text(f"{what} by {words.plain(person)}; the automation leaves it alone until {words.moment(until)}")


@st.dialog("Quarantine a plugin")
def _quarantine_dialog() -> None:
    known = sorted(row["plugin_id"] for row in data.fetch("plugins", since="1h").value or [])
    plugin = st.selectbox("Plugin", known, format_func=words.option, key="quarantine_plugin", index=None)
    version = st.text_input("Version (empty: all of them)", key="quarantine_version", max_chars=200)
    scope = {"plugin": plugin, "version": version or None}
    may = plugin is not None and forecast.show(scope)
    with st.form("quarantine_form", border=False):
        reason = st.text_area("Reason", key="quarantine_reason", max_chars=2000, required=True)
        st.text(
            "What no earlier version answers goes to the fallback, or raises PluginQuarantined, in every host, until released."
        )
        sent = st.form_submit_button("Quarantine", type="primary", disabled=not may)
    # Who leaves the field of the version by pressing the button has not seen what that version would cost.
    if sent and may and st.session_state.get(FORESEEN) == scope:
        _act(
            "quarantine", {**scope, "reason": reason.strip(), "actor": "dashboards"}, reason, f"{plugin} is quarantined"
        )
    elif sent and may:
        st.warning("What is to be isolated has changed. Look at what it costs, and press again.")
    st.session_state[FORESEEN] = scope


@st.dialog("Isolate what is suspected")
def _approve_dialog(row: dict[str, Any]) -> None:
    scope = _scope(row)
    st.text(words.plain(scope))
    may = forecast.show({name: row[key] for name, key in PARTS.items()})
    with st.form("approve_form", border=False):
        reason = st.text_area("Reason", key="approve_reason", max_chars=2000, required=True)
        st.text(
            "What no earlier version answers goes to the fallback, or raises PluginQuarantined, until probation shows that it is "
            "well."
        )
        sent = st.form_submit_button("Approve", type="primary", disabled=not may)
    if sent:
        _act(
            ("quarantine", row["id"], "approve"),
            {"reason": reason.strip(), "actor": "dashboards"},
            reason,
            f"{scope} is quarantined",
        )


@st.dialog("Decline what is suggested")
def _decline_dialog(row: dict[str, Any]) -> None:
    _end("decline", row, "stays in service")


@st.dialog("Release from quarantine")
def _release_dialog(row: dict[str, Any]) -> None:
    _end("release", row, "is released")


def _end(act: str, row: dict[str, Any], done: str) -> None:
    scope = _scope(row)
    st.text(words.plain(scope))
    with st.form(f"{act}_form", border=False):
        reason = st.text_area("Reason", key=f"{act}_reason", max_chars=2000, required=True)
        length = st.selectbox("The automation leaves it alone", list(LENGTHS), key=f"{act}_for")
        sent = st.form_submit_button(act.capitalize(), type="primary")
    if sent:
        body = {"reason": reason.strip(), "override_seconds": LENGTHS[length], "actor": "dashboards"}
        _act(("quarantine", row["id"], act), body, reason, f"{scope} {done}")


def _act(path: Path, body: dict[str, Any], reason: str, done: str) -> None:
    if len(reason.strip()) < MIN_REASON:
        st.error("A reason is required: it goes into the audit log.")
        return
    try:
        data.post(path, body)
    except ApiError as error:
        if isinstance(error, Unreachable) and error.slow:
            st.warning(
                "Nobody knows whether it worked: it may be done all the same. Look at the board before you try again."
            )
        else:
            st.error("That did not work.")
        st.text(words.plain(error))
        return
    st.session_state["flash"] = done
    st.rerun()


@dataclass(frozen=True, slots=True)
class _Act:
    """What a person can do about a quarantine."""

    name: str
    ask: Callable[[dict[str, Any]], None]
    """Opens a dialog, given the quarantine."""


SUGGESTED = (_Act("Approve", _approve_dialog), _Act("Decline", _decline_dialog))
HELD = (_Act("Release", _release_dialog),)


def _scope(row: dict[str, Any]) -> str:
    plugin, version, *narrower = PARTS.items()
    text = str(row[plugin[1]]) + (f"@{row[version[1]]}" if row[version[1]] else "")
    return text + "".join(f" {name}={row[key]}" for name, key in narrower if row[key])
