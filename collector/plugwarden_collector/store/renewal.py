"""What a store that was restored or salvaged must change before sidecars meet it."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from plugwarden_collector.decide.audit import Draft

from .database import Database
from .ledger import append_decisions

__all__ = ["renew"]


def renew(folder: Path, at: datetime, kind: str, reason: str, actor: str, evidence: dict[str, Any]) -> None:
    """Bring a store's schema forward, give it a new epoch, and say so in the decision log.

    Its directive revisions are older than what sidecars have seen. Within one epoch they would ignore it until it had
    caught up; from another epoch they take whatever it says.
    """
    database = Database(folder)
    try:
        epoch = uuid.uuid4().hex
        connection = database.cursor()
        connection.execute("begin")
        connection.execute("insert or replace into meta values ('epoch', ?)", [epoch])
        newest = connection.execute(
            "select revision, body from directive_sets order by revision desc limit 1"
        ).fetchone()
        if newest is not None:
            body = json.dumps({**json.loads(newest[1]), "epoch": epoch})
            connection.execute("update directive_sets set body = ? where revision = ?", [body, newest[0]])
        append_decisions(connection, [Draft(at, kind, actor, "store", reason, evidence=evidence)])
        connection.execute("commit")
        connection.close()
    finally:
        database.close()
