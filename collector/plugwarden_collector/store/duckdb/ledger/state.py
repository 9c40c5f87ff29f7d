"""Where things stand, in the database: alerts, quarantines, incidents, directives, silences, corrections. Written in one transaction
per tick or act, read at start."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, TypeVar

import duckdb
from plugwarden.contract import DirectiveSet, QuarantineState, Scope

from plugwarden_collector.decide.acknowledgement import Acknowledgement
from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.correction import MAX_AGE, Correction
from plugwarden_collector.decide.noted import resumed
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.matcher import equal, read_matcher
from plugwarden_collector.rules.policy import Enforcement
from plugwarden_collector.store.duckdb.rows import Row, fetch_rows
from plugwarden_collector.store.duckdb.statements import statement

from .facts import FROZEN, NOTED, SHIFTED, WATCH, load_fact, store_fact
from .sealing import Sealing

__all__ = ["apply_changes", "load_directives", "load_standing", "load_versions", "silence_of"]

LATELY = timedelta(hours=1)
"""How far back the automation's actions count against its limit per hour."""
_STATES = {state.word: state for state in QuarantineState}
_SLO_STATUS = {
    "slos": "slo", "plugins": "plugin", "versions": "version", "times": "at", "slis": "sli", "objectives": "target_ratio",
    "periods": "period_seconds", "totals": "total", "bads": "bad", "values": "sli_ratio", "remaining": "remaining_ratio",
    "burns": "burn_rate", "exhausted": "exhausted_seconds", "starts": "period_started_at", "ends": "period_ends_at",
    "excluded": "excluded_seconds",
}  # fmt: skip
"""List that `store_slo_status` takes -> field of `BudgetStatus`."""
_PLUGIN_BUDGETS = {name: field for name, field in _SLO_STATUS.items() if name != "versions"} | {"counts": "versions"}
"""List that `store_plugin_budgets` takes, likewise."""
_CHANGES = {"times": "at", "kinds": "kind", "plugins": "plugin", "versions": "version", "texts": "text"}
"""List that `store_changes` takes -> field of `Annotation`."""
T = TypeVar("T")


def apply_changes(sealing: Sealing, changes: Changes) -> None:
    """Write what a tick or an act changed, its decisions sealed. The caller holds the transaction."""
    connection = sealing.connection
    for record in changes.alerts:
        connection.execute(
            "insert or replace into alerts values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _alert_row(record),
        )
    for event in changes.alert_events:
        record = event.record
        row = [
            event.at, record.alert.fingerprint, record.name, record.severity, record.plugin or None, record.version,
            event.before.value, event.after.value, event.reason,
        ]  # fmt: skip
        connection.execute("insert into alert_events values (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    for quarantine in changes.quarantines:
        marks = ", ".join("?" * 22)
        connection.execute(f"insert or replace into quarantines values ({marks})", _quarantine_row(quarantine))  # noqa: S608
    for incident in changes.incidents:
        row = [incident.id, incident.cause, incident.summary, list(incident.plugins)]
        connection.execute(
            "insert or replace into incidents values (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *row,
                incident.started_at,
                incident.ended_at,
                json.dumps({} if incident.explained_by is None else {"explained_by": incident.explained_by}),
                incident.seen_at,
            ],
        )
    sealing.append(changes.decisions)
    if changes.directives is not None:
        body = json.dumps(changes.directives.as_dict())
        connection.execute(
            "insert into directive_sets values (?, ?, ?)", [changes.directives.revision, changes.at, body]
        )
    if by_version := [item for item in changes.slo_status if item.version is not None]:
        _store(connection, "store_slo_status", _SLO_STATUS, by_version)
    if over_all := [item for item in changes.slo_status if item.version is None]:
        _store(connection, "store_plugin_budgets", _PLUGIN_BUDGETS, over_all)
    if changes.changes:
        _store(connection, "store_changes", _CHANGES, changes.changes)
    for silence in changes.silences:
        connection.execute(statement("store_silence").sql, _silence_row(silence))
    for identity in changes.unsilenced:
        connection.execute(statement("end_silence").sql, {"id": identity, "at": changes.at})
    for identity in changes.unacknowledged:
        connection.execute(statement("end_acknowledgement").sql, {"id": identity, "at": changes.at})
    for known in changes.acknowledgements:
        connection.execute(statement("store_acknowledgement").sql, asdict(known))
    for correction in changes.corrections:
        connection.execute(statement("store_correction").sql, asdict(correction))
    if changes.freeze is not None:
        store_fact(connection, FROZEN, changes.freeze.reason)
    if changes.shifted_seconds is not None:
        store_fact(connection, SHIFTED, repr(changes.shifted_seconds))
    if changes.watch is not None:
        store_fact(connection, WATCH, changes.watch)
    if changes.noted is not None:
        store_fact(connection, NOTED, changes.noted)
    for rule, kept in changes.watched.items():
        if kept is None:
            connection.execute(statement("forget_watched").sql, {"rule": rule})
        else:
            connection.execute(statement("store_watched").sql, {"rule": rule, "kept": kept, "at": changes.at})


def _store(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, str], values: Sequence[object]
) -> None:
    lists = {column: list(map(attrgetter(field), values)) for column, field in columns.items()}
    connection.execute(statement(name).sql, lists)


def load_standing(cursor: duckdb.DuckDBPyConnection, epoch: str, at: datetime) -> Standing:
    """Return where things stand. `epoch` is the store's, for directives that were never sent."""
    shifted = load_fact(cursor, SHIFTED)
    return Standing(
        alerts={item.alert.fingerprint: item for item in _all(cursor, "load_alerts", _alert)},
        quarantines={item.id: item for item in _all(cursor, "load_quarantines", _quarantine)},
        incidents={item.id: item for item in _all(cursor, "load_incidents", _incident)},
        directives=load_directives(cursor, epoch),
        actions=_all(cursor, "load_action_times", lambda row: row["time"], {"since": at - LATELY}),
        versions=load_versions(cursor),
        frozen=load_fact(cursor, FROZEN),
        noted=resumed(load_fact(cursor, NOTED), at),
        silences=tuple(_all(cursor, "load_silences", silence_of, {"at": at})),
        acknowledgements=tuple(_all(cursor, "load_acknowledgements", lambda row: Acknowledgement(**row), {"at": at})),
        corrections=tuple(_all(cursor, "load_corrections", lambda row: Correction(**row), {"since": at - MAX_AGE})),
        shifted_seconds=None if shifted is None else float(shifted),
    )


def load_directives(cursor: duckdb.DuckDBPyConnection, epoch: str) -> DirectiveSet:
    """Return the newest set of directives, or an empty one of revision 0."""
    found = _all(cursor, "load_directives", lambda row: DirectiveSet.from_dict(json.loads(row["body"])))
    return found[0] if found else DirectiveSet(epoch, 0, ())


def load_versions(cursor: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], datetime]:
    """Return (plugin, version) -> when it was first seen, of those that are told apart."""
    rows = fetch_rows(cursor, statement("list_versions").sql)
    return {(row["plugin_id"], row["plugin_version"]): row["first"] for row in rows}


def _all(
    cursor: duckdb.DuckDBPyConnection, name: str, made: Callable[[Row], T], parameters: Mapping[str, Any] | None = None
) -> list[T]:
    return [made(row) for row in fetch_rows(cursor, statement(name).sql, parameters)]


def _incident(row: Row) -> Incident:
    return Incident(
        row["id"], row["cause"], row["summary"], tuple(row["plugins"]), row["started_at"], None, row["seen_at"],
        json.loads(row["detail"]).get("explained_by"),
    )  # fmt: skip


def silence_of(row: Row) -> Silence:
    """Return a silence as a row of `silences` has it: one of an earlier version names labels that must all be equal."""
    found = json.loads(row["matchers"])
    matchers = equal(found) if isinstance(found, dict) else tuple(map(read_matcher, found))
    return Silence(
        row["id"], matchers, row["starts_at"], row["ends_at"], row["created_by"], row["comment"], row["owner"]
    )


def _silence_row(item: Silence) -> Row:
    return {
        "id": item.id, "matchers": json.dumps([*map(str, item.matchers)]), "starts_at": item.starts_at, "ends_at": item.ends_at,
        "created_by": item.created_by, "comment": item.comment, "owner": item.owner,
    }  # fmt: skip


def _alert_row(record: AlertRecord) -> list[Any]:
    alert = record.alert
    detail = {**record.detail, "quiet_since": alert.quiet_since}
    return [
        alert.fingerprint, record.name, record.severity, alert.state.value, record.slo or None, record.plugin or None, record.version,
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
    record = AlertRecord(
        alert, row["name"], row["severity"], row["slo"] or "", row["plugin_id"] or "", row["plugin_version"], row["summary"],
        row["description"], row["changed_at"], row["inhibited_by"], detail,
    )  # fmt: skip
    own = record.labels()
    more = {name: value for name, value in json.loads(row["labels"]).items() if name not in own}
    return replace(record, more=more) if more else record


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
