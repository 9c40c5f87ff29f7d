"""The two chains in the database: how entries are put onto their ends, and how a chain is read to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import duckdb

from plugwarden_collector.audit import Head
from plugwarden_collector.audit.entries import ACCESS, DECISIONS, GENESIS, UNKEYED, Draft, Keyring, seal
from plugwarden_collector.figures import counted
from plugwarden_collector.store.duckdb.rows import Row
from plugwarden_collector.store.duckdb.statements import statement

from .decision_facts import store_facts

__all__ = ["append", "base_of", "chain_of", "head_of", "holds", "rows_of", "trim"]

_TABLES = {DECISIONS: "decisions", ACCESS: "access_log"}
_CHAINS = {DECISIONS: "chain", ACCESS: "access_chain"}
ROWS_AT_A_TIME = 4_096


def append(
    connection: duckdb.DuckDBPyConnection, stream: str, drafts: Sequence[Draft], keyring: Keyring = UNKEYED
) -> Head | None:
    """Seal entries onto the end of a chain; return its new head, None without drafts. The caller holds the transaction."""
    if not drafts:
        return None
    head = head_of(connection, stream)
    for draft in drafts:
        entry = seal(draft, head.sequence + 1, head.hash, keyring.current, stream)
        row: dict[str, Any] = {
            "sequence": entry.sequence, "time": draft.at, "kind": draft.kind, "actor": draft.actor, "says": draft.says,
            "scope": draft.scope, "reason": draft.reason, "evidence": entry.evidence_json, "key_id": entry.key_id,
            "previous_hash": entry.previous_hash, "hash": entry.hash,
        }  # fmt: skip
        if stream == DECISIONS:
            row |= {"quarantine_id": draft.quarantine_id, "enforcement": draft.enforcement}
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        connection.execute(f"insert into {_TABLES[stream]} ({names}) values ({marks})", list(row.values()))  # noqa: S608
        if draft.facts is not None:
            store_facts(connection, entry.sequence, draft.facts)
        head = Head(entry.sequence, entry.hash, draft.at.isoformat())
    return head


def head_of(connection: duckdb.DuckDBPyConnection, stream: str) -> Head:
    """The newest entry."""
    if not _exists(connection, stream):
        return Head()
    # Not `order by sequence desc limit 1`: where newest rows were deleted, DuckDB 2.0 goes by the statistics of row groups,
    # which still count them, and answers an older row. The next entry would then get a number that is there already.
    newest = f"(select max(sequence) from {_TABLES[stream]})"  # noqa: S608
    sql = f"select sequence, hash, time from {_TABLES[stream]} where sequence = {newest}"  # noqa: S608
    found = connection.execute(sql).fetchall()
    if not found:
        # Nothing was let go of before the first entry, and the newest one never is.
        return Head()
    return Head(int(found[0][0]), str(found[0][1]), found[0][2].isoformat())


def holds(connection: duckdb.DuckDBPyConnection, stream: str, head: Head) -> bool:
    """Whether the entry that a head names is in the chain."""
    if head.sequence == 0:
        return head.hash == GENESIS
    if not _exists(connection, stream):
        return False
    sql = f"select hash from {_TABLES[stream]} where sequence = ?"  # noqa: S608
    return [head.hash] == [row[0] for row in connection.execute(sql, [head.sequence]).fetchall()]


def base_of(connection: duckdb.DuckDBPyConnection, stream: str) -> tuple[int, str]:
    """Sequence and hash of the last entry that was let go of by its age."""
    if stream == ACCESS:
        for (evidence,) in connection.execute(statement("access_base").sql).fetchall():
            if evidence is None:
                break  # nothing was
            gone = json.loads(evidence)
            return int(gone["sequence"]), str(gone["hash"])
    return 0, GENESIS


def rows_of(connection: duckdb.DuckDBPyConnection, stream: str) -> Iterator[Row]:
    """All entries in order, few at a time; none of a store that is older than the chain."""
    if not _exists(connection, stream):
        return
    cursor = connection.execute(statement(_CHAINS[stream]).sql)
    names = [column[0] for column in cursor.description or ()]
    while rows := cursor.fetchmany(ROWS_AT_A_TIME):
        for row in rows:
            yield dict(zip(names, row, strict=True))


def trim(connection: duckdb.DuckDBPyConnection, keep: int, at: datetime, keyring: Keyring) -> Head | None:
    """Let all but the newest entries of the access log go, and say so in the decision log; return its new head.

    Counted in entries and not by time: a clock that was put forward must not empty it. In steps, so that it happens seldom.
    """
    last = head_of(connection, ACCESS).sequence - keep
    found = connection.execute(statement("access_entry").sql, {"sequence": max(0, last)}).fetchall()
    if not found or last - found[0][2] < keep // 10:
        return None
    connection.execute(statement("trim_access").sql, {"last": last})
    evidence = {"sequence": last, "hash": str(found[0][1])}
    gone = counted(last - found[0][2] + 1, "older one was", "older ones were")
    reason = f"the newest {counted(keep, 'entry is', 'entries are')} kept; {gone} let go"
    draft = Draft(at, "access_log_trimmed", "collector", "access log", reason, evidence=evidence)
    return append(connection, DECISIONS, [draft], keyring)


def _exists(connection: duckdb.DuckDBPyConnection, stream: str) -> bool:
    sql = "select count(*) from duckdb_tables() where table_name = ? and database_name = current_database()"
    return bool(connection.execute(sql, [_TABLES[stream]]).fetchall()[0][0])


def chain_of(connection: duckdb.DuckDBPyConnection) -> str:
    """The identity of a store's chains."""
    sql = "select count(*) from duckdb_tables() where table_name = 'audit_chain' and database_name = current_database()"
    if not connection.execute(sql).fetchall()[0][0]:
        return ""  # a store of an earlier version that nobody has opened since
    rows = connection.execute("select id from audit_chain").fetchall()
    return str(rows[0][0]) if rows else ""
