"""Deciding: what is taken out, and what every quarantine does next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from plugwarden.contract import QuarantineState

from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.decide.guard import Fleet, overruled, vetoes
from plugwarden_collector.decide.isolation import begin, narrower, next_step
from plugwarden_collector.decide.noted import SUSPECTED, NotedKey
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine, release, transition
from plugwarden_collector.decide.wider import covers
from plugwarden_collector.rules.policy import Enforcement

from .excuses import Excuses, is_slowness
from .findings import Finding
from .made import decide, put
from .newcomers import knowing_more, supersede
from .probes import probed
from .tick import Observation, Tick

__all__ = ["advance", "called_lately", "take_back", "take_out"]

CALLED_LATELY = timedelta(minutes=1)
"""A quarantine of what nobody has asked for in this time refuses no calls, and holds no place under the cap."""
PROBED_LATELY = timedelta(seconds=20)
"""It is not told who asks for a process or a tenant; one on probation without a single call for this long is gone."""
SUSPECTED_FOR = timedelta(seconds=30)
"""A suggestion stands for so long after something spoke for it last: what is called seldom fails seldom."""


def take_out(tick: Tick, findings: list[Finding]) -> None:
    """Take out every scope that is to blame; where a guard rail or the policy forbids it, a person is asked."""
    asked = {item.scope.plugin for item in tick.standing.quarantines.values() if _is_question(item)}
    waiting = asked.union(item.scope.plugin for item in findings if item.waits_for)
    tick.watch = replace(tick.watch, waiting=frozenset(waiting))
    ends = [
        item.waits_for.until for item in findings if item.waits_for is not None and item.waits_for.until is not None
    ]
    tick.changes.look_at = min(ends, default=None)
    policy = tick.rules.policy
    for finding in findings:
        if finding.waits_for is not None:
            continue
        speaker = _speaker(tick, finding)
        if speaker is not None and speaker.in_force:
            continue
        if speaker is not None:
            tick.standing.noted[_suspected(speaker)] = tick.at
        fleet = _fleet(tick)
        person = overruled(finding.scope, policy, fleet, tick.at)
        if person is not None:
            _note(tick, finding, "prevented", f"{finding.reason} Not quarantined: {person}.")
        elif policy.enforcement is Enforcement.OBSERVE:
            _note(tick, finding, "would_quarantine", f"{finding.reason} The policy only observes.")
        else:
            prevented = vetoes(finding.scope, policy, fleet, tick.at, word=finding.word)
            step = next_step(finding.scope, finding.reason, policy, policy.enforcement, prevented, speaker, tick.at)
            if step is not None:
                if speaker is not None:
                    _end(tick, speaker, "suspicion_over", f"{finding.scope} is isolated now")
                _open(tick, finding, *step, prevented)


def _speaker(tick: Tick, finding: Finding) -> Quarantine | None:
    """Return who speaks for it: a quarantine or a suggestion that covers the scope."""
    found: Quarantine | None = None
    for item in list(tick.standing.quarantines.values()):
        if item.ended_at is not None:
            continue
        if covers(item.scope, finding.scope):
            if item.in_force:
                return item
            found = item
        elif item.state is QuarantineState.DEGRADED and covers(finding.scope, item.scope):
            _end(tick, item, "suspicion_over", f"what fails is wider: {finding.scope}")
    return found


def called_lately(seen: Observation) -> set[tuple[str, str]]:
    """Return the plugin versions that somebody asked for lately: what nobody asks for holds no place under the cap."""
    return {key for key, at in seen.called_at.items() if seen.at - at <= CALLED_LATELY}


def _fleet(tick: Tick) -> Fleet:
    standing = tick.standing
    called = called_lately(tick.seen)
    idle = {
        item.id
        for item in standing.quarantines.values()
        if item.state is QuarantineState.PROBATION
        and (item.scope.instance is not None or item.scope.tenant is not None)
        and tick.at - item.changed_at >= PROBED_LATELY
        and not probed(tick, item).total
    }
    quarantines = list(standing.quarantines.values())
    return Fleet(tick.seen.running, quarantines, standing.actions, standing.frozen, called, idle)


def _open(tick: Tick, finding: Finding, kind: str, reason: str, prevented: Sequence[str]) -> None:
    """Isolate a scope (`quarantined`), or ask a person (`suggested`, `warned`, `prevented`)."""
    policy, evidence = tick.rules.policy, finding.evidence(tick)
    if kind == "prevented":
        evidence["prevented"] = prevented
    item = begin(
        tick.standing, policy, finding.scope, kind, reason, evidence, tick.at, tick.chance,
        enforcement=policy.enforcement, word=finding.word, previous=finding.previous, alert=_alert_of(tick, finding),
    )  # fmt: skip
    put(tick, item)
    if item.state is QuarantineState.QUARANTINED:
        for within in narrower(tick.standing, item):
            _end(tick, within, "widened", f"{item.scope} is isolated now, which covers it")
    decide(tick, item, kind, reason, item.evidence)


def _alert_of(tick: Tick, finding: Finding) -> str | None:
    """The page that burns for the same reason, if one does by now."""
    for record in tick.standing.alerts.values():
        mine = record.plugin == finding.scope.plugin and finding.scope.version in {None, record.version}
        if mine and record.slo == finding.objective.name and record.severity == "page":
            return record.alert.fingerprint
    return None


def advance(tick: Tick) -> None:
    """Bring every quarantine forward: hold, probe, release, isolate again."""
    standing, policy = tick.standing, tick.rules.policy
    if standing.frozen is not None:
        return  # a frozen automation holds everything as it is
    for item in list(standing.quarantines.values()):
        if item.ended_at is not None:
            continue
        if item.state is QuarantineState.DEGRADED:
            _end_suspicion(tick, item)
            continue
        probation = item.state is QuarantineState.PROBATION
        probes = probed(tick, item)
        after, effect = transition(item, probes, policy, tick.at, chance=tick.chance())
        if effect is None:
            continue
        if after.state is QuarantineState.PROBATION and after.changed_at == tick.at:
            begins = {} if probation else {"probation_mark": tick.watch.mark}
            after = replace(after, evidence={**after.evidence, **begins, "mark": tick.watch.mark})
        elif effect.kind == "requarantined":
            after = knowing_more(after, standing)
        put(tick, after)
        counted = {"calls": probes.total, "bad": probes.bad, "share_ratio": item.share_ratio}
        decide(tick, item, effect.kind, effect.reason, counted)
        if effect.kind == "released":
            supersede(tick, after)


def _is_question(item: Quarantine) -> bool:
    """Whether a person is asked, and nothing is isolated yet."""
    return item.ended_at is None and item.state is QuarantineState.DEGRADED


def _suspected(item: Quarantine) -> NotedKey:
    """Where it is noted when something spoke for a suggestion last."""
    return item.id, "", SUSPECTED


def _end_suspicion(tick: Tick, item: Quarantine) -> None:
    """A suggestion is over when nothing speaks against its scope any more: parts of streams may fail too rarely to show in the whole."""
    scope = item.scope
    seen_at = tick.standing.noted.setdefault(_suspected(item), tick.at)
    if tick.at - seen_at >= SUSPECTED_FOR and not any(
        key.plugin == scope.plugin and scope.version in {None, key.version} and scope.operation in {None, key.operation}
        for key in tick.watch.streams
    ):
        _end(tick, item, "suspicion_over", "what it was suggested for is over")


def _end(tick: Tick, item: Quarantine, kind: str, reason: str, **evidence: object) -> None:
    after = release(item, tick.at)
    put(tick, replace(after, evidence={**after.evidence, **evidence}) if evidence else after)
    decide(tick, item, kind, reason)


def _note(tick: Tick, finding: Finding, kind: str, reason: str) -> None:
    """Record a decision once for as long as the trouble lasts; only then is its evidence looked up."""
    key = (str(finding.scope), finding.objective.name, kind)
    known = key in tick.standing.noted
    tick.standing.noted[key] = tick.at
    if known:
        return
    enforcement = tick.rules.policy.enforcement.value
    tick.changes.decisions.append(
        Draft(tick.at, kind, AUTOMATION, str(finding.scope), reason, enforcement, None, finding.evidence(tick))
    )


def take_back(tick: Tick, excuses: Excuses) -> None:
    """Release what was isolated for a cause that turns out to be shared; what was isolated before it began is not touched, nor what
    was isolated beside it."""
    objectives = {item.name: item for item in tick.rules.isolating}
    for item in list(tick.standing.quarantines.values()):
        if not (item.in_force and item.actor == AUTOMATION and item.successor_of is None):
            continue
        objective, beside = objectives.get(item.evidence.get("objective", "")), str(item.evidence.get("beside", ""))
        slow = objective is not None and is_slowness(objective, item.evidence.get("errors", {}))
        for excuse in excuses.of(item.scope.plugin, beside, slow=slow):
            if excuse.since is not None and item.started_at >= excuse.since:
                why = f"{excuse.why} explains its failures: {item.scope} is not to blame."
                _end(tick, item, "taken_back", why, taken_back=True)
                break
