"""The ledger's port: where things stand, what was decided, what people did. Small, transactional, hash-chained.

Engines stand behind it in folders of their own. Every write returns a future that ends once it is on disk, or with `StoreError`.
Several collectors may share one ledger: whoever commits says which revision they decided on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from plugwarden_collector.audit import Head
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.audit.entries import DECISIONS, Draft, Verdict
from plugwarden_collector.clock import Timekeeping
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.labels import about
from plugwarden_collector.decide.pushed import FiringAlert
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.errors import BusyError

from .ledger_rows import (
    AccessRow,
    AlertEventRow,
    AlertRow,
    BudgetRow,
    ChangeRow,
    ConditionEvent,
    DecisionRow,
    IncidentRow,
    QuarantineRow,
    SaidRow,
    SloRow,
)

__all__ = [
    "Audit",
    "AuditReport",
    "Delivery",
    "EndingRow",
    "KeptTime",
    "Ledger",
    "Loaded",
    "Note",
    "PushedEnd",
    "PushedRecord",
    "PushedStored",
    "TellingGone",
    "TellingRow",
    "settled",
]


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TellingRow:
    """What one receiver holds for open, or is owed."""

    receiver: str
    fingerprint: str
    due_at: datetime
    told_at: datetime | None
    given_up_by: str | None
    subject: str
    """What was told last, or is to be told; JSON."""
    ended: str | None
    """How it ended; JSON."""


@dataclass(frozen=True, slots=True)
class TellingGone:
    """A receiver neither holds something for open any more nor is owed anything of it."""

    receiver: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class EndingRow:
    """How an alert, a quarantine or a shared cause ended."""

    fingerprint: str
    time: datetime
    kind: str
    """Kind of the decision that ended it, such as `released`; `resolved` of an alert."""
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """Where things stand, as it was stored last."""

    standing: Standing
    revision: int
    """Counts the commits; 0 before the first."""
    watch: str | None = None
    """What was suspected, as it was kept last."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to tell a receiver of something: recorded when it begins, and again with its result."""

    at: datetime
    receiver: str
    fingerprint: str
    """Keys of the subjects, with spaces between."""
    status: str
    """`begun`, then `sent` or `failed`; `given_up` of what is not tried any more."""
    attempt: int
    error: str | None
    body: str
    """What is sent, JSON; without what is secret."""
    id: str
    finished_at: datetime | None = None
    """When the result was known; None while there is none."""


Note = Delivery | TellingRow | TellingGone | ConditionEvent
"""What the ledger records on the side of what is decided."""


@dataclass(frozen=True, slots=True)
class KeptTime:
    """What is known of the time, and during which run of the machine it was known."""

    timekeeping: Timekeeping
    boot: str


@dataclass(frozen=True, slots=True)
class PushedRecord:
    """A pushed alert as it is to be shown."""

    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    generator: str
    firing: bool
    started_at: datetime
    ended_at: datetime | None
    ends_at: datetime | None
    """When it ends though nobody says so; None: when it is no longer pushed."""
    changed_at: datetime

    @property
    def name(self) -> str:
        """What people call it."""
        return self.labels.get("alertname", "unnamed")

    @property
    def severity(self) -> str:
        """As it was pushed; `ticket` where nobody said."""
        return self.labels.get("severity", "ticket")

    @property
    def plugin(self) -> str | None:
        """Plugin that it is about: the label `plugin`, or `plugin_id` as our own metrics have it."""
        return about(self.labels, "plugin")

    @property
    def version(self) -> str | None:
        """Version that it is about: the label `version`, or `plugin_version`."""
        return about(self.labels, "version")

    @property
    def state(self) -> str:
        """`firing` or `inactive`."""
        return "firing" if self.firing else "inactive"


@dataclass(frozen=True, slots=True)
class PushedStored:
    """What the ledger knows of a pushed alert at a start."""

    fingerprint: str
    firing: bool
    started_at: datetime
    ended_at: datetime | None
    ends_at: datetime | None
    """As `PushedRecord` has it."""


@dataclass(frozen=True, slots=True)
class PushedEnd:
    """A pushed alert that is over."""

    fingerprint: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was verified, what is wrong, and what could not be verified."""

    verdicts: Mapping[str, Verdict]
    """By chain."""
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    """What the verification rests on, and what it could not tell."""

    @property
    def valid(self) -> bool:
        """Whether nothing is wrong and everything could be verified, or was accepted as it is."""
        return not self.problems


class Audit(Protocol):
    """The two chains of the ledger, decisions and access, and their heads that are kept outside of it."""

    @property
    def heads(self) -> Mapping[str, Head]:
        """The newest committed entry of each chain."""

    @property
    def open_breaks(self) -> tuple[str, ...]:
        """Breaks that nobody accepted, in words."""

    @property
    def failures(self) -> int:
        """Heads that the disk did not take."""

    def told(self) -> dict[str, Any]:
        """Return the heads as they are printed, exported and sent, with the chain's identity and the key's."""

    def stamp(self) -> dict[str, Any]:
        """Return what every notification carries, so that its receiver holds a head."""

    def line(self) -> str:
        """Return the heads in one line, for people."""

    def append(self, drafts: Sequence[Draft], stream: str = DECISIONS) -> Future[None]:
        """Seal entries onto the end of a chain, all or none."""

    def trim_access(self, keep: int, at: datetime) -> Future[None]:
        """Let all but the newest entries of the access log go, and say so in the decision log; nothing where few would go."""

    def record_lost_key(self, at: datetime) -> Future[None]:
        """Open the break of a key that is gone in the log itself, once for each such key; nothing where none is."""

    def verify(self, anchor: str | None = None, *, max_age_seconds: float = 0.0) -> AuditReport:
        """Return what going over both chains found. An answer so old will do; `anchor` is the hash of a head that somebody kept."""

    def accept(self, actor: Actor, reason: str, at: datetime) -> list[str]:
        """Record that somebody explains what is broken: verification passes over it from here on. Return what was accepted."""

    async def run_heads(self) -> None:
        """Say the heads now and then, for as long as the collector runs."""


class Ledger(Protocol):
    """One open ledger. Everything may be called from any thread; what reads, reads what is committed."""

    @property
    def audit(self) -> Audit:
        """The chains."""

    # -- where things stand ---------------------------------------------------------------------------------------

    def load(self, at: datetime) -> Loaded:
        """Return where things stand: alerts, quarantines, open incidents, directives, versions, the actions of the last hour,
        the switch, silences in force, what was said already and the clock's shift. Raises `StoreError`."""

    def commit(self, changes: Changes, expected: int) -> Future[int]:
        """Store what a tick or a person changed, before all that waits, with its decisions sealed: all or nothing.

        The future gives the new revision. It ends with `StaleError` when the ledger is not at `expected` any more.
        """

    def ended_silences(self, at: datetime, since: datetime) -> list[Silence]:
        """Return silences that ended by `at`, or were taken back, and not before `since`; the last first, a thousand at most."""

    def watched(self) -> dict[str, str]:
        """Return name of an `[[alert]]` -> what is kept of its looks, as text."""

    def tellings(self) -> list[TellingRow]:
        """Return what receivers hold for open, or are owed."""

    def endings(self, keys: Sequence[str]) -> list[EndingRow]:
        """Return how alerts, quarantines and shared causes ended, of those keys whose last entry says so."""

    def said(self, kinds: Sequence[str]) -> list[SaidRow]:
        """Return the last decision of each of some kinds on each scope, the newest 1,000."""

    def notifications(self, limit: int) -> list[Delivery]:
        """Return attempts to tell somebody, those that began last first."""

    def recorded(self, ids: Sequence[str]) -> set[str]:
        """Return which of some attempts are stored. Raises `StoreError`."""

    def record(self, notes: Sequence[Note]) -> Future[None]:
        """Store what was told, what is owed, and what happened to the collector itself: in order, before what waits, all or none."""

    def events_sent(self, receiver: str) -> int | None:
        """Return up to which sequence of the decision log a receiver has got all events; None where it is new."""

    def keep_events_sent(self, receiver: str, sequence: int) -> Future[None]:
        """Store that."""

    # -- pushed alerts --------------------------------------------------------------------------------------------

    def pushed(self) -> list[PushedStored]:
        """Return the pushed alerts that are kept."""

    def pushed_firing(self) -> list[FiringAlert]:
        """Return the pushed alerts that fire, the oldest first."""

    def store_pushed(
        self,
        kept: Sequence[PushedRecord] = (),
        ended: Sequence[PushedEnd] = (),
        gone: Sequence[str] = (),
        *,
        at: datetime,
    ) -> Future[None]:
        """Store pushed alerts, end some, let others go by their fingerprints; `kept` has each fingerprint once."""

    # -- time -----------------------------------------------------------------------------------------------------

    def kept_time(self) -> KeptTime | None:
        """Return what was known of the time when it was kept last; None where nothing readable is."""

    def keep_time(self, kept: KeptTime) -> Future[None]:
        """Store what is known of the time."""

    # -- lists for pages ------------------------------------------------------------------------------------------

    def alerts(self, most: int = 1_000) -> list[AlertRow]:
        """Return alerts now and lately, what fires first: so many of our own and so many pushed ones at most."""

    def alert_events(self, since: datetime) -> list[AlertEventRow]:
        """Return the history of alerts on plugins after a time, newest first, 1,000 at most."""

    def condition_events(self, limit: int) -> list[ConditionEvent]:
        """Return the latest changes of the collector's own conditions, oldest first."""

    def incidents(self) -> list[IncidentRow]:
        """Return shared causes, newest first, 200 at most."""

    def quarantines(self) -> list[QuarantineRow]:
        """Return quarantines, those not ended first, 1,000 at most."""

    def budgets(self, at: datetime) -> list[BudgetRow]:
        """Return what is left of every plugin's error budgets over all of its versions, 10,000 at most, but for those of periods of the
        calendar that were over at a moment."""

    def slos(self, at: datetime) -> list[SloRow]:
        """Return how every objective stands for every plugin version, likewise."""

    def decisions(self, before: int, limit: int) -> list[DecisionRow]:
        """Return entries of the decision log before a sequence, newest first."""

    def decision(self, sequence: int) -> DecisionRow | None:
        """Return one entry of the decision log; None where there is none."""

    def facts(self, sha256: str) -> str | None:
        """Return what entries rest on whose evidence names this digest, as it was written; None where it is not kept. What is
        damaged is another text: whoever reads it computes its digest."""

    def decisions_after(self, sequence: int, limit: int) -> list[DecisionRow]:
        """Return entries of the decision log after a sequence, oldest first."""

    def accesses(self, before: int, limit: int) -> list[AccessRow]:
        """Return entries of the access log before a sequence, newest first."""

    def changes(self) -> list[ChangeRow]:
        """Return deployments and other annotations, newest first, 10,000 at most."""

    def versions(self) -> dict[tuple[str, str], datetime]:
        """Return (plugin, version) -> when it was first seen, of those that are told apart."""

    def rules_recorded(self, sha256: str) -> datetime | None:
        """Return when a start last recorded the text of rules with this digest."""

    def close(self) -> None:
        """Keep the last heads. What is still to be stored is stored, or fails, by its own future."""


def settled(work: Future[T], timeout_seconds: float) -> T:
    """Return the result of a write. What has not begun in time is taken back, and `BusyError` raised; what has begun is waited
    for, so that memory and ledger never part."""
    try:
        return work.result(timeout_seconds)
    except FutureTimeout:
        if work.cancel():
            raise BusyError(f"the store was busy for more than {timeout_seconds:g} s") from None
        return work.result()
