"""The decision log of a running collector: sealed with its key, compared with its kept heads, verified on demand."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb

from plugwarden_collector.audit import Head, Heads, Place, Records, read_keyring
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.audit.entries import ACCESS, DECISIONS, Draft, Keyring, Verdict, examine
from plugwarden_collector.audit.lost_key import lost_key
from plugwarden_collector.audit.meeting import NAMES, compare, meet
from plugwarden_collector.errors import SettingsError
from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.rows import fetch_rows
from plugwarden_collector.store.duckdb.statements import statement

from .chain import append, base_of, chain_of, head_of, holds, rows_of

__all__ = ["AuditLog", "AuditReport", "report_on"]

CLOSE_SECONDS = 5.0
SAY_SECONDS = 3600.0
RETRY_SECONDS = 5.0
"""A disk that does not take a head is asked again after this long; until then the record is behind, and says less."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was verified, what is wrong, and what could not be verified."""

    verdicts: dict[str, Verdict]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    """What the verification rests on, and what it could not tell."""

    @property
    def valid(self) -> bool:
        """Whether nothing is wrong and everything could be verified, or was accepted as it is."""
        return not self.problems


class AuditLog:
    """Seals entries, and keeps the heads of both chains outside of the store, a moment behind the commits."""

    def __init__(self, database: Database, place: Place, at: datetime) -> None:
        """Raises `SettingsError` when key or heads cannot be read or kept."""
        self._database = database
        self.place = place
        made = not place.key.exists()
        self.keyring: Keyring = read_keyring(place.key)
        self._records = Records(place.heads)
        with database.reading() as cursor:
            there = {stream: head_of(cursor, stream) for stream in (DECISIONS, ACCESS)}
            folder = database.path.parent.resolve()
            chain = chain_of(cursor)
            self._heads, fresh = meet(
                self._records, chain, folder, there, lambda stream, head: holds(cursor, stream, head), at
            )
            used = fetch_rows(cursor, statement("keys_used").sql)
        self._lost_key = lost_key(used, self.keyring, self._heads.unverified, made=made)
        if self._lost_key is not None:
            _log.error("%s", self._lost_key.text)
        for item in fresh:
            _log.error("%s. `plugwarden audit verify` says so until `plugwarden audit accept`", item.text)
        self._records.save(self._heads)
        self._changed = threading.Condition()
        self._dirty = self._closed = False
        self._verifying = threading.Lock()
        self._verified: AuditReport | None = None
        self._verified_at = 0.0
        self.failures = 0
        """Heads that the disk did not take."""
        self._thread = threading.Thread(target=self._run, name="plugwarden-heads", daemon=True)
        self._thread.start()

    def append(
        self, connection: duckdb.DuckDBPyConnection, drafts: Sequence[Draft], stream: str = DECISIONS
    ) -> Head | None:
        """Seal entries onto a chain, within the writer's transaction; `advance` with the answer once it is committed."""
        return append(connection, stream, drafts, self.keyring)

    def within(self, connection: duckdb.DuckDBPyConnection, drafts: Sequence[Draft]) -> Head | None:
        """Seal decisions within somebody else's transaction; `advance` with the answer once it is committed."""
        return self.append(connection, drafts)

    def advance(self, head: Head | None, stream: str = DECISIONS) -> None:
        """An entry is committed: keep it as the head. Does not wait for the disk."""
        if head is None:
            return
        with self._changed:
            if head.sequence > self._heads.heads[stream].sequence:
                self._heads.heads[stream] = head
                self._dirty = True
                self._changed.notify_all()

    @property
    def heads(self) -> dict[str, Head]:
        """The newest committed entry of each chain."""
        with self._changed:
            return dict(self._heads.heads)

    def told(self) -> dict[str, Any]:
        """The heads as they are printed, exported and sent."""
        found = {
            stream: {"sequence": head.sequence, "hash": head.hash, "time": head.time}
            for stream, head in self.heads.items()
        }
        key = self.keyring.current
        return {"chain": self._heads.chain, "key": None if key is None else key.id, **found}

    def stamp(self) -> dict[str, Any]:
        """What every notification carries, so that its receiver holds a head."""
        return {"auditHead": self.told()[DECISIONS]}

    @property
    def open_breaks(self) -> tuple[str, ...]:
        """Breaks that nobody accepted, in words."""
        with self._changed:
            found = tuple(item.text for item in self._heads.breaks if item.accepted is None)
            return found if self._lost_key is None else (self._lost_key.text, *found)

    def record_lost_key(self, run: Callable[[Any], Future[Any]], at: datetime) -> None:
        """Open the break in the log itself, once for each key that went: whoever reads it later sees where the seals change."""
        lost, current = self._lost_key, self.keyring.current
        if lost is None or current is None:
            return
        evidence = lost.evidence(current.id)
        draft = Draft(at, "key_replaced", "collector", "decision log", lost.text, evidence=evidence)

        def work(connection: duckdb.DuckDBPyConnection) -> Head | None:
            known = [json.loads(row[0]) for row in connection.execute(statement("keys_replaced").sql).fetchall()]
            return None if evidence in known else self.append(connection, [draft])

        self.advance(run(work).result())

    def verify(self, anchor: str | None = None, *, max_age_seconds: float = 0.0) -> AuditReport:
        """Go over both chains with key, kept heads and, when given, the hash of a head that somebody else kept.

        One at a time: it takes seconds where there is much. Who asks often is content with an answer of a while ago.
        """
        with self._verifying:
            age = time.monotonic() - self._verified_at
            if anchor is None and self._verified is not None and age < max_age_seconds:
                return self._verified
            found = self._verify(anchor)
            if anchor is None:
                self._verified, self._verified_at = found, time.monotonic()
            return found

    def _verify(self, anchor: str | None) -> AuditReport:
        with self._changed:  # before the chains are read: what is kept must be in them
            kept = replace(self._heads, heads=dict(self._heads.heads), breaks=list(self._heads.breaks))
        with self._database.reading() as cursor:
            return report_on(cursor, self.keyring, kept, anchor)

    def accept(
        self, run: Callable[[Any], Future[Any]], actor: str, says: str | None, reason: str, at: datetime
    ) -> list[str]:
        """Somebody explains what is broken: recorded in the log, and verification passes over it from here on.

        `run` is the writer's. Return what was accepted.
        """
        found = self.verify()
        with self._changed:
            texts = [item.text for item in self._heads.breaks if item.accepted is None]
        gone = {stream: verdict for stream, verdict in found.verdicts.items() if verdict.unknown}
        unknown = [_unknown(stream, item) for stream, verdict in gone.items() for item in verdict.unknown]
        texts += [text for text in unknown if text in found.problems]
        if not texts:
            return []
        draft = Draft(at, "break_accepted", actor, "decision log", reason, evidence={"accepted": texts}, says=says)
        head = run(lambda connection: self.append(connection, [draft])).result()
        with self._changed:
            who = f"{Actor(actor, says)} on {at:%Y-%m-%d %H:%M}: {reason}"
            self._heads.breaks = [item if item.accepted else replace(item, accepted=who) for item in self._heads.breaks]
            for stream, verdict in gone.items():
                self._heads.unverified[stream] = Head(verdict.head_sequence, verdict.head_hash)
            self._lost_key = None
            self._verified = None
        self.advance(head)
        return texts

    async def run_heads(self) -> None:
        """Say the heads now and then, for as long as the collector runs: whoever keeps its log elsewhere keeps them too."""
        said = self.heads
        while True:
            await asyncio.sleep(SAY_SECONDS)
            if self.heads != said:
                said = self.heads
                _log.info("audit heads: %s", self.line())

    def line(self) -> str:
        """The heads in one line."""
        return "; ".join(
            f"{name} {head.sequence} {head.hash} {head.time or 'never'}" for name, head in self.heads.items()
        )

    def close(self) -> None:
        """Keep the last heads, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._dirty and not self._closed:
                    self._changed.wait()
                if not self._dirty:
                    return
                self._dirty = False
                kept = replace(self._heads, heads=dict(self._heads.heads), breaks=list(self._heads.breaks))
            try:
                self._records.save(kept)
            except SettingsError as error:
                self.failures += 1
                _log.error("%s", error)
                with self._changed:
                    self._dirty = not self._closed
                    self._changed.wait_for(lambda: self._closed, RETRY_SECONDS)


def report_on(
    cursor: duckdb.DuckDBPyConnection, keyring: Keyring, kept: Heads | None, anchor: str | None = None
) -> AuditReport:
    """Verify the chains that a cursor sees. Without kept heads, what is said rests on the keys alone."""
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
                notes.append(f"{_unknown(stream, item)}; that was accepted")
            else:
                problems.append(_unknown(stream, item))
        if kept is not None:
            head = kept.heads[stream]
            text = compare(stream, head, head_of(cursor, stream), holds=holds(cursor, stream, head))
            if text is not None:
                problems.append(text)
            elif head.sequence:
                notes.append(f"{name}: entry {head.sequence}, the head that was kept outside of the store, is there")
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
        found.append(f"{name}: {verdict.keyed} entries are verified with their key{_since(verdict)}")
    if verdict.unkeyed_until:
        found.append(
            f"{name}: unkeyed up to entry {verdict.unkeyed_until}: a plain hash, from before there was a key, which anybody "
            "can compute; only a kept head proves those"
        )
    if verdict.first > 1:
        found.append(f"{name}: entries up to {verdict.first - 1} were let go of by their age, as the decision log says")
    return found


def _since(verdict: Verdict) -> str:
    """Say from where on it holds, when keys of earlier entries are gone."""
    return f", all from entry {verdict.unknown[-1][1] + 1} on" if verdict.unknown else ""


def _unknown(stream: str, item: tuple[int, int, str]) -> str:
    first, last, key = item
    span = f"entries {first} to {last} are" if first < last else f"entry {first} is"
    return (
        f"{NAMES[stream]}: {span} sealed with key {key}, which is not in the key file, so only their order was checked; "
        "add that key below the first one"
    )
