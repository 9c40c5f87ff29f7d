"""Addresses of our own pages. The address is the state of a page: whoever opens it sees the same. Pure."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote, urlencode

from plugwarden_dashboards import words
from plugwarden_dashboards.linked import Cell

__all__ = ["CHOSEN", "address", "budget_link", "decision_link", "plugin_link", "subject_link", "trace_link"]

CHOSEN = {"range": "15m", "refresh": "5s"}
"""What is chosen above every page and stays when going to another one, and what it is where the address says nothing."""
MOST_REMEMBERED = 8192
"""Links that are kept: a fleet of a thousand plugins has as many and one a version, at every refresh."""
_SUBJECTS = {
    "q": ("quarantine", "quarantine"),
    "i": ("alerts", "incident"),
    "s": ("alerts", "silence"),
    "e": ("audit", "decision"),
}
"""Page of what an id begins with, and the name by which its address asks for it; all else is an alert's fingerprint."""


def address(page: str, **query: str | None) -> str:
    """Return the address of a page; what is None or empty is left out. A browser adds what its own address has of `CHOSEN`."""
    parts = urlencode({name: value for name, value in query.items() if value}, quote_via=quote)
    path = "/" if page == "fleet" else f"/{page}"
    return f"{path}?{parts}" if parts else path


@lru_cache(maxsize=MOST_REMEMBERED)
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


@lru_cache(maxsize=MOST_REMEMBERED)
def budget_link(slo: str, plugin: str, version: str | None = None, text: str = "", *, strong: bool = False) -> Cell:
    """Return a link to what is left of an objective's budget for a plugin, and of which one of its versions spent what."""
    asked = words.option(version) if version else None
    href = address("budgets", slo=words.option(slo), plugin=words.option(plugin), version=asked)
    return Cell(text or words.option(slo), href=href, strong=strong)


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
