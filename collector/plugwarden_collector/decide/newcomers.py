"""Versions that come while another one of their plugin is isolated: for what they are on probation, and what lets them in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from plugwarden.contract import QuarantineState, Scope

from plugwarden_collector.rules.policy import Policy

from .quarantine import AUTOMATION, Quarantine
from .wider import covers
from .word import word_in

__all__ = ["known_again", "lets_newcomers_in", "newcomer_scope", "told_apart"]


def lets_newcomers_in(item: Quarantine, policy: Policy) -> bool:
    """Whether versions that a quarantine does not know start with a share of its calls.

    Only the automation puts versions that nobody asked about on probation, never those of protected plugins; nor on the word of one process
    alone, whose version others may never have had, unless nobody else calls the plugin; and not any more once a successor has passed, for
    what comes then follows a version that is well.
    """
    word = word_in(item.evidence)
    if item.actor != AUTOMATION or item.scope.version is None or policy.protects(item.scope.plugin):
        return False
    isolates = item.in_force and item.state is QuarantineState.QUARANTINED and item.superseded_by is None
    return isolates and (word.process is None or word.own)


def newcomer_scope(item: Quarantine, version: str) -> Scope:
    """Return for what a version is on probation because of a quarantine: for what is isolated of the other one, and nothing else."""
    return replace(item.scope, version=version)


def told_apart(scope: Scope, quarantines: Iterable[Quarantine]) -> bool:
    """Whether a quarantine in force decides about a scope already, whole."""
    return any(item.in_force and covers(item.scope, scope) for item in quarantines)


def known_again(passed: Quarantine, quarantines: Mapping[str, Quarantine]) -> list[Quarantine]:
    """Return the quarantines because of which a version that is let in now was a newcomer, with the version among those they know."""
    version, found = passed.scope.version, []
    if passed.successor_of is None or version is None:
        return []
    for item in quarantines.values():
        mine = item.in_force and item.scope.version is not None and item.actor == AUTOMATION and item.id != passed.id
        if mine and version not in item.known_versions and covers(passed.scope, newcomer_scope(item, version)):
            found.append(replace(item, known_versions=tuple(sorted({*item.known_versions, version}))))
    return found
