"""The decision log: its entries, its heads, and whether it is whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from plugwarden.contract.value import value

from .answer import Answer

__all__ = ["Accepted", "AuditEntry", "AuditHead", "AuditHeads", "AuditVerdict"]


@value
class AuditEntry(Answer):
    """An entry of one of the two streams."""

    stream: Literal["decisions", "access"]
    """What was done; or who read, asked in vain, or pushed."""
    sequence: int
    """Place in the stream, from 1 without a gap."""
    time: datetime
    kind: str
    """What, such as `quarantined`, `probation`, `released`, `silenced` or `frozen`."""
    actor: str
    """`automation`, or the name of the token; `local operator` where none is needed."""
    scope: str
    """What it is about, in words."""
    reason: str
    """Why, in plain language."""
    evidence: Mapping[str, Any]
    """What was known; not stable."""
    previous_hash: str
    """Hash of the entry before."""
    hash: str
    """Seal of this entry and the one before: HMAC-SHA-256 with the audit key, or a plain hash."""
    says: str | None
    """On whose behalf, as the caller says; nobody checked it."""
    key_id: str | None
    """Which key sealed it; null for entries from before there was a key."""
    quarantine_id: str | None = None
    """Quarantine, silence or incident it belongs to; decisions alone have this field."""
    enforcement: str = ""
    """`observe`, `suggest` or `enforce`; decisions alone have this field."""
    facts: str | None = None
    """What a decision rests on, as JSON text of at most 4 MiB whose SHA-256 is `facts` in the evidence: enough to make it again; not
    stable. Null where it is not kept; only where one decision is asked for."""


AuditEntry.__pydantic_config__ = {**Answer.__pydantic_config__, "json_schema_serialization_defaults_required": False}


@value
class AuditHead(Answer):
    """The newest entry of a stream."""

    sequence: int
    hash: str
    time: datetime | None
    """Null: nothing is in the stream."""


@value
class AuditHeads(Answer):
    """What to keep somewhere else, and to verify against later."""

    chain: str
    """Identity of the chains; it stays when the store is restored."""
    key: str | None
    """Which key seals; null: none does."""
    decisions: AuditHead
    access: AuditHead


@value
class AuditVerdict(Answer):
    """What verification found."""

    valid: bool
    decisions: int
    """Decisions that hold, in order, counted from the first."""
    problem: str | None
    """All problems in one sentence; null when there are none."""
    head: str
    """Hash of the last decision that holds."""
    head_sequence: int
    keyed: int
    """Decisions that are sealed with a key."""
    unkeyed_until: int
    """Decisions up to this one carry a plain hash; 0: none does."""
    access: int
    """Entries of the access log that hold."""
    access_head: str
    problems: list[str]
    notes: list[str]
    """What could not be checked, and other things to know."""


@value
class Accepted(Answer):
    """What was explained."""

    accepted: list[str]
    """What verification had found missing."""
