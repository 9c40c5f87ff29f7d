"""What was known at a decision, as every page shows it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from plugwarden_dashboards import words
from plugwarden_dashboards.address import trace_link
from plugwarden_dashboards.linked import Cell

__all__ = ["show", "traces_of"]

MOST_TRACES = 3
"""Traces that are offered; a decision names five."""


def show(evidence: dict[str, Any]) -> None:
    """Draw the evidence of a decision; of a person's, what was foreseen."""
    if evidence.get("forecast"):
        st.text(f"Foreseen: {words.plain(evidence['forecast'], 2000)}")
    if evidence.get("nats") is not None:
        st.text(
            f"{evidence['bad']} of {evidence['total']} calls were bad since {words.moment(evidence['since'])}; up to "
            f"{words.percent(evidence['tolerated_ratio'])} is tolerated"
        )
        st.text(f"Strength of evidence: {evidence['nats']:g} nats; {evidence['enough_nats']:g} are enough to act")
    if evidence.get("impact") and not evidence.get("forecast"):
        _impact(evidence["impact"])
    if evidence.get("alternatives"):
        # Lines and no table: a card is too narrow for one, on a telephone as on a board of four columns.
        st.text("\n".join(["What else was considered:", *map(_alternative, evidence["alternatives"])]))
    for error, calls in evidence.get("errors", {}).items():
        st.text(f"{calls} × {words.plain(error)}")
    if evidence.get("scope"):
        st.text(words.plain(evidence["scope"]))


def traces_of(evidence: dict[str, Any]) -> list[Cell]:
    """Return links to some of the failed calls that a decision rests on."""
    return [
        trace_link(item, f"Trace {item[:8]}…") for item in list(dict.fromkeys(evidence.get("traces", [])))[:MOST_TRACES]
    ]


def _alternative(item: dict[str, Any]) -> str:
    """One other scope, and how much it would explain."""
    return f"• {words.plain(item['scope'])}: {item['bad']} of {item['total']} bad, explains {item['nats']:g} nats"


def _impact(cost: dict[str, Any]) -> None:
    """Whom it was going to hit."""
    st.text(f"Before the trouble {_hit(cost)}")
    for back in cost.get("previous", []):
        st.text(f"Answered by version {words.plain(back['version'])}: {_hit(back)}")
    if cost.get("previous") and cost["refused"]:
        st.text(f"Refused or answered by a fallback: {_hit(cost['refused'])}")


def _hit(cost: dict[str, Any]) -> str:
    """How many calls, where and for whom."""
    text = f"{cost['calls_per_minute']:g} calls a minute, in {words.counted(cost['instances'], 'process', 'processes')}"
    return text + (f", for {words.counted(cost['tenants'], 'tenant')}" if cost["tenants"] else "")
