"""Overrides: for how long the automation leaves alone what a person released or declined. Pure; time is an argument."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from .quarantine import Quarantine

__all__ = ["MAX_OVERRIDE_SECONDS", "overridden", "shifted", "stands_until"]

MAX_OVERRIDE_SECONDS = 604_800.0
"""Seconds that a person may keep the automation away at most: as long as ended quarantines stay in memory. What is to be left alone
for longer is `protected` in the rules."""
_BY, _UNTIL, _DECLINED = "released_by", "override_until", "declined"


def overridden(item: Quarantine, actor: str, at: datetime, length: timedelta | None, *, declined: bool) -> Quarantine:
    """Return an ended quarantine that says who ended it, and until when the automation leaves its scope alone.

    Without a length, the policy's `human_override_seconds` are asked each time.
    """
    said = {**item.evidence, _BY: actor}
    if length is not None:
        said[_UNTIL] = (at + length).isoformat()
    if declined:
        said[_DECLINED] = True
    return replace(item, evidence=said)


def stands_until(item: Quarantine, policy_seconds: float) -> tuple[datetime, str] | None:
    """Return until when a person's decision to end a quarantine stands, and what they did; None where no person ended it."""
    person = item.evidence.get(_BY)
    if item.ended_at is None or not person:
        return None
    what = "declined" if item.evidence.get(_DECLINED) else "released"
    told = item.evidence.get(_UNTIL)
    until = item.ended_at + timedelta(seconds=policy_seconds) if told is None else datetime.fromisoformat(told)
    return until, f"{person} {what} it at {item.ended_at:%H:%M:%S}"


def shifted(item: Quarantine, by: timedelta, at: datetime) -> Quarantine:
    """Return a quarantine whose override, where one stands, has moved with the clock: it was asked for by its length."""
    told = item.evidence.get(_UNTIL)
    if told is None or datetime.fromisoformat(told) + by <= at:
        return item
    return replace(item, evidence={**item.evidence, _UNTIL: (datetime.fromisoformat(told) + by).isoformat()})
