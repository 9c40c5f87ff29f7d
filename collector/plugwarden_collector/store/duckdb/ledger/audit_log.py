"""The decision log of a running collector: sealed with its key, compared with its kept heads, verified on demand."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any, TypeVar

import duckdb

from plugwarden_collector.audit import Head, Place, Records, read_keyring
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.audit.entries import ACCESS, DECISIONS, Draft, Keyring
from plugwarden_collector.audit.head_keeper import HeadKeeper
from plugwarden_collector.audit.lost_key import lost_key
from plugwarden_collector.audit.meeting import meet
from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.rows import fetch_rows
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.duckdb.write.writer import Writer
from plugwarden_collector.store.ledger import AuditReport

from .chain import chain_of, head_of, holds
from .report import report_on, unknown_text
from .sealing import Sealing

__all__ = ["AuditLog"]

SAY_SECONDS = 3600.0
"""Seconds between two log lines that say the heads."""
T = TypeVar("T")
_log = logging.getLogger(__name__)


class AuditLog:
    """Both chains of a store; the port `Audit` for DuckDB. Everything that seals goes through `run`, which keeps the heads."""

    def __init__(self, database: Database, writer: Writer, place: Place, at: datetime) -> None:
        """Raises `SettingsError` when key or heads cannot be read or kept."""
        self._database, self._writer = database, writer
        made = not place.key.exists()
        self.keyring: Keyring = read_keyring(place.key)
        records = Records(place.heads)
        with database.reading() as cursor:
            there = {stream: head_of(cursor, stream) for stream in (DECISIONS, ACCESS)}
            folder = database.path.parent.resolve()
            heads, fresh = meet(
                records, chain_of(cursor), folder, there, lambda stream, head: holds(cursor, stream, head), at
            )
            used = fetch_rows(cursor, statement("keys_used").sql)
        self._lost_key = lost_key(used, self.keyring, heads.unverified, made=made)
        if self._lost_key is not None:
            _log.error("%s", self._lost_key.text)
        for item in fresh:
            _log.error("%s. `plugwarden audit verify` says so until `plugwarden audit accept`", item.text)
        self._verifying = threading.Lock()
        self._verified: AuditReport | None = None
        self._verified_at = 0.0
        self._keeper = HeadKeeper(records, heads)

    def run(self, work: Callable[[Sealing], T], *, first: bool = False) -> Future[T]:
        """Do work that may seal entries in a transaction of its own; the heads are kept once it is committed."""
        sealed: list[Sealing] = []

        def turn(connection: duckdb.DuckDBPyConnection) -> T:
            sealed.append(Sealing(connection, self.keyring))
            return work(sealed[-1])

        return self._writer.run(turn, lambda _: self._keeper.advance(sealed[-1].heads), first=first)

    def append(self, drafts: Sequence[Draft], stream: str = DECISIONS) -> Future[None]:
        """Seal entries onto the end of a chain, all or none."""
        return self.run(lambda sealing: sealing.append(drafts, stream))

    def within(self, connection: duckdb.DuckDBPyConnection, drafts: Sequence[Draft]) -> Mapping[str, Head]:
        """Seal decisions within somebody else's transaction; `advance` with the answer once it is committed."""
        sealing = Sealing(connection, self.keyring)
        sealing.append(drafts)
        return sealing.heads

    def advance(self, heads: Mapping[str, Head]) -> None:
        """Take entries that are committed for the heads of their chains. Does not wait for the disk."""
        self._keeper.advance(heads)

    def trim_access(self, keep: int, at: datetime) -> Future[None]:
        """Let all but the newest entries of the access log go, and say so in the decision log; nothing where few would go."""
        return self.run(lambda sealing: sealing.trim_access(keep, at))

    @property
    def heads(self) -> Mapping[str, Head]:
        """The newest committed entry of each chain."""
        return self._keeper.kept.heads

    @property
    def failures(self) -> int:
        """Heads that the disk did not take."""
        return self._keeper.failures

    @property
    def open_breaks(self) -> tuple[str, ...]:
        """Breaks that nobody accepted, in words."""
        found, lost = self._keeper.open_breaks, self._lost_key
        return found if lost is None else (lost.text, *found)

    def told(self) -> dict[str, Any]:
        """Return the heads as they are printed, exported and sent, with the chain's identity and the key's."""
        kept, key = self._keeper.kept, self.keyring.current
        found = {
            stream: {"sequence": head.sequence, "hash": head.hash, "time": head.time}
            for stream, head in kept.heads.items()
        }
        return {"chain": kept.chain, "key": None if key is None else key.id, **found}

    def stamp(self) -> dict[str, Any]:
        """Return what every notification carries, so that its receiver holds a head."""
        return {"auditHead": self.told()[DECISIONS]}

    def record_lost_key(self, at: datetime) -> Future[None]:
        """Open the break of a key that is gone in the log itself, once for each such key: whoever reads it later sees where the
        seals change."""
        lost, current = self._lost_key, self.keyring.current
        if lost is None or current is None:
            done: Future[None] = Future()
            done.set_result(None)
            return done
        evidence = lost.evidence(current.id)
        draft = Draft(at, "key_replaced", "collector", "decision log", lost.text, evidence=evidence)

        def work(sealing: Sealing) -> None:
            known = sealing.connection.execute(statement("keys_replaced").sql).fetchall()
            if evidence not in [json.loads(row[0]) for row in known]:
                sealing.append([draft])

        return self.run(work)

    def verify(self, anchor: str | None = None, *, max_age_seconds: float = 0.0) -> AuditReport:
        """Return what going over both chains with key, kept heads and, when given, the hash of a kept head found.

        One at a time: it takes seconds where there is much. Who asks often is content with an answer of a while ago.
        """
        with self._verifying:
            age = time.monotonic() - self._verified_at
            if anchor is None and self._verified is not None and age < max_age_seconds:
                return self._verified
            kept = self._keeper.kept  # before the chains are read: what is kept must be in them
            with self._database.reading() as cursor:
                found = report_on(cursor, self.keyring, kept, anchor)
            if anchor is None:
                self._verified, self._verified_at = found, time.monotonic()
            return found

    def accept(self, actor: Actor, reason: str, at: datetime) -> list[str]:
        """Record that somebody explains what is broken: verification passes over it from here on. Return what was accepted."""
        found = self.verify()
        texts = list(self._keeper.open_breaks)
        gone = {stream: verdict for stream, verdict in found.verdicts.items() if verdict.unknown}
        unknown = [unknown_text(stream, item) for stream, verdict in gone.items() for item in verdict.unknown]
        texts += [text for text in unknown if text in found.problems]
        if not texts:
            return []
        evidence = {"accepted": texts}
        draft = Draft(at, "break_accepted", actor.name, "decision log", reason, evidence=evidence, says=actor.says)
        self.append([draft]).result()
        unverified = {stream: Head(verdict.head_sequence, verdict.head_hash) for stream, verdict in gone.items()}
        self._keeper.accept(f"{actor} on {at:%Y-%m-%d %H:%M}: {reason}", unverified)
        self._lost_key = self._verified = None
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
        """Return the heads in one line."""
        return "; ".join(
            f"{name} {head.sequence} {head.hash} {head.time or 'never'}" for name, head in self.heads.items()
        )

    def close(self) -> None:
        """Keep the last heads."""
        self._keeper.close()
