"""The decision log: every act of the automation or of a person, each entry sealed with the hash of the one before.

Entries are sealed with a secret that lies outside of the store (HMAC-SHA-256), so that who can write the store can
neither change an entry nor write the chain anew. Entries from before there was a key carry a plain hash: they show an
accident, and whoever rewrites all of them is found out by a head that was kept elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from .attachment import Attachment

__all__ = ["ACCESS", "DECISIONS", "FACTS", "FACTS_LEFT_OUT", "GENESIS", "UNKEYED", "Decision", "Draft", "Keyring", "SealKey", "Verdict",
           "evidence_of", "examine", "seal", "verify"]  # fmt: skip

GENESIS = "0" * 64
"""The hash before the first entry."""
DECISIONS = "decisions"
"""Chain of what was done, which is kept for ever."""
ACCESS = "access"
"""Chain of who looked, asked in vain or pushed, which is kept for a time."""
FACTS = "facts"
"""Key of an entry's evidence under which the digest of its facts stands."""
FACTS_LEFT_OUT = "facts_left_out"
"""Key under which stands what an entry rests on and does not keep, in words."""
_FORM = "plugwarden audit 2"


@dataclass(frozen=True, slots=True)
class Draft:
    """A decision before it has its place in the chain."""

    at: datetime
    kind: str
    """What was done: `quarantined`, `would_quarantine`, `prevented`, `released`, `common_cause`, `frozen` and others."""
    actor: str
    """`automation`, or the name of the token that was shown."""
    scope: str
    reason: str
    enforcement: str = "enforce"
    quarantine_id: str | None = None
    evidence: Mapping[str, Any] | None = None
    says: str | None = None
    """On whose behalf, as the caller says; nobody checked it."""
    facts: Attachment | None = None
    """What it rests on, kept beside the chain; its digest goes into the evidence, and is sealed with it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One entry of the log."""

    sequence: int
    draft: Draft
    evidence_json: str
    key_id: str | None
    """Which key sealed it; None: a plain hash."""
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class SealKey:
    """A secret, and the name by which entries refer to it."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """16 hex digits that tell keys apart and nothing about them."""
        return hashlib.sha256(b"plugwarden audit key\0" + self.secret).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Keyring:
    """The key that seals, first, and earlier ones that entries may have been sealed with."""

    keys: tuple[SealKey, ...] = ()

    @property
    def current(self) -> SealKey | None:
        """What new entries are sealed with."""
        return self.keys[0] if self.keys else None

    def secrets(self) -> dict[str, bytes]:
        """Id -> secret."""
        return {key.id: key.secret for key in self.keys}


UNKEYED = Keyring()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What could be said of a chain, and what could not."""

    count: int = 0
    """Entries that hold, in order, counted from the first."""
    first: int = 1
    """Sequence of the first entry that is kept; entries before it were let go of by their age."""
    head_sequence: int = 0
    head_hash: str = GENESIS
    """Hash of the last entry that holds."""
    problem: str | None = None
    """What is wrong with the first entry that does not hold."""
    keyed: int = 0
    """Entries whose seal was computed anew with its key."""
    unkeyed_until: int = 0
    """Entries up to this one carry a plain hash, from before there was a key; 0: none does."""
    unknown: tuple[tuple[int, int, str], ...] = ()
    """(first, last, key id): entries whose key is not here, so that only their order could be checked."""


def seal(
    draft: Draft, sequence: int, previous_hash: str, key: SealKey | None = None, stream: str = DECISIONS
) -> Decision:
    """Give a draft its place: HMAC-SHA-256 over its canonical form and the hash before it; BLAKE2b-256 without a key."""
    evidence = evidence_of(draft)
    fields, key_id = _fields(draft, stream), None if key is None else key.id
    secret = None if key is None else key.secret
    digest = _seal(fields, draft.says, evidence, sequence, previous_hash, key_id, secret, stream)
    return Decision(sequence, draft, evidence, key_id, previous_hash, digest)


def evidence_of(draft: Draft) -> str:
    """Return the evidence of a draft as its entry holds it: canonical JSON, with the digest of what it rests on."""
    told = {} if draft.facts is None else {FACTS: draft.facts.sha256}
    return _json({**(draft.evidence or {}), **told})


def verify(rows: Iterable[Mapping[str, Any]], keyring: Keyring = UNKEYED) -> tuple[int, str | None]:
    """How many entries hold, in order, and what is wrong with the first that does not (None: all hold).

    Rows are those of the `decisions` table, by sequence. Of entries whose key is not given, only the order is checked.
    """
    verdict = examine(rows, keyring)
    return verdict.count, verdict.problem


def examine(
    rows: Iterable[Mapping[str, Any]],
    keyring: Keyring = UNKEYED,
    *,
    stream: str = DECISIONS,
    base: tuple[int, str] = (0, GENESIS),
) -> Verdict:
    """Go over a chain from its first entry on. `base` is the sequence and hash of the last entry that was let go of."""
    secrets = keyring.secrets()
    sequence, previous = base
    found = Verdict(first=sequence + 1, head_sequence=sequence, head_hash=previous)
    count, keyed, unkeyed_until, unknown = 0, 0, 0, list[tuple[int, int, str]]()

    def said(problem: str | None) -> Verdict:
        return replace(
            found, count=count, head_sequence=sequence, head_hash=previous, problem=problem, keyed=keyed,
            unkeyed_until=unkeyed_until, unknown=tuple(unknown),
        )  # fmt: skip

    for row in rows:
        here, key_id = int(row["sequence"]), row.get("key_id")
        if here != sequence + 1:
            return said(f"entry {sequence + 1} is missing: the next one there is {here}")
        if not _same(row["previous_hash"], previous):
            return said(f"entry {here} does not follow the entry before it")
        if key_id is None and (keyed or unknown):
            return said(f"entry {here} is not sealed with a key, and entries before it are")
        if key_id is None or key_id in secrets:
            digest = _seal(
                [row["time"].isoformat(), *(row.get(name) for name in _NAMES)], row.get("says"), row["evidence"], here,
                previous, key_id, None if key_id is None else secrets[key_id], stream,
            )  # fmt: skip
            if not _same(digest, row["hash"]):
                return said(f"entry {here} was changed after it was written")
        if key_id is None:
            unkeyed_until = here
        elif key_id in secrets:
            keyed += 1
        elif unknown and unknown[-1][1:] == (here - 1, key_id):
            unknown[-1] = (unknown[-1][0], here, key_id)
        else:
            unknown.append((here, here, str(key_id)))
        sequence, previous, count = here, row["hash"], count + 1
    return said(None)


_NAMES = ("kind", "actor", "scope", "reason", "enforcement", "quarantine_id")


def _fields(draft: Draft, stream: str) -> list[Any]:
    absent = () if stream == DECISIONS else ("enforcement", "quarantine_id")  # columns that only decisions have
    return [draft.at.isoformat(), *(None if name in absent else getattr(draft, name) for name in _NAMES)]


def _seal(
    fields: list[Any], says: str | None, evidence: str, sequence: int, previous_hash: str, key_id: str | None,
    secret: bytes | None, stream: str,
) -> str:  # fmt: skip
    if key_id is None and says is None and stream == DECISIONS:
        return _hash(fields, evidence, sequence, previous_hash)
    # One JSON array of texts, numbers and nulls: no two entries have the same one, whatever their texts hold.
    canonical = json.dumps([_FORM, stream, key_id, sequence, previous_hash, *fields, says, evidence]).encode()
    if secret is None:
        return hashlib.blake2b(canonical, digest_size=32).hexdigest()
    return hmac.new(secret, canonical, hashlib.sha256).hexdigest()


def _hash(fields: list[Any], evidence: str, sequence: int, previous_hash: str) -> str:
    """The plain hash that entries had before there was a key; those that have it keep it."""
    canonical = json.dumps([sequence, previous_hash, *fields, evidence], ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=32).hexdigest()


def _same(one: object, other: object) -> bool:
    return hmac.compare_digest(str(one).encode("utf-8", "replace"), str(other).encode("utf-8", "replace"))


def _json(value: Mapping[str, Any]) -> str:
    """Canonical JSON. Numbers that JSON has not are texts: the database would refuse them, and with them the decision."""
    try:
        return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), sort_keys=True, default=str, ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
