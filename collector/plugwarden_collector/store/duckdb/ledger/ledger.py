"""The ledger in a DuckDB file: the port `Ledger`, over the one writer and cursors for reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from plugwarden_collector.audit import Place
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.labels import alert_labels
from plugwarden_collector.decide.pushed import FiringAlert
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.rows import fetch_rows
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.duckdb.write.writer import Writer
from plugwarden_collector.store.ledger import (
    Delivery,
    EndingRow,
    KeptTime,
    Loaded,
    Note,
    PushedEnd,
    PushedRecord,
    PushedStored,
    TellingRow,
)
from plugwarden_collector.store.ledger_rows import (
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

from .audit_log import AuditLog
from .decision_facts import load_facts
from .facts import (
    EVENTS_SENT,
    WATCH,
    advance_revision,
    load_fact,
    load_revision,
    load_time,
    store_fact,
    store_time,
)
from .lists import list_rows
from .notes import store_notes
from .pushed_alerts import end_pushed, forget_pushed, load_firing, load_pushed, store_pushed
from .sealing import Sealing
from .state import apply_changes, load_standing, load_versions, silence_of

__all__ = ["DuckdbLedger", "kept_time"]

T = TypeVar("T")


def kept_time(database: Database) -> KeptTime | None:
    """Return what was known of the time when it was kept last; for a start, which needs it before there is a clock."""
    with database.reading() as cursor:
        return load_time(cursor)


class DuckdbLedger:
    """The open ledger of a store. `Ledger` says what each method promises."""

    def __init__(self, database: Database, writer: Writer, place: Place, at: datetime) -> None:
        """Raises `SettingsError` when the key or the heads of the decision log cannot be read or kept."""
        self._database, self._writer = database, writer
        self.audit = AuditLog(database, writer, place, at)
        """The chains."""

    def load(self, at: datetime) -> Loaded:
        """Return where things stand."""
        with self._database.reading() as cursor:
            standing = load_standing(cursor, self._database.epoch, at)
            return Loaded(standing, load_revision(cursor), load_fact(cursor, WATCH))

    def commit(self, changes: Changes, expected: int) -> Future[int]:
        """Store what a tick or a person changed, before all that waits."""

        def work(sealing: Sealing) -> int:
            revision = advance_revision(sealing.connection, expected)
            apply_changes(sealing, changes)
            return revision

        return self.audit.run(work, first=True)

    def ended_silences(self, at: datetime, since: datetime) -> list[Silence]:
        """Return silences that ended lately."""
        with self._database.reading() as cursor:
            asked = {"at": at, "since": since}
            return [*map(silence_of, fetch_rows(cursor, statement("list_ended_silences").sql, asked))]

    def watched(self) -> dict[str, str]:
        """Return what is kept of the looks of each `[[alert]]`."""
        with self._database.reading() as cursor:
            return dict(cursor.execute(statement("load_watched").sql).fetchall())

    def tellings(self) -> list[TellingRow]:
        """Return what receivers hold for open, or are owed."""
        return self._list("list_tellings", TellingRow)

    def endings(self, keys: Sequence[str]) -> list[EndingRow]:
        """Return how alerts, quarantines and shared causes ended."""
        return self._list("list_endings", EndingRow, {"keys": list(keys)})

    def said(self, kinds: Sequence[str]) -> list[SaidRow]:
        """Return the last decision of each of some kinds on each scope."""
        return self._list("list_said", SaidRow, {"kinds": list(kinds)})

    def notifications(self, limit: int) -> list[Delivery]:
        """Return attempts to tell somebody."""
        return self._list("list_notifications", Delivery, {"limit": limit})

    def recorded(self, ids: Sequence[str]) -> set[str]:
        """Return which of some attempts are stored."""
        return {str(row["id"]) for row in self._database.fetch(statement("list_recorded"), {"ids": list(ids)})}

    def record(self, notes: Sequence[Note]) -> Future[None]:
        """Store what was told, what is owed, and what happened to the collector itself."""
        return self.audit.run(lambda sealing: store_notes(sealing.connection, notes), first=True)

    def events_sent(self, receiver: str) -> int | None:
        """Return up to which sequence of the decision log a receiver has got all events."""
        with self._database.reading() as cursor:
            found = load_fact(cursor, f"{EVENTS_SENT}{receiver}")
        return None if found is None else int(found)

    def keep_events_sent(self, receiver: str, sequence: int) -> Future[None]:
        """Store that."""
        key = f"{EVENTS_SENT}{receiver}"
        return self.audit.run(lambda sealing: store_fact(sealing.connection, key, str(sequence)))

    def pushed(self) -> list[PushedStored]:
        """Return the pushed alerts that are kept."""
        with self._database.reading() as cursor:
            return load_pushed(cursor)

    def pushed_firing(self) -> list[FiringAlert]:
        """Return the pushed alerts that fire."""
        with self._database.reading() as cursor:
            return load_firing(cursor)

    def store_pushed(
        self,
        kept: Sequence[PushedRecord] = (),
        ended: Sequence[PushedEnd] = (),
        gone: Sequence[str] = (),
        *,
        at: datetime,
    ) -> Future[None]:
        """Store pushed alerts, end some, let others go."""

        def work(sealing: Sealing) -> None:
            if gone:
                forget_pushed(sealing.connection, gone)
            if ended:
                end_pushed(sealing.connection, ended, at)
            if kept:
                store_pushed(sealing.connection, kept)

        return self.audit.run(work)

    def kept_time(self) -> KeptTime | None:
        """Return what was known of the time when it was kept last."""
        return kept_time(self._database)

    def keep_time(self, kept: KeptTime) -> Future[None]:
        """Store what is known of the time."""
        return self.audit.run(lambda sealing: store_time(sealing.connection, kept))

    def alerts(self, most: int = 1_000) -> list[AlertRow]:
        """Return alerts now and lately."""
        return [_labelled(row) for row in self._list("list_alerts", AlertRow, {"most": most})]

    def alert_events(self, since: datetime) -> list[AlertEventRow]:
        """Return the history of alerts on plugins."""
        return self._list("list_alert_events", AlertEventRow, {"since": since})

    def condition_events(self, limit: int) -> list[ConditionEvent]:
        """Return the latest changes of our own conditions."""
        return self._list("list_condition_events", ConditionEvent, {"limit": limit})

    def incidents(self) -> list[IncidentRow]:
        """Return shared causes."""
        return self._list("list_incidents", IncidentRow)

    def quarantines(self) -> list[QuarantineRow]:
        """Return quarantines."""
        return self._list("list_quarantines", QuarantineRow)

    def budgets(self, at: datetime) -> list[BudgetRow]:
        """Return what is left of budgets over all versions."""
        return self._list("list_plugin_budgets", BudgetRow, {"at": at})

    def slos(self, at: datetime) -> list[SloRow]:
        """Return how every objective stands."""
        return self._list("list_slo_status", SloRow, {"at": at})

    def decisions(self, before: int, limit: int) -> list[DecisionRow]:
        """Return entries of the decision log."""
        return self._list("list_decisions", DecisionRow, {"before": before, "limit": limit})

    def decision(self, sequence: int) -> DecisionRow | None:
        """Return one entry of the decision log."""
        return next(iter(self._list("load_decision", DecisionRow, {"sequence": sequence})), None)

    def facts(self, sha256: str) -> str | None:
        """Return what entries rest on whose evidence names this digest."""
        with self._database.reading() as cursor:
            return load_facts(cursor, sha256)

    def decisions_after(self, sequence: int, limit: int) -> list[DecisionRow]:
        """Return entries of the decision log after a sequence."""
        return self._list("decisions_after", DecisionRow, {"after": sequence, "limit": limit})

    def accesses(self, before: int, limit: int) -> list[AccessRow]:
        """Return entries of the access log."""
        return self._list("list_access", AccessRow, {"before": before, "limit": limit})

    def changes(self) -> list[ChangeRow]:
        """Return deployments and other annotations."""
        return self._list("list_changes", ChangeRow)

    def versions(self) -> dict[tuple[str, str], datetime]:
        """Return when each plugin version was first seen."""
        with self._database.reading() as cursor:
            return load_versions(cursor)

    def rules_recorded(self, sha256: str) -> datetime | None:
        """Return when a start last recorded the text of these rules."""
        found: datetime | None = self._database.fetch(statement("rules_recorded"), {"sha256": sha256})[0]["time"]
        return found

    def close(self) -> None:
        """Keep the last heads."""
        self.audit.close()

    def _list(self, name: str, kind: type[T], parameters: Mapping[str, Any] | None = None) -> list[T]:
        with self._database.reading() as cursor:
            return list_rows(cursor, name, kind, parameters)


def _labelled(row: AlertRow) -> AlertRow:
    """Return an alert of our own with all of its labels: a store of an earlier version holds them without the alert's name."""
    if row.source != "plugwarden":
        return row
    labels = alert_labels(row.name, row.severity, row.slo or "", row.plugin_id or "", row.plugin_version)
    return replace(row, labels={**row.labels, **labels})
