"""Verifies the chains that a cursor sees, and says in words what holds, what does not, and what that rests on."""

from __future__ import annotations

import duckdb

from plugwarden_collector.audit import Head, Heads
from plugwarden_collector.audit.entries import ACCESS, DECISIONS, Keyring, Verdict, examine
from plugwarden_collector.audit.meeting import NAMES, compare
from plugwarden_collector.figures import counted
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.ledger import AuditReport

from .chain import base_of, head_of, holds, rows_of
from .decision_facts import examine_facts

__all__ = ["report_on", "unknown_text"]


def report_on(
    cursor: duckdb.DuckDBPyConnection, keyring: Keyring, kept: Heads | None, anchor: str | None = None
) -> AuditReport:
    """Return what verifying the chains that a cursor sees found. Without kept heads, what is said rests on the keys alone."""
    problems, notes, verdicts = list[str](), list[str](), dict[str, Verdict]()
    for stream in (DECISIONS, ACCESS):
        verdict = examine(rows_of(cursor, stream), keyring, stream=stream, base=base_of(cursor, stream))
        verdicts[stream] = verdict
        name = NAMES[stream]
        if verdict.problem is not None:
            problems.append(f"{name}: {verdict.problem}")
        notes.extend(_basis(name, verdict))
        accepted = Head() if kept is None else kept.unverified.get(stream, Head())
        for item in verdict.unknown:
            if item[1] <= accepted.sequence and holds(cursor, stream, accepted):
                notes.append(f"{unknown_text(stream, item)}; that was accepted")
            else:
                problems.append(unknown_text(stream, item))
        if kept is not None:
            head = kept.heads[stream]
            text = compare(stream, head, head_of(cursor, stream), holds=holds(cursor, stream, head))
            if text is not None:
                problems.append(text)
            elif head.sequence:
                notes.append(f"{name}: entry {head.sequence}, the head that was kept outside of the store, is there")
    wrong, said = examine_facts(cursor)
    problems += wrong
    notes += said
    if kept is None:
        notes.append("no head of this log is kept here: whether its end is missing cannot be told; see --anchor")
    else:
        for known in kept.breaks:
            (notes if known.accepted else problems).append(
                f"{known.text}{f'; accepted by {known.accepted}' if known.accepted else ''}"
            )
    if anchor is not None:
        problems.extend(_against(cursor, anchor, notes))
    return AuditReport(verdicts, tuple(problems), tuple(notes))


def _against(cursor: duckdb.DuckDBPyConnection, anchor: str, notes: list[str]) -> list[str]:
    rows = cursor.execute(statement("entry_of_hash").sql, {"hash": anchor}).fetchall()
    if not rows:
        return [f"the anchor {anchor[:16]}… is in neither log: the entry that had it was changed or is missing"]
    notes.extend(f"the anchor is entry {sequence} of {NAMES[stream]}, of {time}" for stream, sequence, time in rows)
    return []


def _basis(name: str, verdict: Verdict) -> list[str]:
    found = []
    if verdict.keyed:
        found.append(
            f"{name}: {counted(verdict.keyed, 'entry is verified with its', 'entries are verified with their')} key{_since(verdict)}"
        )
    if verdict.unkeyed_until:
        found.append(
            f"{name}: unkeyed up to entry {verdict.unkeyed_until}: a plain hash, from before there was a key, which anybody "
            "can compute; only a kept head proves those"
        )
    if verdict.first > 1:
        found.append(f"{name}: entries up to {verdict.first - 1} were let go of by their age, as the decision log says")
    return found


def _since(verdict: Verdict) -> str:
    """From where on, when keys of earlier entries are gone."""
    return f", all from entry {verdict.unknown[-1][1] + 1} on" if verdict.unknown else ""


def unknown_text(stream: str, item: tuple[int, int, str]) -> str:
    """Return what is wrong with entries (first, last, key id) whose key is not here."""
    first, last, key = item
    span = f"entries {first} to {last} are" if first < last else f"entry {first} is"
    return (
        f"{NAMES[stream]}: {span} sealed with key {key}, which is not in the key file, so only their order was checked; "
        "add that key below the first one"
    )
