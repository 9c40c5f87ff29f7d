"""The live loop: observe, evaluate, store, announce. Also where people's decisions come in, under the same lock."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from plugwarden.contract import DirectiveSet, QuarantineState, Scope

from plugwarden_collector.announce.board import Board
from plugwarden_collector.announce.notify import Notifier
from plugwarden_collector.announce.subject import JUDGING, subjects_of
from plugwarden_collector.audit.access_log import content_of
from plugwarden_collector.audit.actor import LOCAL, Actor
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.clock import Clock, TrustedClock
from plugwarden_collector.cycle import directives_for, evaluate, new_id
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.quarantine import Quarantine, release
from plugwarden_collector.decide.shift import shift, shifted_silences
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.errors import ConflictError, NotFoundError, RulesError, StoreError
from plugwarden_collector.rules.file import Rules, load_rules
from plugwarden_collector.rules.policy import Enforcement
from plugwarden_collector.store import Database, Telemetry, Writer
from plugwarden_collector.store.duckdb.ledger import state as ledger
from plugwarden_collector.store.duckdb.ledger.audit_log import AuditLog
from plugwarden_collector.store.duckdb.ledger.budget_rows import BudgetRows

from .observe import LongWindows, StoredEvidence, observe

__all__ = ["TickStats", "Warden"]

TICK_SECONDS = 1.0
"""Seconds between ticks while no data arrive."""
EAGER_SECONDS = 0.25
"""Shortest time between ticks while data arrive, in seconds."""
MAX_SHARE = 0.25
"""Share of the time that turns take at most while data arrive, unless one turn alone takes longer than a tick."""
BUDGET_SECONDS = 5.0
"""How often full-period budgets are brought up to date."""
VERSION_HORIZON = timedelta(days=35)
"""How far back versions are looked for at start: as long as minute rollups are kept."""
WRITE_TIMEOUT_SECONDS = 30.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class TickStats:
    """What the loop has done since the start, for our own metrics."""

    ticks: int = 0
    failures: int = 0
    seconds_last: float = 0.0
    ticked_at: float = 0.0
    """In monotonic time; 0 before the first turn."""


class Warden:
    """Owns where things stand. Everything that changes it goes through one lock and one transaction."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        telemetry: Telemetry,
        board: Board,
        notifier: Notifier,
        rules: Rules,
        clock: Clock,
        audit: AuditLog,
    ) -> None:
        self._database = database
        self._writer = writer
        self._board = board
        self._notifier = notifier
        self._clock = clock
        self._audit = audit
        self._telemetry, self._evidence = telemetry, StoredEvidence(telemetry)
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        # Of its own: six slow queries take all threads that asyncio has for everybody on two cores, and judging must not wait.
        self._thread = ThreadPoolExecutor(1, "plugwarden-judge")
        self._budgets_at = 0.0
        self._budgets = BudgetRows()
        self._long = LongWindows()
        self._adopted: Callable[[], float] = lambda: (
            clock.reading().adopted_seconds if isinstance(clock, TrustedClock) else 0.0
        )
        self._shifted = self._adopted() if (shifted := ledger.load_shifted(database)) is None else shifted
        """Of the steps of the clock that were taken for true, what holds and silences were moved by."""
        self.rules = rules
        self.stats = TickStats()
        self.standing = self._load()
        self.silences = ledger.load_silences(database, clock())
        notifier.follow(lambda: self.rules.receivers, lambda: self.silences)
        notifier.report(JUDGING, subjects_of(self.standing))

    def wake(self) -> None:
        """Something was stored. May be called from any thread."""
        self._loop.call_soon_threadsafe(self._news.set)

    async def run_warden(self) -> None:
        """Tick for as long as the collector runs. A failed tick is counted and tried again; nothing of it is kept."""
        while True:
            started = self._loop.time()
            try:
                await self._loop.run_in_executor(self._thread, self.tick)
            except Exception:  # noqa: BLE001 - counted, logged, and tried again
                self.stats.failures += 1
                _log.exception("a tick failed; the next one starts from the last stored state")
            try:
                async with asyncio.timeout(max(0.01, TICK_SECONDS - (self._loop.time() - started))):
                    await self._news.wait()
            except TimeoutError:
                pass  # nothing arrived: time itself may still move an alert or a quarantine
            self._news.clear()
            # Under load a turn takes longer; judging must not take what ingest needs.
            pause = min(TICK_SECONDS, max(EAGER_SECONDS, self.stats.seconds_last / MAX_SHARE))
            await asyncio.sleep(max(0.0, pause - (self._loop.time() - started)))

    def tick(self) -> Changes:
        """One turn of the loop, in the caller's thread."""
        began = time.perf_counter()
        # What is judged is what the views show. Outside the lock: there may be much to count, and people's acts do not wait for it.
        _done(self._telemetry.ingest.catch_up(self._clock()))
        with self._lock:
            budgets = began - self._budgets_at >= BUDGET_SECONDS
            at = self._clock()
            self._follow_clock(at)
            if len(self.standing.versions) > 2 * self._telemetry.condition.can.names:
                self.standing.versions = self._versions()  # names that gave their place to others are let go
            since = at - (VERSION_HORIZON if not self.standing.versions else timedelta(minutes=10))
            seen = observe(self._telemetry.judging, self.rules, at, since=since, budgets=budgets, long=self._long)
            standing, changes = evaluate(self.rules, self.standing, seen, self._evidence, random.random)
            judged = changes.slo_status
            changes.slo_status = self._budgets.changed(judged)
            self._commit(standing, changes)
            if budgets:
                self._budgets.written(judged, changes.slo_status)
                self._budgets_at = began
            self.stats.ticks += 1
            self.stats.seconds_last = time.perf_counter() - began
            self.stats.ticked_at = time.monotonic()
            return changes

    # -- people -------------------------------------------------------------------------------------------------------

    def quarantine(self, scope: Scope, reason: str, actor: Actor, *, hold: timedelta | None = None) -> Quarantine:
        """A person isolates a scope; it stays isolated until a person releases it, or for `hold`."""
        with self._lock:
            at = self._clock()
            standing = self.standing.copy()
            for item in standing.quarantines.values():
                if item.ended_at is None and item.scope == scope and item.in_force:
                    raise ConflictError(f"{scope} is {item.state.word} already ({item.id}: {item.reason})")
            known = standing.versions_beside(scope.plugin, scope.version)
            item = Quarantine(
                id=new_id("q", scope, at),
                scope=scope,
                state=QuarantineState.QUARANTINED,
                reason=reason,
                actor=str(actor),
                enforcement=Enforcement.ENFORCE,
                started_at=at,
                changed_at=at,
                hold_until=None if hold is None else at + hold,
                known_versions=known if scope.version is not None else (),
            )
            changes = Changes(at=at)
            for other in list(standing.quarantines.values()):
                if other.ended_at is None and other.scope == scope:  # a suggestion that is hereby followed
                    standing.quarantines[other.id] = release(other, at)
                    changes.quarantines.append(standing.quarantines[other.id])
            standing.quarantines[item.id] = item
            changes.quarantines.append(item)
            changes.decisions.append(
                Draft(at, "quarantined", actor.name, str(scope), reason, "enforce", item.id, says=actor.says)
            )
            self._announce_and_commit(standing, changes)
            return item

    def release(self, identity: str, reason: str, actor: Actor) -> Quarantine:
        """A person ends a quarantine; the automation leaves the scope alone for a while."""
        with self._lock:
            at = self._clock()
            standing = self.standing.copy()
            item = standing.quarantines.get(identity)
            if item is None:
                raise NotFoundError(f"there is no quarantine {identity!r}; `plugwarden quarantines` lists them")
            if item.ended_at is not None:
                raise ConflictError(f"{identity} ended at {item.ended_at:%Y-%m-%d %H:%M:%S} already")
            after = release(item, at)
            after = replace(after, evidence={**after.evidence, "released_by": str(actor)})
            standing.quarantines[identity] = after
            changes = Changes(at=at, quarantines=[after])
            changes.decisions.append(
                Draft(at, "released", actor.name, str(item.scope), reason, "enforce", identity, says=actor.says)
            )
            self._announce_and_commit(standing, changes)
            return after

    def silence(self, matchers: dict[str, str], length: timedelta, comment: str, actor: Actor) -> Silence:
        """A person wants to hear nothing of some alerts for a while. They go on being judged and acted upon."""
        with self._lock:
            at = self._clock()
            item = Silence(new_id("s", matchers, at), matchers, at, at + length, str(actor), comment)
            what = ", ".join(f"{name}={value}" for name, value in sorted(matchers.items()))
            draft = Draft(
                at, "silenced", actor.name, what, comment, "enforce", item.id, {"until": item.ends_at}, actor.says
            )
            self._write(lambda connection: ledger.store_silence(connection, item), draft)
            self.silences = [*(known for known in self.silences if known.ends_at > at), item]
            return item

    def unsilence(self, identity: str, reason: str, actor: Actor) -> None:
        """A person takes a silence back."""
        with self._lock:
            at = self._clock()
            item = next((known for known in self.silences if known.id == identity and known.ends_at > at), None)
            if item is None:
                raise NotFoundError(f"there is no silence {identity!r} in force")
            what = ", ".join(f"{name}={value}" for name, value in sorted(item.matchers.items()))
            draft = Draft(at, "unsilenced", actor.name, what, reason, "enforce", identity, says=actor.says)
            self._write(lambda connection: ledger.end_silence(connection, identity, at), draft)
            self.silences = [known for known in self.silences if known.id != identity]

    def freeze(self, frozen: bool, reason: str, actor: Actor) -> None:
        """Switch the automation off or on again. Quarantines in force stay."""
        with self._lock:
            at = self._clock()
            kind, why = ("frozen", reason) if frozen else ("unfrozen", None)
            draft = Draft(at, kind, actor.name, "automation", reason, "enforce", says=actor.says)
            self._write(lambda connection: ledger.store_frozen(connection, why), draft)
            self.standing.frozen = why

    def reload(self, path: Path) -> Rules:
        """Take the rules of a file, as a whole; raises `RulesError` and keeps the old ones when it is wrong.

        Whoever may signal the process asked for it. What was loaded is in the decision.
        """
        before, rules = content_of(path), load_rules(path)
        if content_of(path) != before:
            raise RulesError(str(path), ["was written while it was read; try again"])
        with self._lock:
            self.rules = rules
            text = f"{len(rules.objectives)} objectives, sha256 {before['sha256'][:16]}…"
            draft = Draft(self._clock(), "rules_loaded", LOCAL, str(path), text, evidence=before)
            self._write(lambda connection: None, draft)
        return rules

    def _follow_clock(self, at: datetime) -> None:
        """A clock that was put right ends no hold: what is to happen after a length of time moves with it."""
        total = self._adopted()
        by = total - self._shifted
        if not by:
            return
        (standing, changes), silences = shift(self.standing, by), shifted_silences(self.silences, by)
        text = f"the wall clock was taken for true {by:+.0f} s from where it was; holds and silences move by as much"
        changes.decisions.append(Draft(at, "clock_adopted", "automation", "clock", text, evidence={"seconds": by}))

        keyring = self._audit.keyring

        def work(connection: Any) -> Any:
            ledger.store_shifted(connection, silences, total)
            return ledger.apply_changes(connection, changes, keyring)

        self._audit.advance(_done(self._writer.run(work, first=True)))
        self.standing, self.silences, self._shifted = standing, silences, total

    # -- inside -------------------------------------------------------------------------------------------------------

    def _load(self) -> Standing:
        directives = ledger.load_directives(self._database)
        standing = Standing(
            alerts={record.alert.fingerprint: record for record in ledger.load_alerts(self._database)},
            quarantines={item.id: item for item in ledger.load_quarantines(self._database)},
            incidents={item.id: item for item in ledger.load_incidents(self._database)},
            directives=directives or DirectiveSet(self._database.epoch, 0, ()),
            actions=ledger.load_action_times(self._database, self._clock() - timedelta(hours=1)),
            frozen=ledger.load_frozen(self._database),
        )
        self._board.publish(standing.directives)
        standing.versions = self._versions()
        return standing

    def _versions(self) -> dict[tuple[str, str], datetime]:
        with self._database.reading() as cursor:
            # Of names that are told apart: there may have been any number in a year.
            rows = cursor.execute(
                "select plugin_id, plugin_version, min(time) from changes where kind = 'deployment' and exists (from known_names as k "
                "where k.plugin_id = changes.plugin_id and k.plugin_version = changes.plugin_version) group by all"
            )
            return {(plugin, version): at for plugin, version, at in rows.fetchall()}

    def _write(self, work: Callable[[Any], None], draft: Draft) -> None:
        """One act of a person and its entry in the log, in one transaction."""

        def both(connection: Any) -> Any:
            work(connection)
            return self._audit.append(connection, [draft])

        self._audit.advance(_done(self._writer.run(both, first=True)))

    def _announce_and_commit(self, standing: Standing, changes: Changes) -> None:
        directives = directives_for(standing, self.rules)
        if directives != tuple(standing.directives.directives):
            standing.directives = DirectiveSet(self._database.epoch, standing.directives.revision + 1, directives)
            changes.directives = standing.directives
        self._commit(standing, changes)

    def _commit(self, standing: Standing, changes: Changes) -> None:
        """First the database, then memory, then everyone who listens."""
        if changes:
            keyring = self._audit.keyring
            work = self._writer.run(lambda connection: ledger.apply_changes(connection, changes, keyring), first=True)
            head = _done(work)
            self._audit.advance(head)
        self.standing = standing
        if changes.directives is not None:
            self._board.publish(changes.directives)
        if changes.alerts or changes.quarantines or changes.incidents:
            self._notifier.report(JUDGING, subjects_of(standing))


def _done(work: Future[Any]) -> Any:
    """Wait for the writer. What it has not begun in time is taken back; what it has begun is waited for, so that memory
    and database never part."""
    try:
        return work.result(WRITE_TIMEOUT_SECONDS)
    except FutureTimeout:
        if work.cancel():
            raise StoreError(f"the writer was busy for more than {WRITE_TIMEOUT_SECONDS:.0f} s") from None
        return work.result()
