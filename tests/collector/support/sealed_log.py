"""A store with a sealed decision log, without a collector around it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from plugwarden_collector.audit import Place
from plugwarden_collector.audit.entries import Draft, Keyring, SealKey
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.ledger.audit_log import AuditLog, AuditReport

from tests.collector.conftest import Running
from tests.collector.support.stores import AT

KEY = Keyring((SealKey(b"k" * 32),))


def write(folder: Path, count: int, *, keyed: bool = True, says: str | None = "ann") -> None:
    """Put entries onto the log of a store, as a collector does."""
    database = Database(folder)
    log = AuditLog(database, Place.of(), AT) if keyed else None
    for number in range(count):
        draft = Draft(AT + timedelta(seconds=number), "quarantined", "ci", f"csv@{number}", "why", says=says)
        connection = database.cursor()
        connection.execute("begin")
        if log is None:
            from plugwarden_collector.store.duckdb.ledger.state import append_decisions

            append_decisions(connection, [draft])
            connection.execute("commit")
        else:
            head = log.append(connection, [draft])
            connection.execute("commit")
            log.advance(head)
        connection.close()
    if log is not None:
        log.close()
    database.close()


def verified(folder: Path, anchor: str | None = None) -> AuditReport:
    """What a collector that starts on a store says of its log."""
    database = Database(folder)
    log = AuditLog(database, Place.of(), AT)
    found = log.verify(anchor)
    log.close()
    database.close()
    return found


CI = "c" * 32


def condition(collector: Running) -> str:
    collector.collector.health.look()
    found = {item["name"]: item["state"] for item in collector.api.get("health")["conditions"]}
    return str(found["audit_log_broken"])
