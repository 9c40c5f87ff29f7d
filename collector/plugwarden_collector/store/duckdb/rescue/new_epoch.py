"""What a store that was restored or salvaged must change before sidecars meet it."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from plugwarden_collector.audit import Place, Records, read_keyring
from plugwarden_collector.audit.actor import LOCAL, Actor, claimed
from plugwarden_collector.audit.entries import ACCESS, DECISIONS, Draft
from plugwarden_collector.audit.meeting import meet
from plugwarden_collector.errors import SettingsError, StoreError
from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.ledger.chain import append, chain_of, head_of, holds

__all__ = ["renew"]


def renew(folder: Path, at: datetime, kind: str, reason: str, actor: str, evidence: dict[str, Any]) -> None:
    """Bring a store's schema forward, give it a new epoch, and say so in the decision log.

    Its directive revisions are older than what sidecars have seen. Within one epoch they would ignore it until it had
    caught up; from another epoch they take whatever it says. What its decision log has less than the one that was kept
    here is said in the entry, and is no break from then on.
    """
    try:
        says = claimed(actor)
    except ValueError as error:
        raise StoreError(f"--actor: {error}") from error
    try:
        place = Place.of()
        place.check(folder)
        keyring, records = read_keyring(place.key), Records(place.heads)
    except SettingsError as error:
        raise StoreError(str(error)) from error
    database = Database(folder)
    try:
        epoch = uuid.uuid4().hex
        connection = database.cursor()
        connection.execute("begin")
        connection.execute("insert or replace into meta values ('epoch', ?)", [epoch])
        newest = connection.execute(
            "select revision, body from directive_sets where revision = (select max(revision) from directive_sets)"
        ).fetchone()
        if newest is not None:
            body = json.dumps({**json.loads(newest[1]), "epoch": epoch})
            connection.execute("update directive_sets set body = ? where revision = ?", [body, newest[0]])
        there = {stream: head_of(connection, stream) for stream in (DECISIONS, ACCESS)}
        chain = chain_of(connection)
        heads, fresh = meet(
            records, chain, folder.resolve(), there, lambda stream, head: holds(connection, stream, head), at
        )
        if fresh:
            evidence = {**evidence, "left_behind": [item.text for item in fresh]}
        draft = Draft(at, kind, LOCAL, "store", reason, evidence={**evidence, "uid": os.getuid()}, says=says)
        head = append(connection, DECISIONS, [draft], keyring)
        connection.execute("commit")
        connection.close()
        explained = f"{Actor(LOCAL, says)} on {at:%Y-%m-%d %H:%M}: {kind} {reason}"
        heads.breaks = [replace(item, accepted=explained) if item in fresh else item for item in heads.breaks]
        if head is not None:
            heads.heads[DECISIONS] = head
        try:
            records.save(heads)
        except SettingsError as error:
            raise StoreError(str(error)) from error
    finally:
        database.close()
