"""The live loop: observe, evaluate, store, announce. What people do comes in here too, under the same lock."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from plugwarden.contract import Scope

from plugwarden_collector.announce.board import Board
from plugwarden_collector.announce.notify import Notifier
from plugwarden_collector.announce.owners import with_owners
from plugwarden_collector.announce.runbook import with_runbooks
from plugwarden_collector.announce.said import KINDS, Said, SaidKey, holding, subjects_said
from plugwarden_collector.announce.subject import JUDGING, Subject, subjects_of
from plugwarden_collector.audit.actor import LOCAL, Actor
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.audit.rules_content import content_of
from plugwarden_collector.clock import Clock, TrustedClock
from plugwarden_collector.cycle import evaluate, next_set
from plugwarden_collector.cycle.budgets import without_limit
from plugwarden_collector.cycle.forecast import Forecast
from plugwarden_collector.cycle.quarantines import called_lately
from plugwarden_collector.decide import noted
from plugwarden_collector.decide.acts import (
    Acted,
    adopt_clock,
    approve,
    decline,
    ensure_free,
    freeze,
    isolate,
    release,
    suggestion,
)
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.correcting import correct, end_correction, withdraw
from plugwarden_collector.decide.correction import Correction
from plugwarden_collector.decide.maintenance import silences_at
from plugwarden_collector.decide.pushed import Called
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.errors import ConflictError, RulesError, StaleError
from plugwarden_collector.figures import counted
from plugwarden_collector.judge.kept_watch import kept, resumed
from plugwarden_collector.judge.watch import Watch
from plugwarden_collector.rules.file import Rules, load_rules
from plugwarden_collector.store import Ledger, Telemetry
from plugwarden_collector.store.ledger import settled

from .budget_rows import BudgetRows
from .giving_up import leaving
from .observe import LongWindows, StoredEvidence, UsualPast, foreseen, observe

__all__ = ["TickStats", "Warden", "pace", "rest"]

TICK_SECONDS = 1.0
"""Seconds between ticks while no data arrive."""
EAGER_SECONDS = 0.25
"""Shortest time in seconds between ticks while data arrive."""
MAX_SHARE = 0.25
"""Largest share of the time that judging takes while data arrive, unless one tick alone takes longer than `TICK_SECONDS`."""
MAX_SHARE_COUNTING = 0.5
"""Largest share that ticks take with the counting that they wait for: the writer must do that anyway, but each time costs something."""
BUDGET_SECONDS = 5.0
"""Seconds until full-period budgets are brought up to date."""
WATCH_SECONDS = 5.0
"""Seconds after which what is suspected is kept again: what arrived since is looked at again after a restart."""
MARK_SECONDS = 60.0
"""Seconds after which it is kept how far was looked, where nothing is suspected."""
VERSION_HORIZON = timedelta(days=35)
"""How far back versions are looked for at start: as long as minute rollups are kept."""
WRITE_TIMEOUT_SECONDS = 30.0
"""Seconds that a commit may wait for the writer before it is taken back."""
FORECAST_SECONDS = 1.0
"""Seconds that an act waits for its forecast. The dashboards give the whole act five (`data`): whoever is told that an act did not work
must be able to believe it."""
ACT_TRIES = 3
"""How often an act is tried while others commit first."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class TickStats:
    """What the loop has done since the start, for our own metrics."""

    ticks: int = 0
    failures: int = 0
    seconds_last: float = 0.0
    """With the counting that it waited for."""
    counting_seconds_last: float = 0.0
    ticked_at: float = 0.0
    """In monotonic time; 0 before the first turn."""


def pace(tick_seconds: float, counting_seconds: float) -> float:
    """Return the seconds from the begin of one tick to the next while data arrive, after one that took so long, counting included."""
    judging = tick_seconds - counting_seconds
    return min(TICK_SECONDS, max(EAGER_SECONDS, judging / MAX_SHARE, tick_seconds / MAX_SHARE_COUNTING))


def rest(passed_seconds: float, pause_seconds: float, look_seconds: float | None) -> float:
    """Return the seconds until the next tick, `passed_seconds` after the last one began, from whose begin on `pause_seconds` are to pass.

    A look that is due in `look_seconds` is not put off by the pace, for there is one for each thing that waits; one that is due
    soon after is the same tick.
    """
    pause = max(0.0, pause_seconds - passed_seconds)
    if look_seconds is None or look_seconds >= pause + EAGER_SECONDS:
        return pause
    return max(look_seconds, min(pause, EAGER_SECONDS - passed_seconds), 0.0)


class Warden:
    """Owns where things stand. Everything that changes it goes through one lock and one transaction."""

    def __init__(
        self,
        telemetry: Telemetry,
        ledger: Ledger,
        board: Board,
        notifier: Notifier,
        rules: Rules,
        clock: Clock,
    ) -> None:
        self._telemetry, self._ledger = telemetry, ledger
        self._evidence = StoredEvidence(telemetry, lambda: self.rules)
        self._board, self._notifier, self._clock = board, notifier, clock
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        # Of its own: six slow queries take all threads that asyncio has for everybody on two cores, and judging must not wait.
        self._thread = ThreadPoolExecutor(1, "plugwarden-judge")
        # An act waits for its forecast no longer than it is worth; one that hangs keeps this thread, and none of the API's.
        self._forecasts = ThreadPoolExecutor(1, "plugwarden-forecast")
        self._budgets_at = 0.0
        self._budgets = BudgetRows()
        self._long, self._usual = LongWindows(), UsualPast()
        self._watch_at = 0.0
        self.watch = Watch()
        self.rules = rules
        self.stats = TickStats()
        self.standing = Standing()
        self.called: Called | None = None
        self.without_limit: Mapping[str, tuple[str, ...]] = {}
        """Plugins that objectives of saturation say nothing of, as the last look found them, by objective."""
        """What the last tick saw of calls; None before the first."""
        self._revision = 0
        self._said: dict[SaidKey, Said] = {}
        """The last of decisions that are told for as long as they hold."""
        self._muted: tuple[tuple[Silence, ...], ...] = ((), (), ())
        """Silences of people as they were last, those of open windows, and both together."""
        self._told: list[Subject] = []
        """What is told of these."""
        self._own: tuple[Subject, ...] = ()
        """Conditions of the collector itself that fire: a silence may hide them."""
        # Nobody waits for it: no start fails because the store does not take it, and the log of attempts says it as well.
        if gone := self._leaving(rules):
            ledger.audit.append(gone)
        notifier.follow(lambda: self.rules.receivers, lambda: self.silences)
        self._load()

    @property
    def silences(self) -> tuple[Silence, ...]:
        """Silences in force, those of maintenance windows that are open, and some that have ended; the same object until they change."""
        windows, kept = silences_at(self.rules.maintenance, self._clock()), self.standing.silences
        if self._muted[0] is not kept or self._muted[1] != windows:
            self._muted = kept, windows, (*kept, *windows)
        return self._muted[2]

    @property
    def corrections(self) -> tuple[Correction, ...]:
        """What is left out of budgets, the oldest first."""
        return self.standing.corrections

    def wake(self) -> None:
        """Something was stored. May be called from any thread."""
        self._loop.call_soon_threadsafe(self._news.set)

    async def run_warden(self) -> None:
        """Tick for as long as the collector runs. A failed tick is counted and tried again; nothing of it is kept."""
        while True:
            started, look_at = self._loop.time(), None
            try:
                look_at = (await self._loop.run_in_executor(self._thread, self.tick)).look_at
            except Exception:  # noqa: BLE001 - counted, logged, and tried again
                self.stats.failures += 1
                _log.exception("a tick failed; the next one starts from the last stored state")
            idle = TICK_SECONDS - (self._loop.time() - started)
            try:
                async with asyncio.timeout(
                    max(0.01, idle if look_at is None else min(idle, self._seconds_to(look_at)))
                ):
                    await self._news.wait()
            except TimeoutError:
                pass  # nothing arrived: time itself may still move an alert, a suspicion or a quarantine
            self._news.clear()
            # Under load a turn takes longer; judging must not take what ingest needs.
            pause = pace(self.stats.seconds_last, self.stats.counting_seconds_last)
            look = None if look_at is None else self._seconds_to(look_at)
            await asyncio.sleep(rest(self._loop.time() - started, pause, look))

    def close(self) -> None:
        """Let the loop's thread go; a turn that it still makes ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._forecasts.shutdown(wait=False, cancel_futures=True)

    def tick(self) -> Changes:
        """One turn of the loop, in the caller's thread."""
        began = time.perf_counter()
        # What is judged is what the views show. Outside the lock: there may be much to count, and people's acts do not wait for it.
        settled(self._telemetry.ingest.catch_up(self._clock()), WRITE_TIMEOUT_SECONDS)
        counting_seconds = time.perf_counter() - began
        with self._lock:
            budgets = began - self._budgets_at >= BUDGET_SECONDS
            at = self._clock()
            self._follow_clock(at)
            if len(self.standing.versions) > 2 * self._telemetry.condition.can.names:
                self.standing.versions = self._ledger.versions()  # names that gave their place to others are let go
            since = at - (VERSION_HORIZON if not self.standing.versions else timedelta(minutes=10))
            seen = observe(
                self._telemetry.judging, self.rules, at, mark=self.watch.mark, since=since, budgets=budgets,
                corrections=self.standing.corrections, long=self._long, usual=self._usual,
            )  # fmt: skip
            standing, watch, changes = evaluate(
                self.rules, self.standing, self.watch, seen, self._evidence, random.random
            )
            if (
                changes
                or (
                    (watch.streams or watch.parts or standing.noted or standing.incidents)
                    and began - self._watch_at >= WATCH_SECONDS
                )
                or began - self._watch_at >= MARK_SECONDS
            ):
                changes.watch, self._watch_at = kept(watch), began
                told = {item.id for item in changes.incidents}
                changes.incidents += [item for item in standing.incidents.values() if item.id not in told]
                if standing.noted or self.standing.noted:
                    changes.noted = noted.kept(standing.noted, at)
            judged = changes.slo_status
            changes.slo_status = self._budgets.changed(judged)
            self._commit(standing, changes)
            self.watch, self.called = watch, Called(seen.running, called_lately(seen))
            self.without_limit = without_limit(self.rules.objectives, seen)
            if budgets:
                self._budgets.written(judged, changes.slo_status)
                self._budgets_at = began
            self.stats.ticks += 1
            self.stats.seconds_last = time.perf_counter() - began
            self.stats.counting_seconds_last = counting_seconds
            self.stats.ticked_at = time.monotonic()
            return changes

    # -- people -------------------------------------------------------------------------------------------------------

    def quarantine(self, scope: Scope, reason: str, actor: Actor, *, hold: timedelta | None = None) -> Quarantine:
        """Isolate a scope until a person releases it, or for `hold`. Return the quarantine, with what was foreseen of it; raises
        `ConflictError`."""
        evidence, _ = self._foreseen(scope)
        return self.act(
            lambda now, at: isolate(now, scope, reason, actor, at, hold=hold, evidence=evidence)
        ).quarantines[-1]

    def forecast(self, scope: Scope) -> Forecast:
        """Return what isolating a scope would cost now; nothing is done. Raises `ConflictError` when it is isolated already."""
        standing = self.standing
        ensure_free(standing, scope)
        return foreseen(self._telemetry.judging, standing, scope, self._clock())

    def approve(self, identity: str, reason: str, actor: Actor) -> Quarantine:
        """Follow a suggestion, for as long as the policy holds a first quarantine. Return the quarantine that it became, with what was
        foreseen of it; raises `NotFoundError` and `ConflictError`."""
        hold = timedelta(seconds=self.rules.policy.hold_seconds)
        evidence, previous = self._foreseen(suggestion(self.standing, identity).scope)
        return self.act(
            lambda now, at: approve(now, identity, reason, actor, at, hold=hold, evidence=evidence, previous=previous)
        ).quarantines[-1]

    def decline(self, identity: str, reason: str, actor: Actor, *, override: timedelta | None = None) -> Quarantine:
        """End a suggestion. Return it as it ended; raises `NotFoundError` and `ConflictError`."""
        length = self._override(override)
        return self.act(lambda now, at: decline(now, identity, reason, actor, at, override=length)).quarantines[-1]

    def release(self, identity: str, reason: str, actor: Actor, *, override: timedelta | None = None) -> Quarantine:
        """End a quarantine; the automation leaves its scope alone for `override`, or as long as the policy says now. Return it as it
        ended; raises `NotFoundError` and `ConflictError`."""
        length = self._override(override)
        return self.act(lambda now, at: release(now, identity, reason, actor, at, override=length)).quarantines[-1]

    def correct(
        self, about: tuple[str, str, str], span: tuple[datetime, datetime], reason: str, actor: Actor
    ) -> Correction:
        """Leave a span of time out of budgets; `about` are patterns of plugins, objectives and owners. Return the correction; raises
        `ConflictError`."""
        return self.act(lambda now, at: correct(now, about, span, reason, actor, at)).corrections[-1]

    def end_correction(self, identity: str, reason: str, actor: Actor) -> Correction:
        """End a correction with this minute. Return it; raises `NotFoundError` and `ConflictError`."""
        return self.act(lambda now, at: end_correction(now, identity, reason, actor, at)).corrections[-1]

    def withdraw(self, identity: str, reason: str, actor: Actor) -> Correction:
        """Take a correction back. Return it; raises `NotFoundError`."""
        return self.act(lambda now, at: withdraw(now, identity, reason, actor, at)).corrections[-1]

    def freeze(self, frozen: bool, reason: str, actor: Actor) -> None:
        """Switch the automation off or on again."""
        self.act(lambda now, at: freeze(now, frozen, reason, actor, at))

    def act(self, act: Callable[[Standing, datetime], Acted]) -> Changes:
        """Store what an act changes, and tell it. Where somebody else committed first, the act is tried on what they left."""
        with self._lock:
            for _ in range(ACT_TRIES):
                standing, changes = act(self.standing, self._clock())
                changes.directives = next_set(standing, self.rules)
                if changes.directives is not None:
                    standing.directives = changes.directives
                try:
                    self._commit(standing, changes)
                except StaleError as error:
                    _log.warning("%s; it is tried again", error)
                else:
                    return changes
        raise ConflictError("others change the ledger all the time; try again")

    def bring_alerts(self, brought: Callable[[Standing, datetime], Acted]) -> None:
        """Store and tell what a look of an `[[alert]]` changed (`control.watching`)."""
        self.act(brought)

    def reload(self, path: Path) -> Rules:
        """Take the rules of a file, as a whole; raises `RulesError` and keeps the old ones when it is wrong.

        Whoever may signal the process asked for it. What was loaded is in the decision.
        """
        before, rules = content_of(path), load_rules(path)
        if content_of(path) != before:
            raise RulesError(str(path), ["was written while it was read; try again"])
        text = f"{counted(len(rules.objectives), 'objective')}, sha256 {before['sha256'][:16]}…"
        with self._lock:
            draft = Draft(self._clock(), "rules_loaded", LOCAL, str(path), text, evidence=before)
            settled(self._ledger.audit.append([draft, *self._leaving(rules)]), WRITE_TIMEOUT_SECONDS)
            self.rules = rules
            self._notifier.report(JUDGING, self.subjects())
        return rules

    def _leaving(self, rules: Rules) -> list[Draft]:
        return leaving(self._notifier.owed, {item.name for item in rules.receivers if item.is_told}, self._clock())

    def _seconds_to(self, at: datetime) -> float:
        return (at - self._clock()).total_seconds()

    def _override(self, asked: timedelta | None) -> timedelta:
        """As long as a person asked for, or the policy's. What is longer than an override may be stays the policy's to say."""
        return timedelta(seconds=self.rules.policy.human_override_seconds) if asked is None else asked

    def _foreseen(self, scope: Scope) -> tuple[dict[str, Any], frozenset[str]]:
        """Return what a decision keeps of its forecast, and the versions that hosts still have to go back to: nothing where it cannot be
        made within `FORECAST_SECONDS`. Raises `ConflictError` when the scope is isolated already."""
        asked = self._forecasts.submit(self.forecast, scope)
        try:
            told = asked.result(FORECAST_SECONDS)
        except ConflictError:
            raise
        except Exception as error:  # noqa: BLE001 - whoever must isolate something now does not go without, for want of a number
            asked.cancel()
            _log.warning("%s is isolated without a forecast: %r", scope, error)
            return {}, frozenset()
        return told.as_dict(), told.previous

    # -- inside -------------------------------------------------------------------------------------------------------

    def _follow_clock(self, at: datetime) -> None:
        """A clock that was put right ends no hold: what is to happen after a length of time moves with it."""
        total = self._adopted()
        if total != self.standing.shifted_seconds:
            self._commit(*adopt_clock(self.standing, total, at))

    def _commit(self, standing: Standing, changes: Changes) -> None:
        """First the ledger, then memory, then everyone who listens. Raises `StaleError` with what others left loaded."""
        if changes:
            try:
                self._revision = settled(self._ledger.commit(changes, self._revision), WRITE_TIMEOUT_SECONDS)
            except StaleError:
                self._load()
                raise
        self.standing = standing
        if changes.directives is not None:
            self._board.publish(changes.directives)
        for draft in changes.decisions:
            if draft.kind in KINDS:
                self._said[draft.kind, draft.scope] = Said(draft.at, draft.reason, draft.evidence or {})
        self._said = holding(standing, self._said)
        told, self._told = self._told, subjects_said(standing, self._said)
        if changes.moves_subjects or told != self._told:
            self._notifier.report(JUDGING, self.subjects())

    def _load(self) -> None:
        """Take over where things stand in the ledger, and tell it."""
        at = self._clock()
        loaded = self._ledger.load(at)
        watch = resumed(loaded.watch)
        standing, self._revision = loaded.standing, loaded.revision
        if watch is not None and watch.at is not None:
            standing = standing.after_pause(max(timedelta(0), at - watch.at))
        if standing.shifted_seconds is None:
            standing.shifted_seconds = self._adopted()
        standing.noted |= self.standing.noted  # what was noted since it was kept
        self.standing = standing
        self.watch = watch or self.watch
        self._board.publish(standing.directives)
        self._said = {
            (row.kind, row.scope): Said(row.time, row.reason, row.evidence) for row in self._ledger.said(KINDS)
        }
        self._told = subjects_said(standing, self._said)
        self._notifier.report(JUDGING, self.subjects())

    def heed(self, own: Iterable[Subject]) -> None:
        """Take the conditions of the collector itself that fire, from now on: people are told before a silence of them ends."""
        self._own = tuple(own)
        if self.standing.silences:
            self._notifier.report(JUDGING, self.subjects())

    def subjects(self) -> list[Subject]:
        """Return all that people are told of now, with where its runbook is and whose it is."""
        standing = self.standing
        found = with_runbooks(subjects_of(standing, self._told, self._own), standing, self.rules)
        return with_owners(found, standing, self.rules)

    def _adopted(self) -> float:
        """By how much steps of the clock that were taken for true moved it, in seconds, over all."""
        return self._clock.reading().adopted_seconds if isinstance(self._clock, TrustedClock) else 0.0
