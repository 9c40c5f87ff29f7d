"""What sidecars must be told, given the quarantines in force."""

from __future__ import annotations

from plugwarden.contract import Action, Directive, DirectiveSet, Newcomers, QuarantineState, within_bounds
from plugwarden.contract.directive import MAX_DIRECTIVES, MAX_SET_BYTES

from plugwarden_collector.decide.newcomers import lets_newcomers_in
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.figures import percent
from plugwarden_collector.rules.file import Rules

__all__ = ["directives_for", "next_set", "unannounced"]


def directives_for(standing: Standing, rules: Rules) -> tuple[Directive, ...]:
    """What sidecars must be told, given the quarantines in force. Never a set that one of them refuses: what a store of
    before holds under names that can be none is left out (`unannounced`), and people's come first where there is room for
    some only."""
    found = []
    for item in sorted(standing.quarantines.values(), key=lambda item: item.id):
        if (
            not item.in_force
            or item.scope.fault() is not None
            or (item.actor == AUTOMATION and _overruled(item, standing))
        ):
            continue
        if item.state is QuarantineState.PROBATION:
            reason = f"in probation at {percent(item.share_ratio)}: {item.reason}"
            found.append(Directive(item.id, Action.PROBE, item.scope, item.share_ratio, reason[:900]))
            continue
        newcomers = None
        if lets_newcomers_in(item, rules.policy):
            newcomers = Newcomers(item.known_versions, rules.policy.probation_steps[0])
        found.append(Directive(item.id, Action.ISOLATE, item.scope, 0.0, item.reason[:900], newcomers))
    if sum(map(_most_bytes, found)) > MAX_SET_BYTES or len(found) > MAX_DIRECTIVES:
        people = {item.id for item in standing.quarantines.values() if item.actor != AUTOMATION}
        found.sort(key=lambda directive: directive.id not in people)  # those of one kind stay in order
        found = sorted(found[: within_bounds(found)], key=lambda directive: directive.id)
    return tuple(found)


def next_set(standing: Standing, rules: Rules) -> DirectiveSet | None:
    """Return the set that follows the one that sidecars were told last; None while there is nothing new to tell."""
    last, found = standing.directives, directives_for(standing, rules)
    return None if found == tuple(last.directives) else DirectiveSet(last.epoch, last.revision + 1, found)


def unannounced(standing: Standing) -> list[Quarantine]:
    """Quarantines in force that no sidecar is told of, though nothing overrules them."""
    told = {directive.id for directive in standing.directives.directives}
    return [
        item
        for item in standing.quarantines.values()
        if item.in_force and item.id not in told and not (item.actor == AUTOMATION and _overruled(item, standing))
    ]


def _most_bytes(directive: Directive) -> int:
    """What a directive can take as JSON at most; cheaper to tell than what it takes."""
    texts = [directive.reason, *filter(None, directive.scope.as_dict().values())]
    if directive.newcomers is not None:
        texts += directive.newcomers.known_versions
    return 300 + sum(6 * len(text) + 4 for text in texts)


def _overruled(item: Quarantine, standing: Standing) -> bool:
    """Whether a person has isolated all that an automatic quarantine covers: the person's word stands."""
    for other in standing.quarantines.values():
        if other.actor == AUTOMATION or not other.in_force or other.state is not QuarantineState.QUARANTINED:
            continue
        wider, own = other.scope.as_dict(), item.scope.as_dict()
        if all(wider[part] in {None, own[part]} for part in own):
            return True
    return False
