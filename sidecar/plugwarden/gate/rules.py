"""Which directives bear on one wrapped operation: a pure function, run when directives change, never per call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeGuard

from plugwarden.contract import Action, Directive, Newcomers, RejectionReason, Scope
from plugwarden.contract.value import value

__all__ = ["MAX_RULES", "Rule", "by_plugin", "resolve"]

_STRICTNESS = {Action.ISOLATE: 2, Action.PROBE: 1, Action.ALLOW: 0}


MAX_RULES = 256
"""Most rules of one operation. Every call looks at them until one applies, so whoever makes directives must not make calls slow; more
tenants than 200 are not told apart anyway."""


@value
class Rule:
    """What one directive means for one operation."""

    share_ratio: float
    """The share of calls let through, in [0, 1]."""
    reason: RejectionReason
    """Why the others are refused."""
    explanation: str
    """The reason in a sentence."""
    directive_id: str
    """The quarantine behind it."""
    tenant: str | None = None
    """Applies to calls of this tenant alone, where set."""
    version_alone: bool = False
    """Whether it is said of a version, and not of the plugin as a whole: then an earlier version may answer."""


def by_plugin(directives: Iterable[Directive]) -> dict[str, list[Directive]]:
    """Directives by the plugin that they are about: ten thousand must not be looked at for every operation."""
    found: dict[str, list[Directive]] = {}
    for directive in directives:
        found.setdefault(directive.scope.plugin, []).append(directive)
    return found


def resolve(directives: Iterable[Directive], operation: Scope) -> tuple[Rule, ...]:
    """The rules for `operation` (plugin, version, operation and instance all known), the deciding one first.

    The most specific directive decides; among equals the strictest does. A version that an isolated sibling's directive
    does not know yet is let in by that directive's newcomer share, for the calls that the directive is about and unless another
    one names the version itself for all of these.
    """
    found: list[tuple[tuple[int, int], Rule]] = []
    named: set[str | None] = set()
    newcomers: list[Rule] = []
    for directive in directives:
        scope = directive.scope
        if scope.plugin != operation.plugin:
            continue
        if not (_covers(scope.operation, operation.operation) and _covers(scope.instance, operation.instance)):
            continue
        if _covers(scope.version, operation.version):
            if scope.version is not None:
                named.add(scope.tenant)
            specificity = sum(
                part is not None for part in (scope.version, scope.operation, scope.instance, scope.tenant)
            )
            found.append(((specificity, _STRICTNESS[directive.action]), _rule(directive)))
        elif directive.action is Action.ISOLATE and _lets_in(directive.newcomers, operation.version):
            newcomers.append(_newcomer(directive, directive.newcomers))
    found.sort(key=lambda item: item[0], reverse=True)
    newcomers.sort(key=lambda rule: (rule.share_ratio, rule.tenant is None))
    rules = [rule for _, rule in found]
    rules += [rule for rule in newcomers if None not in named and rule.tenant not in named]
    return tuple(_decisive(rules))


def _lets_in(newcomers: Newcomers | None, version: str | None) -> TypeGuard[Newcomers]:
    """Whether a version is a newcomer."""
    return newcomers is not None and version not in newcomers.known_versions


def _newcomer(directive: Directive, newcomers: Newcomers) -> Rule:
    share_ratio = newcomers.share_ratio
    explanation = f"a new version while {directive.scope} is isolated: {share_ratio:.0%} of calls are let through"
    return Rule(
        share_ratio, RejectionReason.PROBATION, explanation, directive.id, directive.scope.tenant, version_alone=True
    )


def _decisive(rules: Iterable[Rule]) -> Iterator[Rule]:
    """The first rule of each tenant, up to the first that is for everybody: no call ever gets to another."""
    tenants: set[str] = set()
    for rule in rules:
        if rule.tenant is None:
            yield rule
            return
        if rule.tenant not in tenants and len(tenants) < MAX_RULES - 1:
            tenants.add(rule.tenant)
            yield rule


def _covers(wanted: str | None, actual: str | None) -> bool:
    return wanted is None or wanted == actual


def _rule(directive: Directive) -> Rule:
    tenant, version_alone = directive.scope.tenant, directive.scope.version is not None
    if directive.action is Action.ALLOW:
        return Rule(1.0, RejectionReason.QUARANTINED, directive.reason, directive.id, tenant, version_alone)
    if directive.action is Action.PROBE:
        why = directive.reason or f"in probation: {directive.share_ratio:.0%} of calls are let through"
        return Rule(directive.share_ratio, RejectionReason.PROBATION, why, directive.id, tenant, version_alone)
    why = directive.reason or "isolated by a directive"
    return Rule(0.0, RejectionReason.QUARANTINED, why, directive.id, tenant, version_alone)
