"""What becomes of alerts that others push, where a policy says so: isolations by the labels, held while the alert fires. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from plugwarden.contract import QuarantineState, Scope, name_fault

from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.matcher import all_match
from plugwarden_collector.rules.policy import Enforcement, Policy
from plugwarden_collector.rules.pushed_policy import PushedPolicy
from plugwarden_collector.wording import one_line

from .acts import Acted
from .changes import Changes
from .guard import Fleet, overruled, vetoes
from .isolation import begin, narrower, next_step
from .labels import TOLDER, about
from .noted import SUSPECTED
from .quarantine import AUTOMATION, HELD_BY, Quarantine, held_seconds
from .quarantine import release as ended
from .standing import Standing
from .wider import covers

__all__ = ["Called", "FiringAlert", "Matched", "follow", "is_held", "matched"]

MAX_TEXT = 300
"""Characters of an alert's own words in a reason, which goes to every host."""
MAX_UNKNOWN = 100
"""Alerts about what nobody knows that are on record at a time: whoever pushes thousands fills no decision log."""
MAX_SCOPES = 100
"""Scopes that are looked at, those of the oldest alerts first: whoever pushes thousands of operations makes no more suggestions."""
UNKNOWN = "pushed about nothing known"
"""What `Standing.noted` calls these."""


@dataclass(frozen=True, slots=True)
class FiringAlert:
    """A pushed alert that fires."""

    fingerprint: str
    labels: Mapping[str, str]
    started_at: datetime
    summary: str

    @property
    def name(self) -> str:
        """What people call it, on one line."""
        return one_line(self.labels.get("alertname", "unnamed"))[:MAX_TEXT]

    @property
    def reason(self) -> str:
        """Why something is isolated for it, in one sentence."""
        said = f": {one_line(self.summary)[:MAX_TEXT]}" if self.summary else "."
        return f"The pushed alert {self.name} has fired since {self.started_at:%Y-%m-%d %H:%M:%S}{said}"

    def evidence(self, rule: PushedPolicy) -> dict[str, Any]:
        """Return what a decision keeps of it."""
        told = {
            "policy": rule.name,
            "fingerprint": self.fingerprint,
            "labels": dict(self.labels),
            "summary": self.summary,
            "since": self.started_at.isoformat(),
        }
        return {"pushed": told, HELD_BY: self.name}


Matched = tuple[PushedPolicy, FiringAlert, Scope | None]
"""An alert, the first policy that is of it, and the scope that its labels name; None where they name none that there can be."""


@dataclass(frozen=True, slots=True)
class Called:
    """What the guard rails know of calls."""

    running: int
    """Plugins with traffic."""
    lately: Set[tuple[str, str]] | None
    """Plugin versions that somebody asked for lately; None: all of them were."""


def matched(rules: Sequence[PushedPolicy], firing: Iterable[FiringAlert]) -> list[Matched]:
    """Return the alerts that a policy is of, each with the first such one; none that a Plugwarden told: two that isolate for each other's
    alerts would each be the other's reason, and neither would ever let go."""
    found = []
    for alert in (item for item in firing if TOLDER not in item.labels):
        rule = next((rule for rule in rules if all_match(rule.matchers, alert.labels)), None)
        if rule is not None:
            found.append((rule, alert, _scope_of(alert)))
    return found


def is_held(item: Quarantine) -> bool:
    """Whether a pushed alert keeps a scope isolated."""
    return item.ended_at is None and item.in_force and item.actor == AUTOMATION and item.held_by is not None


def follow(
    standing: Standing,
    policy: Policy,
    alerts: Sequence[Matched],
    called: Called,
    at: datetime,
    chance: Callable[[], float],
) -> Acted:
    """Return a standing in which what pushed alerts are about is isolated, suggested or noted, as far as their policies and the guard rails
    let it go, and in which what no alert holds any more waits for its probation. `chance` in [0, 1) spreads hold times."""
    step = _Step(standing.copy(), Changes(at=at), policy, called, at, chance)
    plugins = {plugin for plugin, _ in standing.versions}
    room = MAX_UNKNOWN - sum(what == UNKNOWN for _, _, what in standing.noted)
    wanted: dict[Scope, tuple[PushedPolicy, FiringAlert]] = {}
    for rule, alert, scope in alerts:
        if at - alert.started_at < timedelta(seconds=rule.for_seconds):
            continue
        known = scope is not None and (
            scope.plugin in plugins if scope.version is None else (scope.plugin, scope.version) in standing.versions
        )
        if scope is not None and known:
            wanted.setdefault(scope, (rule, alert))
        else:
            room -= step.unknown(rule, alert, room)
    for scope, (rule, alert) in islice(wanted.items(), MAX_SCOPES):
        step.consider(scope, rule, alert)
    if standing.frozen is None:  # a frozen automation holds everything as it is
        for item in filter(is_held, list(step.standing.quarantines.values())):
            if item.scope not in wanted:
                step.let_go(item)
    return step.standing, step.changes


def _scope_of(alert: FiringAlert) -> Scope | None:
    """Return the scope that an alert's labels name; None where they name no plugin, or what can be no name."""
    parts = {part: about(alert.labels, part) for part in ("plugin", "version", "operation")}
    plugin = parts.pop("plugin")
    named = {"plugin": plugin, **parts}
    if plugin is None or any(name is not None and name_fault(part, name) is not None for part, name in named.items()):
        return None
    return Scope(plugin, parts["version"], parts["operation"])


@dataclass(frozen=True, slots=True)
class _Step:
    """One look at the alerts; `standing` and `changes` are its own, and grow."""

    standing: Standing
    changes: Changes
    policy: Policy
    called: Called
    at: datetime
    chance: Callable[[], float]

    def consider(self, scope: Scope, rule: PushedPolicy, alert: FiringAlert) -> None:
        """Go as far with a scope as policy and guard rails let it go."""
        open_ = [
            item for item in self.standing.quarantines.values() if item.ended_at is None and covers(item.scope, scope)
        ]
        isolated = next((item for item in open_ if item.in_force), None)
        if isolated is not None:
            approved = rule.enforcement is Enforcement.ENFORCE or "approved_by" in isolated.evidence
            may = approved and self.standing.frozen is None
            if may and "pushed" in isolated.evidence and isolated.actor == AUTOMATION and isolated.scope == scope:
                self._hold(isolated, alert)
            return
        speaker = next(iter(open_), None)
        if speaker is not None:
            self.standing.noted[speaker.id, "", SUSPECTED] = self.at
        fleet = Fleet(
            self.called.running, list(self.standing.quarantines.values()), self.standing.actions, self.standing.frozen,
            self.called.lately,
        )  # fmt: skip
        person = overruled(scope, self.policy, fleet, self.at)
        if person is not None:
            self._note(str(scope), rule, alert, "prevented", f"Not quarantined: {person}.")
        elif rule.enforcement is Enforcement.OBSERVE:
            self._note(str(scope), rule, alert, "would_quarantine", f"The policy {rule.name} only observes.")
        else:
            prevented = vetoes(scope, self.policy, fleet, self.at)
            then = next_step(scope, alert.reason, self.policy, rule.enforcement, prevented, speaker, self.at)
            if then is not None:
                if speaker is not None and speaker.scope == scope:  # a wider one says more, and goes on
                    self._end(speaker, "suspicion_over", f"{scope} is isolated now")
                self._begin(scope, rule, alert, *then, prevented)

    def unknown(self, rule: PushedPolicy, alert: FiringAlert, room: int) -> bool:
        """Say once that nothing is done about an alert, and why, if there is room on record. Return whether it took some."""
        scope = f"alert {alert.name}, {alert.fingerprint}"
        new = (scope, rule.name, UNKNOWN) not in self.standing.noted
        if new and room <= 0:
            return False
        why = "Nothing is isolated: its labels plugin and version must name what has made a call."
        self._note(scope, rule, alert, "prevented", why, UNKNOWN)
        return new

    def let_go(self, item: Quarantine) -> None:
        """Let probation begin when the scope has been isolated for as long as the policy says, now that its alert is over."""
        evidence = {key: value for key, value in item.evidence.items() if key != HELD_BY}
        for_good = item.repeats >= self.policy.max_repeats
        hold = timedelta(seconds=held_seconds(self.policy, item.repeats, self.chance()))
        until = None if for_good else max(self.at, item.changed_at + hold)
        after = replace(item, hold_until=until, evidence=evidence)
        then = "a person decides" if until is None else f"probation begins at {until:%Y-%m-%d %H:%M:%S}"
        self._put(after)
        self._decide(after, "alert_over", f"the pushed alert {item.held_by} is over; {then}")

    def _hold(self, item: Quarantine, alert: FiringAlert) -> None:
        """Keep a scope isolated while the alert fires; what is on probation already is isolated again."""
        evidence = {**item.evidence, HELD_BY: alert.name}
        if item.state is QuarantineState.PROBATION:
            after = replace(
                item, state=QuarantineState.QUARANTINED, share_ratio=0.0, step=0, changed_at=self.at, hold_until=None,
                repeats=item.repeats + 1, evidence=evidence,
            )  # fmt: skip
            self._put(after)
            self._decide(after, "requarantined", alert.reason)
        elif item.hold_until is not None:
            self._put(replace(item, hold_until=None, evidence=evidence))

    def _begin(
        self, scope: Scope, rule: PushedPolicy, alert: FiringAlert, kind: str, reason: str, prevented: Sequence[str]
    ) -> None:
        evidence = alert.evidence(rule) | ({"prevented": list(prevented)} if kind == "prevented" else {})
        item = begin(
            self.standing, self.policy, scope, kind, reason, evidence, self.at, self.chance, enforcement=rule.enforcement,
            alert=alert.fingerprint,
        )  # fmt: skip
        item = replace(item, hold_until=None)
        self._put(item)
        self._decide(item, kind, reason, item.evidence)
        if item.in_force:
            for within in narrower(self.standing, item):
                self._end(within, "widened", f"{scope} is isolated now, which covers it")

    def _note(
        self, scope: str, rule: PushedPolicy, alert: FiringAlert, kind: str, why: str, what: str | None = None
    ) -> None:
        """Record once what is not done for as long as the alert lasts."""
        key = (scope, rule.name, what or kind)
        known = key in self.standing.noted
        self.standing.noted[key] = self.at
        if not known:
            self.changes.decisions.append(
                Draft(
                    self.at, kind, AUTOMATION, scope, f"{alert.reason} {why}", rule.enforcement.value, None, alert.evidence(rule)
                )
            )  # fmt: skip

    def _end(self, item: Quarantine, kind: str, reason: str) -> None:
        self._put(ended(item, self.at))
        self._decide(item, kind, reason)

    def _put(self, item: Quarantine) -> None:
        self.standing.quarantines[item.id] = item
        self.changes.quarantines.append(item)

    def _decide(self, item: Quarantine, kind: str, reason: str, evidence: Mapping[str, Any] | None = None) -> None:
        self.changes.decisions.append(
            Draft(self.at, kind, AUTOMATION, str(item.scope), reason, item.enforcement.value, item.id, evidence)
        )
