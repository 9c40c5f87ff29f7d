"""The live loop: observe, evaluate, store, announce. Also where people's decisions come in, under the same lock."""

from __future__ import annotations

import asyncio
import copy
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from plugwarden.contract import DirectiveSet, QuarantineState, Scope

from plugwarden_collector.announce.board import Board
from plugwarden_collector.announce.notify import Notifier
from plugwarden_collector.clock import Clock
from plugwarden_collector.cycle import directives_for, evaluate, new_id
from plugwarden_collector.decide.audit import Draft
from plugwarden_collector.decide.policy import Enforcement
from plugwarden_collector.decide.quarantine import Quarantine, release
from plugwarden_collector.decide.standing import Changes, Standing
from plugwarden_collector.errors import ConflictError, NotFoundError, StoreError
from plugwarden_collector.judge.rules import Rules, load_rules
from plugwarden_collector.judge.silence import Silence, silenced_by
from plugwarden_collector.observe import LongWindows, StoredEvidence, observe
from plugwarden_collector.store import Database, Writer, ledger

__all__ = ["TickStats", "Warden"]

TICK_SECONDS = 1.0
"""The loop turns this often when nothing arrives ..."""
EAGER_SECONDS = 0.25
"""... and at most this often when something does."""
MAX_SHARE = 0.25
"""Of the time, at most, that turns take while something arrives, unless one turn alone takes longer than a tick."""
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


class Warden:
    """Owns where things stand. Everything that changes it goes through one lock and one transaction."""

    def __init__(
        self, database: Database, writer: Writer, board: Board, notifier: Notifier, rules: Rules, clock: Clock
    ) -> None:
        self._database = database
        self._writer = writer
        self._board = board
        self._notifier = notifier
        self._clock = clock
        self._evidence = StoredEvidence(database)
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        # Of its own: six slow queries take all threads that asyncio has for everybody on two cores, and judging must not wait.
        self._thread = ThreadPoolExecutor(1, "plugwarden-judge")
        self._budgets_at = 0.0
        self._long = LongWindows()
        self.rules = rules
        self.stats = TickStats()
        self.standing = self._load()
        self.silences = ledger.load_silences(database, clock())

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
        with self._lock:
            began = time.perf_counter()
            budgets = began - self._budgets_at >= BUDGET_SECONDS
            at = self._clock()
            since = at - (VERSION_HORIZON if not self.standing.versions else timedelta(minutes=10))
            _done(self._writer.roll_up(at))  # what is judged is what the views show
            self._database.fleet.follow()
            self._database.closed_hours.follow()
            seen = observe(self._database, self.rules, at, since=since, budgets=budgets, long=self._long)
            standing = _copy(self.standing)
            changes = evaluate(self.rules, standing, seen, self._evidence, random.random)
            self._commit(standing, changes)
            if budgets:
                self._budgets_at = began
            self.stats.ticks += 1
            self.stats.seconds_last = time.perf_counter() - began
            self.stats.ticked_at = time.time()
            return changes

    # -- people -------------------------------------------------------------------------------------------------------

    def quarantine(self, scope: Scope, reason: str, actor: str, *, hold: timedelta | None = None) -> Quarantine:
        """A person isolates a scope; it stays isolated until a person releases it, or for `hold`."""
        with self._lock:
            at = self._clock()
            standing = _copy(self.standing)
            for item in standing.quarantines.values():
                if item.ended_at is None and item.scope == scope and item.in_force:
                    raise ConflictError(f"{scope} is {item.state.word} already ({item.id}: {item.reason})")
            known = tuple(
                sorted(
                    version
                    for plugin, version in standing.versions
                    if plugin == scope.plugin and version != scope.version
                )
            )
            item = Quarantine(
                id=new_id("q", scope, at),
                scope=scope,
                state=QuarantineState.QUARANTINED,
                reason=reason,
                actor=actor,
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
            changes.decisions.append(Draft(at, "quarantined", actor, str(scope), reason, "enforce", item.id))
            self._announce_and_commit(standing, changes)
            return item

    def release(self, identity: str, reason: str, actor: str) -> Quarantine:
        """A person ends a quarantine; the automation leaves the scope alone for a while."""
        with self._lock:
            at = self._clock()
            standing = _copy(self.standing)
            item = standing.quarantines.get(identity)
            if item is None:
                raise NotFoundError(f"there is no quarantine {identity!r}; `plugwarden quarantines` lists them")
            if item.ended_at is not None:
                raise ConflictError(f"{identity} ended at {item.ended_at:%Y-%m-%d %H:%M:%S} already")
            after = release(item, at)
            after = replace(after, evidence={**after.evidence, "released_by": actor})
            standing.quarantines[identity] = after
            changes = Changes(at=at, quarantines=[after])
            changes.decisions.append(Draft(at, "released", actor, str(item.scope), reason, "enforce", identity))
            self._announce_and_commit(standing, changes)
            return after

    def silence(self, matchers: dict[str, str], length: timedelta, comment: str, actor: str) -> Silence:
        """A person wants to hear nothing of some alerts for a while. They go on being judged and acted upon."""
        with self._lock:
            at = self._clock()
            item = Silence(new_id("s", matchers, at), matchers, at, at + length, actor, comment)
            what = ", ".join(f"{name}={value}" for name, value in sorted(matchers.items()))
            draft = Draft(at, "silenced", actor, what, comment, "enforce", item.id, {"until": item.ends_at})
            self._write(lambda connection: ledger.store_silence(connection, item), draft)
            self.silences = [*(known for known in self.silences if known.ends_at > at), item]
            return item

    def unsilence(self, identity: str, reason: str, actor: str) -> None:
        """A person takes a silence back."""
        with self._lock:
            at = self._clock()
            item = next((known for known in self.silences if known.id == identity and known.ends_at > at), None)
            if item is None:
                raise NotFoundError(f"there is no silence {identity!r} in force")
            what = ", ".join(f"{name}={value}" for name, value in sorted(item.matchers.items()))
            draft = Draft(at, "unsilenced", actor, what, reason, "enforce", identity)
            self._write(lambda connection: ledger.end_silence(connection, identity, at), draft)
            self.silences = [known for known in self.silences if known.id != identity]

    def freeze(self, reason: str | None, actor: str) -> None:
        """Switch the automation off (with a reason) or on again (None). Quarantines in force stay."""
        with self._lock:
            at = self._clock()
            kind, text = ("frozen", reason) if reason is not None else ("unfrozen", "the automation runs again")
            draft = Draft(at, kind, actor, "automation", text or "", "enforce")

            self._write(lambda connection: ledger.store_frozen(connection, reason), draft)
            self.standing.frozen = reason

    def reload(self, path: Path, actor: str = "operator") -> Rules:
        """Take the rules of a file, as a whole; raises `RulesError` and keeps the old ones when it is wrong."""
        rules = load_rules(path)
        with self._lock:
            self.rules = rules
            draft = Draft(self._clock(), "rules_loaded", actor, str(path), f"{len(rules.objectives)} objectives")
            self._write(lambda connection: None, draft)
        return rules

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
        with self._database.reading() as cursor:
            rows = cursor.execute(
                "select plugin_id, plugin_version, min(time) from changes where kind = 'deployment' group by all"
            )
            standing.versions = {(plugin, version): at for plugin, version, at in rows.fetchall()}
        return standing

    def _write(self, work: Callable[[Any], None], draft: Draft) -> None:
        """One act of a person and its entry in the log, in one transaction."""

        def both(connection: Any) -> None:
            work(connection)
            ledger.append_decisions(connection, [draft])

        _done(self._writer.run(both))

    def _announce_and_commit(self, standing: Standing, changes: Changes) -> None:
        directives = directives_for(standing, self.rules)
        if directives != tuple(standing.directives.directives):
            standing.directives = DirectiveSet(self._database.epoch, standing.directives.revision + 1, directives)
            changes.directives = standing.directives
        self._commit(standing, changes)

    def _commit(self, standing: Standing, changes: Changes) -> None:
        """First the database, then memory, then everyone who listens."""
        if changes:
            _done(self._writer.run(_apply(changes)))
        self.standing = standing
        if changes.directives is not None:
            self._board.publish(changes.directives)
        for _, record, before, after, _ in changes.alert_events:
            labels = {
                "plugin": record.plugin,
                "version": record.version,
                "slo": record.slo,
                "severity": record.severity,
            }
            if silenced_by(self.silences, labels, changes.at or self._clock()) is not None:
                continue
            marked = standing.alerts.get(record.alert.fingerprint, record)
            if after == "firing" and marked.inhibited_by is None:
                self._notifier.announce(self.rules.receivers, record, "firing")
            elif before == "firing" and after == "inactive":
                self._notifier.announce(self.rules.receivers, record, "resolved")


def _done(work: Future[Any]) -> Any:
    """Wait for the writer. What it has not begun in time is taken back; what it has begun is waited for, so that memory
    and database never part."""
    try:
        return work.result(WRITE_TIMEOUT_SECONDS)
    except FutureTimeout:
        if work.cancel():
            raise StoreError(f"the writer was busy for more than {WRITE_TIMEOUT_SECONDS:.0f} s") from None
        return work.result()


def _apply(changes: Changes) -> Callable[[object], None]:
    return lambda connection: ledger.apply_changes(connection, changes)  # type: ignore[arg-type]


def _copy(standing: Standing) -> Standing:
    """Its values are frozen, so copies of the containers are enough to throw a failed tick away."""
    fresh = copy.copy(standing)
    for name in ("alerts", "quarantines", "incidents", "actions", "versions", "noted"):
        setattr(fresh, name, copy.copy(getattr(standing, name)))
    return fresh
