"""Versions that come while another one is isolated: on probation for what was isolated of that one, and let in once they passed."""

from __future__ import annotations

from dataclasses import replace

from plugwarden.contract import QuarantineState

from plugwarden_collector.decide.alert import AlertState
from plugwarden_collector.decide.identity import new_id
from plugwarden_collector.decide.newcomers import known_again, lets_newcomers_in, newcomer_scope, told_apart
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.decide.word import WORD
from plugwarden_collector.figures import percent

from .endings import end_alert
from .made import decide, put
from .tick import Tick

__all__ = ["admit_newcomers", "knowing_more", "supersede"]

HANDED_ON = ("objective", "failed_ratio", "known", WORD)
"""What a newcomer's probation is judged by, as that of the version that it comes after."""


def admit_newcomers(tick: Tick) -> None:
    """Put versions first seen while a sibling is isolated on probation from their first call, for each scope that is isolated of it."""
    standing, policy = tick.standing, tick.rules.policy
    if standing.frozen is not None:
        return
    for item in list(standing.quarantines.values()):
        if not lets_newcomers_in(item, policy):
            continue
        for plugin, version in sorted(standing.versions):
            if plugin != item.scope.plugin or version in {*item.known_versions, item.scope.version}:
                continue
            scope = newcomer_scope(item, version)
            if told_apart(scope, standing.quarantines.values()):
                continue
            share = policy.probation_steps[0]
            reason = f"first version since {item.scope} was isolated; it starts with {percent(share)} of calls"
            entry = Quarantine(
                id=new_id("q", scope, tick.at), scope=scope, state=QuarantineState.PROBATION, reason=reason,
                actor=AUTOMATION, enforcement=item.enforcement, started_at=tick.at, changed_at=tick.at, step=0,
                share_ratio=share, successor_of=item.id, known_versions=item.known_versions, alert=item.alert,
                evidence={
                    **{key: item.evidence[key] for key in HANDED_ON if key in item.evidence},
                    "mark": tick.watch.mark,
                    "probation_mark": tick.watch.mark,
                },
            )  # fmt: skip
            put(tick, entry)
            decide(tick, entry, "probation", reason, {"successor_of": item.id})


def supersede(tick: Tick, released: Quarantine) -> None:
    """Let a version that came through probation take the place of those isolated in its scope, which stay isolated."""
    for after in known_again(released, tick.standing.quarantines):
        original = replace(after, superseded_by=released.scope.version, hold_until=None)
        put(tick, original)
        reason = f"{released.scope} passed probation; {original.scope} stays isolated and is no longer probed"
        decide(tick, original, "superseded", reason)
        replaced = tick.standing.replaced & {(original.scope.plugin, original.scope.version)}
        for record in list(tick.standing.alerts.values()):
            mine = (record.plugin, record.version) in replaced and not record.watched
            if mine and record.alert.state is not AlertState.INACTIVE:
                end_alert(tick, record, f"superseded by {released.scope.version}")


def knowing_more(item: Quarantine, standing: Standing) -> Quarantine:
    """Return a quarantine that isolates again, knowing the versions that began while it was probed and are not on probation."""
    scope = item.scope
    if scope.version is None:
        return item
    others = standing.versions_beside(scope.plugin, scope.version)
    held = standing.quarantines.values()
    ran = {version for version in others if not told_apart(newcomer_scope(item, version), held)}
    return replace(item, known_versions=tuple(sorted({*item.known_versions, *ran})))
