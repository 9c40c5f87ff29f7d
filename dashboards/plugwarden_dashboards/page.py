"""What every page can use: the chosen time range, live bodies, and what its address asks for."""

from __future__ import annotations

import re
from collections.abc import Callable

import streamlit as st

from plugwarden_dashboards import linked, words
from plugwarden_dashboards.address import address
from plugwarden_dashboards.linked import Cell

__all__ = ["IDENTITY", "RANGES", "REFRESH", "SPAN_ID", "TRACE_ID", "absent", "asked", "live", "since", "sought"]

RANGES = ["5m", "15m", "1h", "6h", "1d", "7d", "30d"]
REFRESH = {"off": None, "2s": 2.0, "5s": 5.0, "15s": 15.0, "1m": 60.0}
TRACE_ID = re.compile(r"[0-9a-f]{32}")
SPAN_ID = re.compile(r"[0-9a-f]{16}")
IDENTITY = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
"""Fingerprints and ids of our own making, and fingerprints that Alertmanagers send."""
MOST_IDENTITY = 200
"""Characters of what an address asks for that are said again."""


def asked(name: str, form: re.Pattern[str]) -> str | None:
    """Return what the page's address has under a name; None where it has nothing, or nothing of this form."""
    text = st.query_params.get(name, "")
    return text if form.fullmatch(text) else None


def sought(name: str, form: re.Pattern[str], noun: str, back: str) -> str | None:
    """Return what the page's address has under a name, as `asked` does, and say so where it has something that is none."""
    found, text = asked(name, form), st.query_params.get(name, "")
    if found is None and text:
        absent(noun, text, back)
    return found


def absent(noun: str, identity: str, back: str, *, why: str = "it may be past retention") -> None:
    """Say that there is nothing of this id, and lead back to the page of that which there is."""
    text = f"There is no {noun} {words.plain(identity, MOST_IDENTITY)} ({why})."
    ways = [Cell(f"Back to {back}", href=address(back))]
    linked.notice("warn", text, key=f"absent_{noun}", title="▲", links=ways)


def since() -> str:
    """The chosen time range, as the API takes it."""
    chosen = st.session_state.get("range", "15m")
    return chosen if chosen in RANGES else "15m"


def live(body: Callable[[], None], key: str, *, least_seconds: float = 0.0) -> None:
    """Draw a page's body, again at every refresh but not sooner than `least_seconds`, without touching the rest of the page."""
    interval = REFRESH.get(st.session_state.get("refresh", "5s"), 5.0)
    st.fragment(run_every=None if interval is None else max(interval, least_seconds), key=key)(body)()
