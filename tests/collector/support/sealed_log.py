"""A store with a sealed decision log, without a collector around it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from plugwarden_collector.audit.entries import DECISIONS, Draft, Keyring, SealKey
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.ledger.chain import append
from plugwarden_collector.store.ledger import AuditReport

from tests.collector.conftest import Running
from tests.collector.support.stores import AT, opened

KEY = Keyring((SealKey(b"k" * 32),))


def write(folder: Path, count: int, *, keyed: bool = True, says: str | None = "ann") -> None:
    """Put entries onto the log of a store, as a collector does."""
    drafts = [
        Draft(AT + timedelta(seconds=number), "quarantined", "ci", f"csv@{number}", "why", says=says)
        for number in range(count)
    ]
    if keyed:
        with opened(folder) as store:
            for draft in drafts:
                store.ledger.audit.append([draft]).result(10)
        return
    database = Database(folder)
    connection = database.cursor()
    append(connection, DECISIONS, drafts)
    connection.close()
    database.close()


def verified(folder: Path, anchor: str | None = None) -> AuditReport:
    """What a collector that starts on a store says of its log."""
    with opened(folder) as store:
        return store.ledger.audit.verify(anchor)


CI = "c" * 32


def condition(collector: Running) -> str:
    collector.collector.health.look()
    found = {item["name"]: item["state"] for item in collector.api.get("health")["conditions"]}
    return str(found["audit_log_broken"])
