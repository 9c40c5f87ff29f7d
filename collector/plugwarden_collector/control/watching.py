"""The loop over the rules' `[[alert]]` tables: each is looked at when it is due, one after the other, and brings its alerts forward."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from plugwarden.contract import QuarantineState

from plugwarden_collector.clock import Clock
from plugwarden_collector.decide.acts import Acted
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.errors import CollectorError, QueryError, WatchError
from plugwarden_collector.rules.alert_rule import AlertKind, AlertRule
from plugwarden_collector.store import Ledger, Telemetry
from plugwarden_collector.watch.absence import DAYS, Hosts, absent
from plugwarden_collector.watch.alarms import bring_forward, end_left_over
from plugwarden_collector.watch.kept import Kept, as_text, kept_in
from plugwarden_collector.watch.sample import Sample
from plugwarden_collector.watch.upstream import burning, sizes_of
from plugwarden_collector.watch.usual import anomalies

from .live import Warden
from .statements import samples_by

__all__ = ["Look", "Watching", "run_watching"]

EVERY_SECONDS = 1.0
"""Seconds between two looks for what is due."""
SPAN = timedelta(days=DAYS + 1)
"""How far back calls are looked at: the silence now, and the same hours on each of the days before."""
LATE = timedelta(minutes=2)
"""How long after its end a window is compared: hosts with other SDKs send once a minute."""
PATIENCE = 2
"""Looks in a row that must fail before anybody is told: one may have met a busy moment. A statement that is wrong is told at once."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """How the last look of a rule went."""

    at: datetime
    seconds: float
    """How long it took."""
    found: int = 0
    """Things that it found."""
    error: str | None = None
    """Why it failed; None where it did not."""
    failures: int = 0
    """Looks in a row that failed."""
    wrong: bool = False
    """Whether it fails for what stands in the rules, and will fail again."""

    @property
    def failing(self) -> bool:
        """Whether a person must be told."""
        return self.error is not None and (self.wrong or self.failures >= PATIENCE)


class Watching:
    """Everything may be read from any thread; looks are made in one of its own."""

    def __init__(
        self,
        telemetry: Telemetry,
        ledger: Ledger,
        warden: Warden,
        living: Callable[[datetime], frozenset[str]],
        clock: Clock,
    ) -> None:
        """`living` returns services of which a process is heard of, and has not said that it ends."""
        self._telemetry, self._warden, self._living, self._clock = telemetry, warden, living, clock
        self._began_at, self._closed = clock(), False
        # Of its own: a statement may take seconds, and neither judging nor the API's threads wait for it.
        self.thread = ThreadPoolExecutor(1, "plugwarden-watch")
        self._kept = {rule: _by_key(kept_in(text)) for rule, text in ledger.watched().items()}
        self._due: dict[str, tuple[AlertRule, datetime]] = {}
        """Name of a rule -> as it was when it was looked at last, and when it is due again."""
        self.looks: dict[str, Look] = {}
        """Name of a rule -> its last look."""
        self.counts: Counter[str] = Counter()
        """Looks by how they ended: `done` or `failed`."""

    def look(self) -> None:
        """Look at every rule that is due, in the caller's thread; what was not looked at for longest comes first."""
        at, rules = self._clock(), self._warden.rules.alerts
        self._end_left_over(rules)
        due = [(self._due_at(rule, at), rule) for rule in rules]
        for when, rule in sorted(due, key=lambda item: item[0]):
            if when <= at:
                self._look_at(rule)

    def failing(self) -> dict[str, str]:
        """Return name of a rule -> why it cannot be looked at, of those of which a person must be told."""
        return {name: look.error or "" for name, look in list(self.looks.items()) if look.failing}

    def close(self) -> None:
        """Let the loop's thread go; a look that is under way ends by itself, and nothing follows from how."""
        self._closed = True
        self.thread.shutdown(wait=False, cancel_futures=True)

    def _due_at(self, rule: AlertRule, at: datetime) -> datetime:
        """When a rule is to be looked at; at once where it is new, another, or was looked at in a time that has not come yet."""
        known, due_at = self._due.get(rule.name, (None, at))
        return at if known != rule or due_at > at + timedelta(seconds=rule.every_seconds) else due_at

    def _look_at(self, rule: AlertRule) -> None:
        at, began = self._clock(), time.perf_counter()
        self._due[rule.name] = rule, at + timedelta(seconds=rule.every_seconds)
        before = self.looks.get(rule.name)
        try:
            samples = self._samples(rule, at)
            self._bring_forward(rule, samples)
        except Exception as error:  # noqa: BLE001 - told as of this rule, and the others are looked at
            if self._closed:
                return
            if not isinstance(error, CollectorError):
                _log.exception("the alert %s could not be looked at", rule.name)
            failures = 1 if before is None else before.failures + 1
            wrong = isinstance(error, WatchError | QueryError)
            look = Look(at, time.perf_counter() - began, 0, str(error), failures, wrong)
            self.counts["failed"] += 1
            if before is None or before.error is None:
                _log.warning("the alert %s cannot be looked at: %s", rule.name, error)
        else:
            look = Look(at, time.perf_counter() - began, len(samples))
            self.counts["done"] += 1
        self.looks[rule.name] = look

    def _samples(self, rule: AlertRule, at: datetime) -> list[Sample]:
        if rule.sql:
            return samples_by(self._telemetry.queries, rule, at)
        if rule.kind is AlertKind.ANOMALY:
            ended_at = (at - LATE).replace(second=0, microsecond=0)
            return anomalies(rule, self._telemetry.judging.same_hours(ended_at, rule.over_seconds))
        if rule.upstream is not None:
            fast = rule.upstream.objective.threshold_index
            counts = self._telemetry.judging.upstreams(sizes_of(rule, at), fast, at)
            return burning(rule, counts, self._kept.get(rule.name, {}), at=at)
        quiet_since = at - timedelta(seconds=rule.silence_seconds)
        by_operation = rule.operations is not None
        calls = self._telemetry.judging.last_calls(at - SPAN, quiet_since, at, by_operation=by_operation)
        standing = self._warden.standing
        called = {plugin for plugin, _ in standing.versions} | {item.plugin for item in calls}
        return absent(rule, calls, called, Hosts(self._living(at), self._began_at), _isolated(standing), at)

    def _bring_forward(self, rule: AlertRule, samples: Sequence[Sample]) -> None:
        before = self._kept.get(rule.name, {})
        brought: list[Mapping[str, Kept]] = []

        def bring(standing: Standing, at: datetime) -> Acted:
            fresh, changes, after = bring_forward(rule, samples, before, standing, at)
            if after != before:
                changes.watched[rule.name] = as_text(after) if after else None
            brought.append(after)
            return fresh, changes

        self._warden.bring_alerts(bring)
        self._kept[rule.name] = dict(brought[-1])

    def _end_left_over(self, rules: Sequence[AlertRule]) -> None:
        """End what rules that are gone have left, and forget it."""
        names = {rule.name for rule in rules}
        for name in self._due.keys() - names:
            del self._due[name]
            self.looks.pop(name, None)
        gone = self._kept.keys() - names
        if not gone and not any(
            record.watched and record.name not in names and record.alert.state.value != "inactive"
            for record in list(self._warden.standing.alerts.values())
        ):
            return

        def end(standing: Standing, at: datetime) -> Acted:
            fresh, changes = end_left_over(rules, standing, at)
            changes.watched |= dict.fromkeys(gone)
            return fresh, changes

        self._warden.bring_alerts(end)
        for name in gone:
            del self._kept[name]


def _by_key(kept: Sequence[Kept]) -> dict[str, Kept]:
    return {item.key: item for item in kept}


def _isolated(standing: Standing) -> set[tuple[str, str]]:
    """Return (plugin, operation) of everything whose calls are refused everywhere; an empty operation: all."""
    held = (item.scope for item in standing.quarantines.values() if item.state is QuarantineState.QUARANTINED)
    scopes = [scope for scope in held if scope.instance is None and scope.tenant is None]
    found = {(scope.plugin, scope.operation or "") for scope in scopes if scope.version is None}
    of_versions = {
        (scope.plugin, scope.version) for scope in scopes if scope.operation is None and scope.version is not None
    }
    for plugin in {plugin for plugin, _ in of_versions}:
        if all((plugin, version) in of_versions for name, version in standing.versions if name == plugin):
            found.add((plugin, ""))
    return found


async def run_watching(watching: Watching) -> None:
    """Look at what is due, for as long as the collector runs. What fails in an unforeseen way is logged and tried again."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            await loop.run_in_executor(watching.thread, watching.look)
        except Exception:  # noqa: BLE001 - logged, and tried again in a second
            _log.exception("alerts of the rules could not be looked at; it is tried again")
        await asyncio.sleep(EVERY_SECONDS)
