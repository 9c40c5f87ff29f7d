"""What decisions rest on, in the database: packed, once for all decisions of a tick, and bounded in all."""

from __future__ import annotations

import logging

import duckdb

from plugwarden_collector.audit.attachment import MOST_PACKED_BYTES, Attachment, digest_of, unpack
from plugwarden_collector.store.duckdb.statements import statement

__all__ = ["MOST_BYTES", "examine_facts", "load_facts", "store_facts"]

MOST_BYTES = 2**30
"""All of them together; then the oldest tenth goes. A decision of the worlds in tests/scenarios takes a thousand bytes, and one of the
largest size that is kept 256 KiB (`audit.attachment`): so many that somebody provokes are 4,096, and of ordinary ones a million."""
ROWS_AT_A_TIME = 64
"""Facts that are read at once when all are: 16 MiB packed at most."""
MOST_NAMED = 5
"""Entries that a sentence names."""
_log = logging.getLogger(__name__)


def store_facts(connection: duckdb.DuckDBPyConnection, sequence: int, facts: Attachment) -> None:
    """Keep what an entry rests on. The caller holds the transaction."""
    values = {"sha256": facts.sha256, "sequence": sequence, "packed": facts.packed}
    connection.execute(statement("store_facts").sql, values)
    if connection.execute(statement("facts_bytes").sql).fetchall()[0][0] > MOST_BYTES:
        connection.execute(statement("trim_facts").sql, {"bytes": MOST_BYTES - MOST_BYTES // 10})


def load_facts(cursor: duckdb.DuckDBPyConnection, sha256: str) -> str | None:
    """Return what entries with this digest rest on; None where it is not kept, and nothing but an empty text where it is damaged."""
    rows = cursor.execute(statement("load_facts").sql, {"sha256": sha256}).fetchall()
    if not rows:
        return None
    try:
        return unpack(rows[0][0])
    except ValueError:
        _log.exception("what decisions rest on (%s) is damaged", sha256)
        return ""


def examine_facts(cursor: duckdb.DuckDBPyConnection) -> tuple[list[str], list[str]]:
    """Return what is wrong with what decisions rest on, and what can be said of it: each is unpacked, and compared with the digest that its
    entry seals.

    The oldest may have been let go of, which only as much as is left tells: with less than that, whoever deleted some is found.
    """
    sql = "select count(*) from duckdb_tables() where table_name = 'decision_facts' and database_name = current_database()"
    if not cursor.execute(sql).fetchall()[0][0]:
        return [], []  # a store of an earlier version that nobody has opened since
    named = {str(sha256): int(sequence) for sha256, sequence in cursor.execute(statement("facts_named").sql).fetchall()}
    whole, changed = set[str](), list[int]()
    reading = cursor.execute(statement("list_facts").sql)
    while rows := reading.fetchmany(ROWS_AT_A_TIME):
        for sha256, packed in rows:
            if _is(sha256, packed):
                whole.add(sha256)
            elif sha256 in named:
                changed.append(named[sha256])
    left = cursor.execute(statement("facts_bytes").sql).fetchall()[0][0]
    first = min((named[sha256] for sha256 in whole if sha256 in named), default=0)
    missing = sorted(set(named.values()) - {named[sha256] for sha256 in whole & named.keys()} - set(changed))
    let_go: list[int] = []
    if left >= MOST_BYTES - MOST_BYTES // 10 - MOST_PACKED_BYTES:
        let_go = [sequence for sequence in missing if sequence < first]
    problems = []
    if changed:
        problems.append(f"decision log: {_basis(sorted(changed))} was changed after it was written")
    if len(missing) > len(let_go):
        problems.append(f"decision log: {_basis(missing[len(let_go) :])} is missing")
    notes = (
        [f"decision log: all that is kept of what decisions rest on ({len(whole)}) is as sealed"] if not changed else []
    )
    if let_go:
        notes.append(f"decision log: {_basis(let_go)} was let go of by its age, or deleted: that cannot be told")
    return problems, notes


def _is(sha256: str, packed: bytes) -> bool:
    """Whether a text is the one that has a digest."""
    try:
        return digest_of(unpack(packed)) == sha256
    except ValueError:
        return False


def _basis(numbers: list[int]) -> str:
    """Return what some entries rest on, in words."""
    if len(numbers) == 1:
        return f"what entry {numbers[0]} rests on"
    more = f" and {len(numbers) - MOST_NAMED} more" if len(numbers) > MOST_NAMED else ""
    return f"what entries {', '.join(map(str, numbers[:MOST_NAMED]))}{more} rest on"
