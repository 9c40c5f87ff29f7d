"""The decision log over HTTP: its entries, its heads, and whether it is whole.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

import heapq
from typing import Annotated, Any, Literal

from fastapi import Path, Query

from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import (
    Accepted,
    AuditEntry,
    AuditHeads,
    AuditVerdict,
    ReasonedRequest,
)
from plugwarden_collector.api.parts import Parts, actor
from plugwarden_collector.api.plain import columns
from plugwarden_collector.api.render import as_json
from plugwarden_collector.api.threads import Room
from plugwarden_collector.audit.entries import ACCESS, DECISIONS, FACTS
from plugwarden_collector.cycle.replay import Replayed, replay
from plugwarden_collector.errors import NotFoundError
from plugwarden_collector.store.ledger import AuditReport
from plugwarden_collector.web.auth import Principal

__all__ = ["audit_routes"]

NEWEST = 2**63 - 1
WAITING = 7
"""Verifications, and replays, that may wait for the one that runs; whoever comes then is told to come back."""


def audit_routes(parts: Parts) -> Routes:
    """Return the routes below /api/v1/audit."""
    router = Routes(tags=["audit"])
    log, flush = parts.audit, parts.access.flush  # what is not yet in the access log is brought into it first
    reading, administering = parts.needs("read"), parts.needs("admin")
    verifying = Room("verification", 1, WAITING)  # of its own: it takes seconds where there is much
    replaying = Room("replay", 1, WAITING)  # likewise: it computes, and nobody who reads waits for it

    @router.get("/api/v1/audit", response_model=list[AuditEntry], dependencies=[reading])
    async def audit(
        limit: Annotated[int, Query(ge=1, le=10_000, description="Of each stream")] = 200,
        stream: Annotated[
            Literal["all", "decisions", "access"],
            Query(description="decisions: what was done; access: who read, asked in vain, or pushed"),
        ] = "all",
        before: Annotated[int, Query(ge=1, le=NEWEST, description="Only entries before this sequence")] = NEWEST,
    ) -> Any:
        """Every entry with its evidence, newest first. Each stream is numbered by itself."""
        if stream != DECISIONS:
            await flush()
        found: list[list[dict[str, Any]]] = []
        if stream != ACCESS:
            decisions = await parts.reads.run(parts.ledger.decisions, before, limit)
            found.append([{"stream": DECISIONS, **columns(row)} for row in decisions])
        if stream != DECISIONS:
            accesses = await parts.reads.run(parts.ledger.accesses, before, limit)
            found.append([{"stream": ACCESS, **columns(row)} for row in accesses])
        # Each in its own order, whatever a clock that was put back says.
        return as_json(list(heapq.merge(*found, key=lambda row: row["time"], reverse=True)))

    @router.get("/api/v1/audit/head", response_model=AuditHeads, dependencies=[reading])
    async def audit_head() -> Any:
        """The newest entry of each stream: keep it somewhere else, and verify against it later."""
        await flush()
        return as_json(log.told())

    @router.get("/api/v1/audit/verify", response_model=AuditVerdict, dependencies=[reading])
    async def audit_verify(
        anchor: Annotated[
            str | None, Query(pattern="^[0-9a-f]{64}$", description="The hash of a head that somebody kept")
        ] = None,
        max_age_seconds: Annotated[
            float, Query(ge=0, le=3600, description="An answer of so long ago will do; 0: verify now")
        ] = 0,
    ) -> Any:
        """Go over both streams with the key, the heads kept outside of the store, and an anchor."""
        return as_json(_answer(await verifying.run(log.verify, anchor, max_age_seconds=max_age_seconds)))

    @router.post("/api/v1/audit/accept", response_model=Accepted, responses=problems(409))
    async def audit_accept(body: ReasonedRequest, who: Annotated[Principal, administering]) -> Any:
        """Explain what verification finds missing, such as a store that was put back by hand. It is recorded for ever."""
        texts = await parts.acts.run(log.accept, actor(who, body.actor), body.reason, parts.clock())
        return as_json({"accepted": texts})

    @router.get("/api/v1/audit/{sequence}", response_model=AuditEntry, responses=problems(404), dependencies=[reading])
    async def audit_entry(sequence: Annotated[int, Path(ge=1, le=NEWEST)]) -> Any:
        """One decision with what it rests on, from which `plugwarden audit replay` makes it again."""
        return as_json(await entry(sequence))

    @router.get(
        "/api/v1/audit/{sequence}/replay", response_model=Replayed, responses=problems(404), dependencies=[reading]
    )
    async def audit_replay(sequence: Annotated[int, Path(ge=1, le=NEWEST)]) -> Any:
        """One decision made again from nothing but its own entry, as `plugwarden audit replay` does it: is the result the same?"""
        return as_json(await replaying.run(replay, await entry(sequence)))

    async def entry(sequence: int) -> dict[str, Any]:
        row = await parts.reads.run(parts.ledger.decision, sequence)
        if row is None:
            raise NotFoundError(f"there is no decision {sequence}; `plugwarden audit list` lists them")
        sha256 = row.evidence.get(FACTS)
        facts = await parts.reads.run(parts.ledger.facts, sha256) if isinstance(sha256, str) else None
        return {"stream": DECISIONS, **columns(row), "facts": facts}

    return router


def _answer(report: AuditReport) -> dict[str, Any]:
    decisions, access = report.verdicts[DECISIONS], report.verdicts[ACCESS]
    return {
        "valid": report.valid,
        "decisions": decisions.count,
        "problem": "; ".join(report.problems) or None,
        "head": decisions.head_hash,
        "head_sequence": decisions.head_sequence,
        "keyed": decisions.keyed,
        "unkeyed_until": decisions.unkeyed_until,
        "access": access.count,
        "access_head": access.head_hash,
        "problems": report.problems,
        "notes": report.notes,
    }
