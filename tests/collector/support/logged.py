"""A decision as the API gives its entry."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from plugwarden_collector.audit.attachment import unpack
from plugwarden_collector.audit.entries import Draft, evidence_of


def entry_of(draft: Draft) -> dict[str, Any]:
    """Return the fields of an entry, with what it rests on."""
    told = {name: value for name, value in asdict(draft).items() if name not in ("at", "facts", "evidence")}
    facts = None if draft.facts is None else unpack(draft.facts.packed)
    return {**told, "evidence": json.loads(evidence_of(draft)), "facts": facts}
