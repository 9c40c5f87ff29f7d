"""An outage that plugins show one after the other: who was isolated for it fails no more, and is one of those that it hits all the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from plugwarden_collector.decide.quarantine import AUTOMATION
from plugwarden_collector.judge.causes import Fault
from plugwarden_collector.judge.causes.error_kinds import ErrorKind, alike, leading_kind
from plugwarden_collector.judge.causes.onset import TOGETHER, shared_odds_nats

from .neighbours import is_place
from .tick import Tick
from .trouble import Trouble

__all__ = ["EVERYWHERE", "fails_everywhere", "isolated_for_it", "outages"]

EVERYWHERE = "everywhere"
"""Key of the evidence of a quarantine: whether its plugin failed wherever it is called (`fails_everywhere`)."""


def fails_everywhere(trouble: Trouble, fault: Fault) -> bool:
    """Whether neither another place nor another version is well, which a reason outside of the plugin does not spare.

    Of whom one sender alone tells that is not known, and whom it made up is not hit by anything: neither is a member of a shared cause
    either (`judge/causes/moment.py`).
    """
    scope = fault.scope
    if is_place(fault) or not fault.known or fault.sender:
        return False
    return scope.version is None or all(
        item.version == scope.version for item in trouble.samples if item.plugin == scope.plugin and item.total
    )


def outages(tick: Tick, trouble: Trouble) -> Iterator[dict[str, datetime]]:
    """Yield, for each fault that there is enough against, when plugins began to fail for what is likelier one reason than one for each:
    the fault's, and those that are isolated for the same."""
    for fault in trouble.explanation.faults:
        plugin, errors = fault.scope.plugin, dict(fault.errors)
        enough = fault.weight >= tick.rules.policy.enough_nats(plugin)
        if enough and not fault.beside and fails_everywhere(trouble, fault):
            onsets = isolated_for_it(tick, fault.since, errors) | {plugin: fault.since}
            if len(onsets) > 1 and shared_odds_nats(len(onsets), tick.seen.running) > 0:
                yield onsets


def isolated_for_it(tick: Tick, since: datetime, errors: Mapping[str, int]) -> dict[str, datetime]:
    """Return the plugins that the automation isolated for like errors which point outward, with when they began to fail: at most
    `TOGETHER` before or after."""
    found: dict[str, datetime] = {}
    if leading_kind(errors) is not ErrorKind.OUTWARD:
        return found
    for item in tick.standing.quarantines.values():
        mine = item.in_force and item.actor == AUTOMATION and item.successor_of is None
        if not mine or not item.evidence.get(EVERYWHERE):
            continue
        began, theirs = _moment(item.evidence["since"]), item.evidence["errors"]
        if abs(began - since) <= TOGETHER and leading_kind(theirs) is ErrorKind.OUTWARD and alike(errors, theirs):
            plugin = item.scope.plugin
            found[plugin] = min(began, found.get(plugin, began))
    return found


def _moment(told: datetime | str) -> datetime:
    """Return a moment of evidence, which is a text once it was stored."""
    return told if isinstance(told, datetime) else datetime.fromisoformat(told)
