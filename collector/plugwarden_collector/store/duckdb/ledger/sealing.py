"""Seals entries within one transaction of the writer, and remembers the heads that hold once it is committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

from plugwarden_collector.audit import Head
from plugwarden_collector.audit.entries import DECISIONS, Draft, Keyring

from .chain import append, trim

__all__ = ["Sealing"]


@dataclass(frozen=True, slots=True)
class Sealing:
    """One transaction, and the key that it seals with."""

    connection: duckdb.DuckDBPyConnection
    keyring: Keyring
    heads: dict[str, Head] = field(default_factory=dict)
    """Chain -> newest entry of this transaction."""

    def append(self, drafts: Sequence[Draft], stream: str = DECISIONS) -> None:
        """Put entries onto the end of a chain."""
        self._note(stream, append(self.connection, stream, drafts, self.keyring))

    def trim_access(self, keep: int, at: datetime) -> None:
        """Let all but the newest entries of the access log go."""
        self._note(DECISIONS, trim(self.connection, keep, at, self.keyring))

    def _note(self, stream: str, head: Head | None) -> None:
        if head is not None:
            self.heads[stream] = head
