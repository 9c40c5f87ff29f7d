"""The quarantine state machine: degraded, quarantined, probation, healthy. Pure; time and chance are arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from plugwarden.contract import QuarantineState, Scope

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import counted, percent
from plugwarden_collector.rules.policy import Enforcement, Policy

__all__ = ["AUTOMATION", "HELD_BY", "Effect", "Probes", "Quarantine", "held_seconds", "release", "transition"]

AUTOMATION = "automation"
HELD_BY = "held_by"
"""Key of the evidence: name of the pushed alert that keeps a scope isolated while it fires."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """One scope under watch, from the decision to the end."""

    id: str
    scope: Scope
    state: QuarantineState
    reason: str
    """In plain language; goes to hosts and people."""
    actor: str
    """`automation`, or the person."""
    enforcement: Enforcement
    started_at: datetime
    changed_at: datetime
    """When the state or the step last changed: probes are counted from here."""
    step: int = 0
    """Index into the policy's probation steps."""
    share_ratio: float = 0.0
    """Share of calls let through."""
    hold_until: datetime | None = None
    """When probation begins; None: when a person says so."""
    ended_at: datetime | None = None
    repeats: int = 0
    superseded_by: str | None = None
    """A later version that came through probation; this one stays isolated."""
    successor_of: str | None = None
    """The quarantine because of which this version is on probation."""
    known_versions: tuple[str, ...] = ()
    """Versions of the plugin that stay allowed."""
    alert: str | None = None
    """Fingerprint of the alert behind it."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """What was known at the decision, frozen."""

    @property
    def inconclusive(self) -> bool:
        """Whether a person must decide, for too few calls came on this very step of probation."""
        return self.evidence.get("inconclusive") == self.changed_at.isoformat()

    @property
    def held_by(self) -> str | None:
        """The pushed alert that fires and keeps it isolated; None where none does."""
        return self.evidence.get(HELD_BY)

    @property
    def in_force(self) -> bool:
        """Whether hosts must obey it now."""
        return self.ended_at is None and self.state in {QuarantineState.QUARANTINED, QuarantineState.PROBATION}


@dataclass(frozen=True, slots=True)
class Probes:
    """Calls in the scope since the quarantine last changed, and what they say by a sequential test on every SLI."""

    total: int
    bad: int
    """For the SLI that looks worst."""
    well: bool = False
    """They say that the scope is well, on every SLI that it is judged by."""
    unwell: bool = False
    """They say that it is not, on one of them."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that happened and goes into the decision log."""

    kind: str
    """`probation`, `advanced`, `requarantined`, `released`, `inconclusive`."""
    reason: str


def transition(
    quarantine: Quarantine, probes: Probes, policy: Policy, at: datetime, *, chance: float
) -> tuple[Quarantine, Effect | None]:
    """The quarantine one tick later. `chance` in [0, 1) spreads the hold time."""
    if quarantine.ended_at is not None:
        return quarantine, None
    if quarantine.state is QuarantineState.QUARANTINED:
        if quarantine.hold_until is None or at < quarantine.hold_until or quarantine.superseded_by is not None:
            return quarantine, None
        return _begin_probation(quarantine, policy, at), Effect("probation", "the hold time is over")
    if quarantine.state is QuarantineState.PROBATION:
        return _judge_step(quarantine, probes, policy, at, chance)
    return quarantine, None


def held_seconds(policy: Policy, repeats: int, chance: float) -> float:
    """Return how long an isolation lasts before probation, after so many before it; `chance` in [0, 1) spreads it."""
    seconds: float = min(policy.hold_seconds * 2**repeats, policy.hold_max_seconds)
    return seconds * (1 + policy.hold_jitter_ratio * chance)


def release(quarantine: Quarantine, at: datetime) -> Quarantine:
    """The end of a quarantine, whoever decided it."""
    return replace(
        quarantine,
        state=QuarantineState.HEALTHY,
        share_ratio=1.0,
        changed_at=at,
        ended_at=at,
        hold_until=None,
    )


def _begin_probation(quarantine: Quarantine, policy: Policy, at: datetime) -> Quarantine:
    return replace(
        quarantine,
        state=QuarantineState.PROBATION,
        step=0,
        share_ratio=policy.probation_steps[0],
        changed_at=at,
        hold_until=None,
    )


def _judge_step(
    quarantine: Quarantine, probes: Probes, policy: Policy, at: datetime, chance: float
) -> tuple[Quarantine, Effect | None]:
    elapsed = (at - quarantine.changed_at).total_seconds()
    were = "was" if probes.bad == 1 else "were"
    seen = f"{probes.bad} of {counted(probes.total, 'call')} {were} bad at {percent(quarantine.share_ratio)}"
    if probes.unwell:
        return _again(quarantine, policy, at, chance, seen)
    enough = probes.well and probes.total >= policy.step_min_calls
    if enough and elapsed >= policy.step_seconds:
        following = quarantine.step + 1
        if following >= len(policy.probation_steps):
            return release(quarantine, at), Effect("released", f"probation passed: {seen}")
        share = policy.probation_steps[following]
        moved = replace(quarantine, step=following, share_ratio=share, changed_at=at)
        return moved, Effect("advanced", f"{seen}; now {percent(share)} of calls")
    if not enough and elapsed >= policy.step_timeout_seconds and not quarantine.inconclusive:
        step = quarantine.changed_at.isoformat()  # each step, and each probation after the next isolation, may be one
        marked = replace(quarantine, evidence={**quarantine.evidence, "inconclusive": step})
        return marked, Effect("inconclusive", f"too few calls to judge ({seen}): a person must decide")
    return quarantine, None


def _again(quarantine: Quarantine, policy: Policy, at: datetime, chance: float, seen: str) -> tuple[Quarantine, Effect]:
    repeats = quarantine.repeats + 1
    hold = held_seconds(policy, repeats, chance)
    until = at + timedelta(seconds=math.ceil(hold)) if repeats < policy.max_repeats else None
    when = f"for {duration(hold)}" if until else "until a person releases it: it failed probation too often"
    back = replace(
        quarantine,
        state=QuarantineState.QUARANTINED,
        share_ratio=0.0,
        step=0,
        changed_at=at,
        hold_until=until,
        repeats=repeats,
    )
    return back, Effect("requarantined", f"{seen}; isolated again {when}")
