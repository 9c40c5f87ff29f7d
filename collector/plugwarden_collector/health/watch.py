"""Looks at the collector every few seconds, judges what it sees, and tells people what is wrong with the watcher itself."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from plugwarden_collector.announce.notify import Notifier
from plugwarden_collector.announce.subject import HEALTH, Subject, acknowledged, subject_of_alert
from plugwarden_collector.clock import Clock, Step
from plugwarden_collector.control.live import Warden
from plugwarden_collector.cycle.directives import unannounced
from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState
from plugwarden_collector.decide.silence import silenced_by
from plugwarden_collector.figures import counted
from plugwarden_collector.receive.intake import Intake
from plugwarden_collector.store import Ledger, Notes, Telemetry
from plugwarden_collector.store.ledger_rows import ConditionEvent
from plugwarden_collector.store.upkeep import Health, Keep, SetAside

from .arrivals import Arrivals
from .conditions import Change, Condition, Verdict, judge, starting, verdict
from .growth import Growth
from .history import History
from .readings import Readings
from .senders import MIN_SILENCE_SECONDS, MISSED_INTERVALS, SenderState
from .totals import Totals, readings_between

__all__ = ["HealthWatch", "run_health"]

EVERY_SECONDS = 5.0
WINDOW = timedelta(minutes=1)
EARLY = timedelta(minutes=10)
BEYOND = timedelta(minutes=10)
"""A service that sent more names than are told apart is named for this long."""
UNKNOWN_LIMIT_SECONDS = 60.0
"""How long nothing may arrive after a start with young data: senders that waited for us come back within that."""
RECENT_DATA = timedelta(hours=1)
"""Data this young at a start: somebody was sending, and should be again."""
KEPT_EVENTS = 200
NAMED = 5
"""Entries of what could not be counted that are named; `plugwarden aside` has all."""

_log = logging.getLogger(__name__)


class HealthWatch:
    """What is known of the collector's own health. Everything may be called and read from any thread."""

    def __init__(
        self,
        telemetry: Telemetry,
        intake: Intake,
        arrivals: Arrivals,
        warden: Warden,
        notifier: Notifier,
        keep: Keep,
        clock: Clock,
        ledger: Ledger,
        notes: Notes,
        stepped: Callable[[], Step | None] = lambda: None,
        alert_faults: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._intake, self._warden = intake, warden
        self._ledger, self._notes = ledger, notes
        self._store, self._upkeep = telemetry.condition, telemetry.upkeep
        self._notifier, self._keep, self._clock = notifier, keep, clock
        self._stepped, self._alert_faults = stepped, alert_faults
        self.arrivals = arrivals
        self.began_at = clock()
        self.history = History()
        self.conditions = starting()
        self.senders: list[SenderState] = []
        self.readings = Readings(self.began_at)
        self.verdict = Verdict("green", "The collector has just started.")
        self.events: deque[ConditionEvent] = deque(maxlen=KEPT_EVENTS)
        """Changes of state, oldest first; also in the view alert_events, as far as the store took them."""
        self.failures = 0
        """Looks that failed."""
        self._lock = threading.Lock()
        self._closed = False
        self._known_of: object = None
        self._totals: deque[Totals] = deque()
        self._step_from: Totals | None = None
        self._growth = Growth()
        self._early_seen, self._early_at = 0, datetime.min
        self._moved = (0, self.began_at)
        self._checkpoints = (0, 0)
        self._put_off_at: datetime | None = None
        self._expected_since = self._remember()

    def look(self) -> list[Change]:
        """One look: read, judge, remember, tell. Return what changed."""
        with self._lock:
            return [] if self._closed else self._look(self._clock())

    def close(self) -> None:
        """Let a look that is under way come to its end, and look no more: the database is about to be closed."""
        with self._lock:
            self._closed = True

    def _look(self, at: datetime) -> list[Change]:
        store = self._store.health()
        totals = Totals.read(at, self._intake, store, self._warden, self.arrivals)
        gauges = self._gauges(at, store)
        readings = readings_between(self._since(at) or totals, totals, gauges)
        if self.history.due(at):
            self.history.add(readings_between(self._step_from or totals, totals, gauges))
            self._step_from = totals
        self._step_from = self._step_from or totals
        self._totals.append(totals)
        conditions, changes = judge(self.conditions, readings, at)
        self.conditions, self.readings = conditions, readings
        self.verdict = verdict(conditions, readings)
        for change in changes:
            self._note(change)
        known = self._warden.standing.acknowledgements
        if changes or known is not self._known_of:
            self._known_of = known
            firing = self.subjects()
            self._notifier.report(HEALTH, firing)
            self._warden.heed(firing)
        return changes

    def subjects(self) -> list[Subject]:
        """Return the conditions that fire, as people are told of them."""
        at = self._clock()
        firing = (item for item in self.conditions.values() if item.alert.state is AlertState.FIRING)
        return acknowledged([subject_of_alert(_record(item, at)) for item in firing], self._warden.standing)

    def now(self) -> datetime:
        """The time, as conditions see it."""
        return self._clock()

    def silenced_by(self, condition: Condition) -> str | None:
        """The silence that covers a condition now."""
        return silenced_by(self._warden.silences, _record(condition, self._clock()).labels(), self._clock())

    # -- reading ------------------------------------------------------------------------------------------------------

    def _since(self, at: datetime) -> Totals | None:
        """The totals of about a minute ago, or the oldest there are."""
        totals = self._totals
        while totals and totals[-1].at > at:  # the clock was set back: what was counted under the old time says nothing
            totals.pop()
        while len(totals) > 1 and totals[1].at <= at - WINDOW:
            totals.popleft()
        return totals[0] if totals else None

    def _gauges(self, at: datetime, store: Health) -> dict[str, Any]:
        ticks, retained = self._warden.stats, self._upkeep.retained()
        if store.commits != self._moved[0] or not store.queued_requests or at < self._moved[1]:
            self._moved = (store.commits, at)
        return {
            **self._sending(at),
            **self._file(at),
            **self._aside(),
            **self._names(at),
            "clock_step_seconds": None if (step := self._stepped()) is None else step.seconds,
            "stalled_seconds": (at - self._moved[1]).total_seconds(),
            "queued_requests": store.queued_requests,
            "queued_bytes": store.queued_bytes,
            "queue_bound_bytes": store.queue_bound_bytes,
            "writer_alive": store.writing,
            "tick_age_seconds": min(time.monotonic() - ticks.ticked_at, (at - self.began_at).total_seconds()),
            "tick_seconds": ticks.seconds_last,
            "alert_rules": self._alert_faults(),
            "uncounted_rows": store.uncounted_rows,
            "rollup_lag_seconds": store.counting_lag_seconds,
            "checkpoint_put_off_seconds": self._put_off(at, store),
            "early": self._early(at, retained.early),
            "refused_deletions": {view: item.share_ratio for view, item in sorted(retained.refused.items())},
        }

    def _sending(self, at: datetime) -> dict[str, Any]:
        arrivals = self.arrivals
        states = arrivals.senders.states(at)
        self.senders = states
        counted = [item for item in states if item.state not in {"replaced", "ended"}]
        newest = arrivals.newest_at or self._expected_since
        regular = [item for item in counted if item.interval_seconds is not None]
        last = min(regular, key=lambda item: item.silent_seconds, default=None)
        limit: float | None = None
        if last is not None:
            limit = max(MIN_SILENCE_SECONDS, MISSED_INTERVALS * (last.interval_seconds or 0.0))
        elif not arrivals.arrived_at and newest is not None:
            limit = UNKNOWN_LIMIT_SECONDS
        return {
            "quiet_seconds": None if newest is None else max(0.0, (at - newest).total_seconds()),
            "quiet_limit_seconds": limit,
            "senders": len(counted),
            "silent": tuple(f"{item.service} {item.instance}".strip() for item in counted if item.state == "silent"),
            "event_age_seconds": {name: (at - then).total_seconds() for name, then in dict(arrivals.event_at).items()},
            "arrival_age_seconds": {
                name: (at - then).total_seconds() for name, then in dict(arrivals.arrived_at).items()
            },
        }

    def _file(self, at: datetime) -> dict[str, Any]:
        size = self._store.size()
        if size.used_bytes is not None:
            self._growth.add(at, size.used_bytes)
        before = self.readings  # where the store does not say, what it said last is worth more than nothing
        return {
            "file_bytes": size.file_bytes,
            "wal_bytes": size.log_bytes,
            "max_bytes": self._keep.max_bytes,
            "used_bytes": before.used_bytes if size.used_bytes is None else size.used_bytes,
            "free_bytes": before.free_bytes if size.free_bytes is None else size.free_bytes,
            "growth_bytes_per_second": self._growth.bytes_per_second(),
            "disk_free_bytes": size.disk_free_bytes,
            "disk_total_bytes": size.disk_total_bytes,
        }

    def _aside(self) -> dict[str, Any]:
        entries = self._upkeep.set_aside()
        return {
            "set_aside": tuple(_sentence(entry) for entry in entries[:NAMED]),
            "set_aside_rows": sum(entry.rows for entry in entries),
            "audit_breaks": self._ledger.audit.open_breaks[:NAMED],
        }

    def _names(self, at: datetime) -> dict[str, Any]:
        names = self._store.names(at - BEYOND)
        return {
            "shared_starts": tuple(names.shared_starts[:NAMED]),
            "names": names.names,
            "calls_beyond": names.calls_beyond,
            "names_beyond": tuple(names.services_beyond[:NAMED]),
            "words": names.words,
            "calls_beyond_words": names.calls_beyond_words,
            "words_beyond": tuple((item.kind, item.plugin, item.service) for item in names.words_beyond[:NAMED]),
            "untold_seconds": self._notifier.untold_seconds(at),
            "unannounced": tuple(
                ascii(f"{item.id} {item.scope}")[1:201] for item in unannounced(self._warden.standing)
            ),
        }

    def _put_off(self, at: datetime, store: Health) -> float:
        """Since when the log has been waiting for readers to be folded into the file, in seconds."""
        stats = store.folding
        done, put_off = self._checkpoints
        if stats.done > done:
            self._put_off_at = None
        elif stats.put_off > put_off and self._put_off_at is None:
            self._put_off_at = at
        self._checkpoints = (stats.done, stats.put_off)
        return 0.0 if self._put_off_at is None else (at - self._put_off_at).total_seconds()

    def _early(self, at: datetime, rounds: int) -> bool:
        if rounds > self._early_seen:
            self._early_seen, self._early_at = rounds, at
        return at - self._early_at < EARLY

    # -- remembering and telling --------------------------------------------------------------------------------------

    def _remember(self) -> datetime | None:
        """Take up what was true when the collector stopped; return since when telemetry is to be expected."""
        self.events.extend(self._ledger.condition_events(KEPT_EVENTS))
        for event in self.events:
            condition = self.conditions.get(event.fingerprint.removeprefix("c-"))
            if condition is not None:
                alert = Alert(condition.alert.fingerprint)
                if event.after == AlertState.FIRING.value:
                    alert = Alert(alert.fingerprint, AlertState.FIRING, event.time, event.time)
                self.conditions[condition.rule.name] = Condition(condition.rule, alert, event.reason, event.time)
        newest = self._store.newest_at()
        young = newest is not None and self.began_at - newest < RECENT_DATA
        return self.began_at if young else None

    def _note(self, change: Change) -> None:
        record = _record(change.condition, change.at)
        event = ConditionEvent(
            change.at,
            record.alert.fingerprint,
            record.name,
            record.severity,
            change.before,
            change.after,
            change.reason,
        )
        self.events.append(event)
        self._notes.add(event)
        _log.log(
            logging.WARNING if change.after == AlertState.FIRING.value else logging.INFO,
            "%s: %s -> %s: %s", record.name, change.before, change.after, change.reason,
        )  # fmt: skip


async def run_health(watch: HealthWatch) -> None:
    """Look for as long as the collector runs. A failed look is counted and tried again."""
    while True:
        try:
            await asyncio.to_thread(watch.look)
        except Exception:  # noqa: BLE001 - counted, logged, and tried again
            watch.failures += 1
            _log.exception("a look at the collector's own health failed")
        await asyncio.sleep(EVERY_SECONDS)


def _record(condition: Condition, at: datetime) -> AlertRecord:
    rule = condition.rule
    return AlertRecord(
        condition.alert, rule.name, rule.severity, "", "", "", f"{rule.title}: {condition.summary}", rule.next_step, at,
        component="collector",
    )  # fmt: skip


def _sentence(entry: SetAside) -> str:
    """Rows that were set aside: `3 rows of metric_points in commit 17 of order-flow csv: why`."""
    whose = " ".join(filter(None, (entry.service_name, entry.plugin_id)))
    of = f" of {whose}" if whose else ""
    return f"{counted(entry.rows, 'row')} of {entry.what} in commit {entry.batch}{of}: {entry.error}"
