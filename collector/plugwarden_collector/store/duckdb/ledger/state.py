"""The state of judging and deciding in the database: alerts, quarantines, decisions, directives. Written in one transaction
per tick, read at start."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

import duckdb
from plugwarden.contract import DirectiveSet, QuarantineState, Scope

from plugwarden_collector.audit import Head
from plugwarden_collector.audit.entries import DECISIONS, UNKEYED, Draft, Keyring
from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.decide.standing import Incident
from plugwarden_collector.rules.policy import Enforcement
from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.rows import Row, fetch_rows
from plugwarden_collector.store.duckdb.statements import statement

from .chain import append

__all__ = [
    "append_decisions",
    "apply_changes",
    "end_silence",
    "load_action_times",
    "load_alerts",
    "load_directives",
    "load_frozen",
    "load_incidents",
    "load_quarantines",
    "load_shifted",
    "load_silences",
    "store_frozen",
    "store_shifted",
    "store_silence",
]

_STATES = {state.word: state for state in QuarantineState}
_SLO_STATUS = {
    "slos": "slo", "plugins": "plugin", "versions": "version", "times": "at", "slis": "sli", "objectives": "target_ratio",
    "periods": "period_seconds", "totals": "total", "bads": "bad", "values": "sli_ratio", "remaining": "remaining_ratio",
    "burns": "burn_rate", "exhausted": "exhausted_seconds",
}  # fmt: skip
"""List that `store_slo_status` takes -> field of `BudgetStatus`."""
_CHANGES = {"times": "at", "kinds": "kind", "plugins": "plugin", "versions": "version", "texts": "text"}
"""List that `store_changes` takes -> field of `Annotation`."""


def apply_changes(connection: duckdb.DuckDBPyConnection, changes: Changes, keyring: Keyring = UNKEYED) -> Head | None:
    """Write a tick's changes; return the new head of the decision log, if there is one. The caller holds the transaction."""
    for record in changes.alerts:
        connection.execute(
            "insert or replace into alerts values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _alert_row(record),
        )
    for event in changes.alert_events:
        record = event.record
        row = [
            event.at, record.alert.fingerprint, record.name, record.severity, record.plugin, record.version,
            event.before.value, event.after.value, event.reason,
        ]  # fmt: skip
        connection.execute("insert into alert_events values (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    for quarantine in changes.quarantines:
        marks = ", ".join("?" * 22)
        connection.execute(f"insert or replace into quarantines values ({marks})", _quarantine_row(quarantine))  # noqa: S608
    for incident in changes.incidents:
        row = [incident.id, incident.cause, incident.summary, list(incident.plugins)]
        connection.execute(
            "insert or replace into incidents values (?, ?, ?, ?, ?, ?, '{}')",
            [*row, incident.started_at, incident.ended_at],
        )
    head = append_decisions(connection, changes.decisions, keyring)
    if changes.directives is not None:
        body = json.dumps(changes.directives.as_dict())
        connection.execute(
            "insert into directive_sets values (?, ?, ?)", [changes.directives.revision, changes.at, body]
        )
    if changes.slo_status:
        _store(connection, "store_slo_status", _SLO_STATUS, changes.slo_status)
    if changes.changes:
        _store(connection, "store_changes", _CHANGES, changes.changes)
    return head


def _store(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, str], values: Sequence[object]
) -> None:
    lists = {column: list(map(attrgetter(field), values)) for column, field in columns.items()}
    connection.execute(statement(name).sql, lists)


def append_decisions(
    connection: duckdb.DuckDBPyConnection, drafts: Sequence[Draft], keyring: Keyring = UNKEYED
) -> Head | None:
    """Seal decisions onto the end of the chain; return its new head."""
    return append(connection, DECISIONS, drafts, keyring)


def load_alerts(database: Database) -> list[AlertRecord]:
    """All stored alerts of our own."""
    with database.reading() as cursor:
        rows = fetch_rows(cursor, "from alerts where source = 'plugwarden'")
    return [_alert(row) for row in rows]


def load_quarantines(database: Database) -> list[Quarantine]:
    """All stored quarantines, oldest first."""
    with database.reading() as cursor:
        rows = fetch_rows(cursor, "from quarantines order by started_at")
    return [_quarantine(row) for row in rows]


def load_incidents(database: Database) -> list[Incident]:
    """Incidents that have not ended."""
    with database.reading() as cursor:
        rows = fetch_rows(cursor, "from incidents where ended_at is null")
    return [
        Incident(row["id"], row["cause"], row["summary"], tuple(row["plugins"]), row["started_at"], None)
        for row in rows
    ]


def load_directives(database: Database) -> DirectiveSet | None:
    """The newest directive set, if there ever was one."""
    with database.reading() as cursor:
        rows = fetch_rows(
            cursor, "select body from directive_sets where revision = (select max(revision) from directive_sets)"
        )
    return DirectiveSet.from_dict(json.loads(rows[0]["body"])) if rows else None


def load_action_times(database: Database, since: datetime) -> list[datetime]:
    """When the automation quarantined something, for the limit per hour."""
    with database.reading() as cursor:
        rows = fetch_rows(
            cursor,
            "select time from decisions where kind = 'quarantined' and actor = 'automation' and time > $since",
            {"since": since},
        )
    return [row["time"] for row in rows]


def load_silences(database: Database, at: datetime) -> list[Silence]:
    """Silences that have not ended or been taken back."""
    with database.reading() as cursor:
        rows = fetch_rows(
            cursor, "from silences where deleted_at is null and ends_at > $at order by starts_at", {"at": at}
        )
    return [
        Silence(
            row["id"], json.loads(row["matchers"]), row["starts_at"], row["ends_at"], row["created_by"], row["comment"]
        )
        for row in rows
    ]


def store_silence(connection: duckdb.DuckDBPyConnection, silence: Silence) -> None:
    """Keep a silence."""
    row = [silence.id, json.dumps(dict(silence.matchers)), silence.starts_at, silence.ends_at]
    connection.execute(
        "insert into silences values (?, ?, ?, ?, ?, ?, null)", [*row, silence.created_by, silence.comment]
    )


def end_silence(connection: duckdb.DuckDBPyConnection, identity: str, at: datetime) -> None:
    """Take a silence back."""
    connection.execute("update silences set deleted_at = ? where id = ?", [at, identity])


def load_frozen(database: Database) -> str | None:
    """Why the automation is switched off, if it is."""
    with database.reading() as cursor:
        rows = fetch_rows(cursor, "select value from meta where key = 'frozen'")
    return str(rows[0]["value"]) if rows else None


def store_frozen(connection: duckdb.DuckDBPyConnection, reason: str | None) -> None:
    """Switch the automation off (with a reason) or on (None)."""
    connection.execute("delete from meta where key = 'frozen'")
    if reason is not None:
        connection.execute("insert into meta values ('frozen', ?)", [reason])


def _alert_row(record: AlertRecord) -> list[Any]:
    alert = record.alert
    detail = {**record.detail, "quiet_since": alert.quiet_since}
    return [
        alert.fingerprint, record.name, record.severity, alert.state.value, record.slo, record.plugin, record.version,
        json.dumps(record.labels()), record.summary, record.description, alert.pending_at, alert.firing_at, alert.resolved_at,
        record.changed_at, record.inhibited_by, "plugwarden", json.dumps(detail, default=str),
    ]  # fmt: skip


def _alert(row: Row) -> AlertRecord:
    detail = json.loads(row["detail"])
    quiet = detail.pop("quiet_since", None)
    alert = Alert(
        row["fingerprint"],
        AlertState(row["state"]),
        row["pending_at"],
        row["firing_at"],
        row["resolved_at"],
        datetime.fromisoformat(quiet) if quiet else None,
    )
    return AlertRecord(
        alert, row["name"], row["severity"], row["slo"], row["plugin_id"], row["plugin_version"], row["summary"],
        row["description"], row["changed_at"], row["inhibited_by"], detail,
    )  # fmt: skip


def _quarantine_row(item: Quarantine) -> list[Any]:
    scope = item.scope
    return [
        item.id, scope.plugin, scope.version, scope.operation, scope.instance, scope.tenant, item.state.word, item.step,
        item.share_ratio, item.reason, item.actor, item.enforcement.value, item.started_at, item.changed_at,
        item.hold_until, item.ended_at, item.repeats, item.superseded_by, item.successor_of, list(item.known_versions),
        item.alert, json.dumps(item.evidence, default=str),
    ]  # fmt: skip


def _quarantine(row: Row) -> Quarantine:
    scope = Scope(
        row["plugin_id"], row["plugin_version"], row["plugin_operation"], row["instance_id"], row["tenant_id"]
    )
    return Quarantine(
        row["id"], scope, _STATES[row["state"]], row["reason"], row["actor"], Enforcement(row["enforcement"]),
        row["started_at"], row["changed_at"], row["step"], row["share_ratio"], row["hold_until"], row["ended_at"],
        row["repeats"], row["superseded_by"], row["successor_of"], tuple(row["known_versions"]), row["alert"],
        json.loads(row["evidence"]),
    )  # fmt: skip


def load_shifted(database: Database) -> float | None:
    """Seconds by which holds and silences were moved with the clock, over all; None: never looked at."""
    rows = database.fetch(statement("load_meta"), {"key": "clock_shifted"})
    return float(rows[0]["value"]) if rows else None


def store_shifted(connection: duckdb.DuckDBPyConnection, silences: Sequence[Silence], total_seconds: float) -> None:
    """Keep silences that moved with the clock, and by how much everything did over all."""
    for item in silences:
        moved = {"id": item.id, "starts_at": item.starts_at, "ends_at": item.ends_at}
        connection.execute(statement("move_silence").sql, moved)
    connection.execute(statement("store_meta").sql, {"key": "clock_shifted", "value": repr(total_seconds)})
