"""The decision log: every act of the automation or of a person, each entry sealed with the hash of the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["GENESIS", "Decision", "Draft", "seal", "verify"]

GENESIS = "0" * 64
"""The hash before the first entry."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A decision before it has its place in the chain."""

    at: datetime
    kind: str
    """What was done: `quarantined`, `would_quarantine`, `prevented`, `released`, `common_cause`, `frozen`, ..."""
    actor: str
    scope: str
    reason: str
    enforcement: str = "enforce"
    quarantine_id: str | None = None
    evidence: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One entry of the log."""

    sequence: int
    draft: Draft
    evidence_json: str
    previous_hash: str
    hash: str


def seal(draft: Draft, sequence: int, previous_hash: str) -> Decision:
    """Give a draft its place: BLAKE2b-256 over its canonical form and the hash before it."""
    evidence = json.dumps(draft.evidence or {}, sort_keys=True, default=str, ensure_ascii=False)
    return Decision(sequence, draft, evidence, previous_hash, _hash(_fields(draft), evidence, sequence, previous_hash))


def verify(rows: Iterable[Mapping[str, Any]]) -> tuple[int, str | None]:
    """How many entries hold, in order, and what is wrong with the first that does not (None: all hold).

    Rows are those of the `decisions` table, by sequence.
    """
    previous, count = GENESIS, 0
    for row in rows:
        sequence = int(row["sequence"])
        if sequence != count + 1:
            return count, f"entry {count + 1} is missing: the next one there is {sequence}"
        if row["previous_hash"] != previous:
            return count, f"entry {sequence} does not follow the entry before it"
        fields = [
            row["time"].isoformat(),
            *(row[name] for name in ("kind", "actor", "scope", "reason", "enforcement", "quarantine_id")),
        ]
        if _hash(fields, row["evidence"], sequence, previous) != row["hash"]:
            return count, f"entry {sequence} was changed after it was written"
        previous, count = row["hash"], count + 1
    return count, None


def _fields(draft: Draft) -> list[Any]:
    return [
        draft.at.isoformat(),
        draft.kind,
        draft.actor,
        draft.scope,
        draft.reason,
        draft.enforcement,
        draft.quarantine_id,
    ]


def _hash(fields: list[Any], evidence: str, sequence: int, previous_hash: str) -> str:
    canonical = json.dumps([sequence, previous_hash, *fields, evidence], ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=32).hexdigest()
