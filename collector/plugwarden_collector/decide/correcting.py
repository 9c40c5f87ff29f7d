"""What people do about corrections, as functions of where things stand. Pure; time is an argument."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.errors import ConflictError, NotFoundError

from .acts import Acted
from .changes import Changes
from .correction import MAX_AGE, MAX_CORRECTIONS, Correction, correction_problem
from .identity import new_id
from .standing import Standing

__all__ = ["correct", "end_correction", "withdraw"]


def correct(
    standing: Standing,
    about: tuple[str, str, str],
    span: tuple[datetime, datetime],
    reason: str,
    actor: Actor,
    at: datetime,
) -> Acted:
    """Return a standing in which a span of time counts in no budget; `about` are patterns of plugins, objectives and owners.

    Raises `ConflictError` for a span that cannot be counted to the event, and where there are as many corrections as may be.
    """
    wrong = correction_problem(*span, at)
    if wrong is not None:
        raise ConflictError(wrong)
    counting = tuple(item for item in standing.corrections if at - item.ends_at < MAX_AGE)
    if len(counting) >= MAX_CORRECTIONS:
        raise ConflictError(
            f"there are {MAX_CORRECTIONS} corrections already; withdraw one, or write one that is about more"
        )
    item = Correction(new_id("c", *about, *span, at), *about, *span, reason, str(actor), at)
    evidence = {"starts_at": item.starts_at, "ends_at": item.ends_at}
    return _changed(standing, (*counting, item), item, "corrected", reason, actor, at, evidence)


def end_correction(standing: Standing, identity: str, reason: str, actor: Actor, at: datetime) -> Acted:
    """Return a standing in which a correction ends with this minute. Raises `NotFoundError`, and `ConflictError` unless it runs."""
    item = _found(standing, identity)
    if not item.starts_at < at < item.ends_at:
        raise ConflictError(f"{identity} does not run now; withdraw it, where it is not to count at all")
    ended = replace(item, ends_at=min(item.ends_at, at.replace(second=0, microsecond=0) + timedelta(minutes=1)))
    kept = tuple(ended if known.id == identity else known for known in standing.corrections)
    return _changed(standing, kept, ended, "correction_ended", reason, actor, at, {"ends_at": ended.ends_at})


def withdraw(standing: Standing, identity: str, reason: str, actor: Actor, at: datetime) -> Acted:
    """Return a standing in which a correction was never there. Raises `NotFoundError`."""
    item = replace(_found(standing, identity), withdrawn_at=at)
    kept = tuple(known for known in standing.corrections if known.id != identity)
    return _changed(standing, kept, item, "correction_withdrawn", reason, actor, at, None)


def _found(standing: Standing, identity: str) -> Correction:
    item = next((known for known in standing.corrections if known.id == identity), None)
    if item is None:
        raise NotFoundError(f"there is no correction {identity!r}; `plugwarden corrections list` shows them")
    return item


def _changed(
    standing: Standing,
    kept: tuple[Correction, ...],
    item: Correction,
    kind: str,
    reason: str,
    actor: Actor,
    at: datetime,
    evidence: dict[str, datetime] | None,
) -> Acted:
    fresh = standing.copy()
    fresh.corrections = kept
    about = f"plugins {item.plugins}, objectives {item.objectives}, owners {item.owners}"
    draft = Draft(at, kind, actor.name, about, reason, quarantine_id=item.id, evidence=evidence, says=actor.says)
    return fresh, Changes(at=at, corrections=[item], decisions=[draft])
