"""What people decide about the store itself: rows that could not be counted, and deletions that are too large to happen by
themselves."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.clock import Clock
from plugwarden_collector.errors import ConflictError, NotFoundError
from plugwarden_collector.store import Database, Writer, statement
from plugwarden_collector.store.duckdb.ledger.audit_log import AuditLog
from plugwarden_collector.store.duckdb.retention.slices import RetentionStats

__all__ = ["Upkeep"]

WAIT_SECONDS = 60.0


class Upkeep:
    """Every act is in the decision log. May be called from any thread, and waits for the writer."""

    def __init__(
        self, database: Database, writer: Writer, audit: AuditLog, retention: RetentionStats, clock: Clock
    ) -> None:
        self._database, self._writer, self._audit, self._clock = database, writer, audit, clock
        self._retention = retention

    def set_aside(self) -> list[dict[str, Any]]:
        """What could not be counted, newest first."""
        return self._database.fetch(statement("list_set_aside"))

    def try_again(self, identity: str, reason: str, actor: Actor) -> dict[str, Any]:
        """Count what was set aside; raises `NotFoundError`, or `StoreError` when it still cannot be: then it stays as it is."""
        entry = self._entry(identity)
        draft = self._draft("counted_after_all", identity, entry, reason, actor)
        counted = self._writer.count_again(
            identity, self._clock(), lambda connection: self._audit.append(connection, [draft])
        )
        self._audit.advance(counted.result(WAIT_SECONDS))
        return entry

    def give_up(self, identity: str, reason: str, actor: Actor) -> dict[str, Any]:
        """Forget what was set aside: it is never counted. Raises `NotFoundError`."""
        entry = self._entry(identity)

        def work(connection: Any) -> Any:
            if not connection.execute(statement("delete_set_aside").sql, {"id": identity}).fetchall()[0][0]:
                raise NotFoundError(f"nothing is set aside as {identity!r}")
            return self._audit.append(connection, [self._draft("given_up", identity, entry, reason, actor)])

        self._audit.advance(self._writer.run(work).result(WAIT_SECONDS))
        return entry

    def refused(self) -> list[dict[str, Any]]:
        """What retention would not let go without a person, as of its last round."""
        return [{"view": view, **asdict(item)} for view, item in sorted(self._retention.refused.items())]

    def allow(self, reason: str, actor: Actor) -> list[dict[str, Any]]:
        """Let it go, once, as it is shown and no more: in the next round, within a minute. Raises `ConflictError` when nothing waits."""
        waiting = dict(self._retention.refused)
        if not waiting:
            raise ConflictError("retention waits for nobody: what is old enough goes by itself")
        views = ", ".join(
            f"{view} ({item.rows} rows from before {item.before})" for view, item in sorted(waiting.items())
        )
        evidence = {"views": {view: asdict(item) for view, item in waiting.items()}}
        draft = Draft(
            self._clock(), "deletion_allowed", actor.name, views, reason, "enforce", None, evidence, actor.says
        )
        self._audit.advance(
            self._writer.run(lambda connection: self._audit.append(connection, [draft])).result(WAIT_SECONDS)
        )
        # By the hour that the next round may have moved on by; a clock that steps meanwhile takes no more than that.
        self._retention.allowed = {view: item.before + timedelta(hours=1) for view, item in waiting.items()}
        return [{"view": view, **asdict(item)} for view, item in sorted(waiting.items())]

    def _entry(self, identity: str) -> dict[str, Any]:
        for entry in self.set_aside():
            if entry["id"] == identity:
                return entry
        raise NotFoundError(f"nothing is set aside as {identity!r}; `plugwarden aside` lists what is")

    def _draft(self, kind: str, identity: str, entry: dict[str, Any], reason: str, actor: Actor) -> Draft:
        evidence = {name: entry[name] for name in ("what", "rows", "batch", "service_name", "plugin_id", "error")}
        return Draft(self._clock(), kind, actor.name, identity, reason, "enforce", None, evidence, actor.says)
