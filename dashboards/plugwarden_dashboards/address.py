"""Addresses of our own pages. The address is the state of a page: whoever opens it sees the same."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import streamlit as st

from plugwarden_dashboards import words
from plugwarden_dashboards.linked import Cell

__all__ = ["CHOSEN", "address", "decision_link", "plugin_link", "subject_link", "trace_link"]

CHOSEN = {"range": "15m", "refresh": "5s"}
"""What is chosen above every page and stays when going to another one, and what it is where the address says nothing."""
_SUBJECTS = {
    "q": ("quarantine", "quarantine"),
    "i": ("alerts", "incident"),
    "s": ("alerts", "silence"),
    "e": ("audit", "decision"),
}
"""Page of what an id begins with, and the name by which its address asks for it; all else is an alert's fingerprint."""


def address(page: str, **query: str | None) -> str:
    """Return the address of a page, which keeps the chosen time range and refresh; what is None or empty is left out."""
    chosen = {name: str(st.session_state.get(name, usual)) for name, usual in CHOSEN.items()}
    kept = {name: value for name, value in chosen.items() if value != CHOSEN[name]}
    parts = urlencode({name: value for name, value in {**query, **kept}.items() if value}, quote_via=quote)
    path = "/" if page == "fleet" else f"/{page}"
    return f"{path}?{parts}" if parts else path


def plugin_link(plugin: str | None, version: str | None = None, *, alone: bool = False, strong: bool = False) -> Cell:
    """Return a link to a plugin, or to one of its versions, which is named without its plugin where it stands `alone`."""
    if not plugin:
        return Cell("—", value="")
    asked = words.option(version) if version else None
    parts = [asked] if alone else [words.option(plugin), asked]
    return Cell(
        "@".join(part for part in parts if part),
        href=address("plugin", plugin=words.option(plugin), version=asked),
        strong=strong,
    )


def trace_link(trace_id: str, text: str = "", span: str | None = None) -> Cell:
    """Return a link to a trace, or to a span of it; without a text, by the beginning of its id."""
    return Cell(text or f"{trace_id[:8]}…", href=address("trace", trace_id=trace_id, span=span), mono=not text)


def decision_link(sequence: int) -> Cell:
    """Return a link to an entry of the decision log."""
    return Cell(f"#{sequence}", href=address("audit", decision=str(sequence)), value=sequence)


def subject_link(identity: str, text: str = "") -> Cell:
    """Return a link to what people are told of: an alert, a quarantine, a shared cause, a silence or a decision."""
    kind, _, number = identity.partition("-")
    page, name = _SUBJECTS.get(kind if number else "", ("alerts", "alert"))
    return Cell(text or identity, href=address(page, **{name: number if kind == "e" else identity}), mono=not text)
