"""CloudEvents 1.0 in structured JSON: which decisions are events, and what one reads like. Pure.

Attributes are those of CloudEvents v1.0.2 (https://github.com/cloudevents/spec), and of its extension for a sequence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from plugwarden_collector.store.ledger_rows import DecisionRow
from plugwarden_collector.wording import harmless

from ..event import Event

__all__ = ["CONTENT_TYPE", "MAX_EVIDENCE_BYTES", "event_of", "source_of_events"]

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
"""Content type of one event in structured mode."""
MAX_EVIDENCE_BYTES = 32_768
"""Bytes of evidence in an event: half of the 64 KiB that everybody who passes an event on must take (the specification, Size Limits)."""
MAX_ITEMS = 10
"""Entries of one list of evidence; the decision log has all of them."""

_FAMILIES = {"q": "quarantine", "i": "incident", "s": "silence", "k": "acknowledgement"}
"""Beginning of the id of what a decision is about -> what that is."""
_KINDS = {"prevented": "quarantine", "would_quarantine": "quarantine", "frozen": "automation", "unfrozen": "automation"}
"""Decisions that are about nothing with an id, and are transitions all the same."""


def source_of_events(epoch: str) -> str:
    """Return the `source` of a collector's events: the identity of its store, as a URI."""
    try:
        return UUID(epoch).urn
    except ValueError:  # no store of ours has one, and a start must not fail for it
        return uuid5(NAMESPACE_URL, epoch).urn


def event_of(row: DecisionRow, source: str) -> Event | None:
    """Return the event of a decision; None where it is no transition, such as rules that were loaded.

    `source` and `id` are the same whenever the event is sent, so that a receiver knows a repetition.
    """
    family = _KINDS.get(row.kind) or _FAMILIES.get((row.quarantine_id or "").partition("-")[0])
    if family is None:
        return None
    # An incident's scope grows, and a silence's is what it matches: what they are about is themselves.
    subject = row.scope if family in {"quarantine", "automation"} else str(row.quarantine_id)
    body = {
        "specversion": "1.0",
        "type": f"dev.plugwarden.{family}.{row.kind}",
        "source": source,
        "id": f"{row.sequence}-{row.hash}",
        "subject": harmless(subject),  # no attribute may hold control characters (the specification, Type System)
        "time": row.time.isoformat() + "Z",
        "sequence": f"{row.sequence:020d}",
        "datacontenttype": "application/json",
        "data": {
            "kind": row.kind,
            "scope": row.scope,
            "identity": row.quarantine_id,
            "reason": row.reason,
            "actor": row.actor,
            "says": row.says,
            "enforcement": row.enforcement,
            "evidence": _summary(row.evidence),
            "log": {"sequence": row.sequence, "hash": row.hash, "previous_hash": row.previous_hash},
        },
    }
    return Event(row.sequence, subject, json.dumps(body, default=str))


def _summary(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence with its lists cut, and without what there is no room for; `left_out` names that."""
    found: dict[str, Any] = {}
    left_out: list[str] = []
    room = MAX_EVIDENCE_BYTES
    for key, value in evidence.items():
        short = value[:MAX_ITEMS] if isinstance(value, list) else value
        taken = len(json.dumps({key: short}, default=str))
        if taken > room:
            left_out.append(key[:200])
            continue
        room -= taken
        found[key] = short
    return {**found, "left_out": left_out[:MAX_ITEMS]} if left_out else found
