"""The states that pages show: a sign, a word and a colour each. Never colour alone (WCAG 1.4.1)."""

from __future__ import annotations

from plugwarden_dashboards.linked import Cell, Tone
from plugwarden_dashboards.words import plain

__all__ = ["badge", "said", "tone"]

# Signs of plain fonts: an emoji has a colour of its own, and is an empty box where no font has it.
_STATES: dict[str, tuple[str, str, Tone]] = {
    "healthy": ("●", "healthy", "good"),
    "degraded": ("▲", "degraded", "warn"),
    "suspected": ("▲", "suspected", "warn"),
    "quarantined": ("⊘", "quarantined", "held"),
    "probation": ("◐", "probation", "probe"),
    "released": ("●", "released", "good"),
    "firing": ("■", "firing", "bad"),
    "pending": ("▲", "pending", "warn"),
    "inactive": ("●", "resolved", "good"),
    "page": ("■", "page", "bad"),
    "ticket": ("▲", "ticket", "warn"),
    "error": ("■", "error", "bad"),
    "timeout": ("■", "timeout", "bad"),
    "rejected": ("○", "rejected", "none"),
    "cancelled": ("○", "cancelled", "none"),
    "success": ("●", "success", "good"),
    "ok": ("●", "ok", "good"),
    "sent": ("●", "sent", "good"),
    "failed": ("■", "failed", "bad"),
    "given_up": ("■", "given up", "bad"),
    "begun": ("◐", "under way", "probe"),
    "green": ("●", "collector well", "good"),
    "amber": ("▲", "collector strained", "warn"),
    "kept": ("●", "kept", "good"),
    "burning": ("▲", "burning", "warn"),
    "spent": ("■", "spent", "bad"),
    "unsure": ("○", "unsure: few calls", "none"),
    "unknown": ("○", "no calls", "none"),
    "red": ("■", "collector in trouble", "bad"),
}


def said(state: str) -> str:
    """Return a state's sign and word."""
    sign, word, _ = _STATES.get(state, ("○", plain(state), "none"))
    return f"{sign} {word}"


def tone(state: str) -> Tone:
    """Return a state's colour."""
    return _STATES.get(state, ("", "", "none"))[2]


def badge(state: str, href: str | None = None, value: float | None = None) -> Cell:
    """Return a state as a badge; `value` is what a table sorts it by."""
    return Cell(said(state), tone=tone(state), href=href, value=value)
