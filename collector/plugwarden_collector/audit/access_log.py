"""The access log of a running collector: who read with SQL, took a backup, was refused, pushed alerts, started it.

Written in groups by the writer, at most once a second however much is asked, into a chain of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from plugwarden_collector.clock import Clock
from plugwarden_collector.errors import StoreError
from plugwarden_collector.figures import counted
from plugwarden_collector.store import Ledger
from plugwarden_collector.wording import one_line

from .entries import ACCESS, Draft
from .looks import Folding, Seen
from .rules_content import content_of

__all__ = ["AccessLog"]

EVERY_SECONDS = 1.0
MAX_WAITING = 2_000
"""Entries that a store without room has not taken yet; beyond, the oldest go and are counted."""
CLOSE_SECONDS = 2.0
KEPT = 200_000
"""Entries; at ten pages that are always open, two months. To verify as many takes seconds (see audit/looks.py for how few
they are)."""
TRIM_SECONDS = 3600.0
MAX_TEXT = 500
"""Characters of a statement that its entry holds; its digest tells what it was in full."""
MAX_NAMED = 20
"""Alerts of a push that its entry names."""
SAME_RULES = timedelta(days=30)
"""A start records the text of rules again after this long: a collector that crashes over and over must not fill the log."""
_log = logging.getLogger(__name__)


class AccessLog:
    """Takes what was seen from any thread, at the price of a look into a dictionary."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock
        self._lock = threading.Lock()
        self._folding = Folding()
        self._waiting: list[Draft] = []
        self._flushing = asyncio.Lock()
        self.lost = 0
        """Entries that the store never took."""

    @property
    def overflowed(self) -> int:
        """What was counted and not told apart."""
        return self._folding.overflowed

    def note(self, seen: Seen, **evidence: Any) -> None:
        """Something happened."""
        texts = {name: one_line(getattr(seen, name)) for name in ("actor", "scope", "reason")}
        with self._lock:
            self._folding.note(replace(seen, **texts), self._clock(), evidence)

    def sql(self, actor: str, peer: str, statement: str) -> None:
        """Somebody reads with SQL. Values that are bound are not recorded: they may be anybody's."""
        digest = hashlib.sha256(statement.encode("utf-8", "surrogatepass")).hexdigest()
        text = " ".join(statement.split())
        shown = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} …"
        self.note(Seen("sql_read", actor, f"statement {digest[:16]}", shown), peer=peer, sha256=digest)

    def backup(self, actor: str, peer: str) -> None:
        """Somebody takes all there is."""
        self.note(Seen("backup_read", actor, "store", "a backup was asked for"), peer=peer)

    def refused(self, peer: str, where: str, why: str, actor: str | None = None) -> None:
        """Somebody shows no token, an unknown one, or one that may not. The token itself is written nowhere."""
        self.note(Seen("refused", actor or f"stranger at {peer}", where, why), peer=peer)

    def alerts(self, actor: str, peer: str, pushed: Sequence[Mapping[str, Any]]) -> None:
        """Somebody pushed alerts; each of `pushed` has a name, plugin, severity and state."""
        named = sorted(" ".join(str(value)[:80] for value in item.values() if value) for item in pushed)
        digest = hashlib.sha256("\n".join(named).encode("utf-8", "surrogatepass")).hexdigest()
        more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
        text = f"{counted(len(named), 'alert')}: {'; '.join(named[:MAX_NAMED])}{more}"
        self.note(Seen("alerts_pushed", actor, f"alerts {digest[:16]}", text), peer=peer, sha256=digest)

    def started(self, version: str, rules: Path | None) -> None:
        """The collector starts, with these rules. Their text is recorded when it was not of late."""
        loaded = content_of(rules)
        if "sha256" in loaded:
            told = self._ledger.rules_recorded(loaded["sha256"])
            if told is not None and timedelta(0) <= self._clock() - told < SAME_RULES:
                del loaded["content"]
        self.note(Seen("started", "collector", "collector", f"version {version}"), rules=loaded, pid=os.getpid())

    async def flush(self, *, everything: bool = False) -> None:
        """Write what is due; when this returns it is in the log, or waits for a store that has no room."""
        async with self._flushing:
            with self._lock:
                self._waiting += self._folding.due(self._clock(), everything=everything)
            if not self._waiting:
                return
            drafts = list(self._waiting)
            try:
                await asyncio.wrap_future(self._ledger.audit.append(drafts, ACCESS))
            except StoreError as error:
                _log.warning("%d entries of the access log wait: %s", len(drafts), error)
                beyond = max(0, len(self._waiting) - MAX_WAITING)
                del self._waiting[:beyond]
                self.lost += beyond
                return
            except Exception:  # noqa: BLE001 - one entry that no database takes must not stop the others, or the collector
                _log.exception("%d entries of the access log cannot be stored", len(drafts))
                del self._waiting[: len(drafts)]
                self.lost += len(drafts)
                return
            del self._waiting[: len(drafts)]

    async def run_access(self) -> None:
        """Flush now and then, and let old entries go, for as long as the collector runs."""
        trimmed_at = 0.0
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.flush()
            if time.monotonic() - trimmed_at >= TRIM_SECONDS:
                trimmed_at = time.monotonic()
                try:
                    await self.trim(KEPT)
                except StoreError as error:
                    _log.warning("the access log could not be trimmed: %s", error)

    async def trim(self, keep: int) -> None:
        """Let all but the newest entries go."""
        await asyncio.wrap_future(self._ledger.audit.trim_access(keep, self._clock()))

    async def close(self) -> None:
        """Write all that is left."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.flush(everything=True)
        except TimeoutError:
            _log.warning("the access log could not be written out in time")
