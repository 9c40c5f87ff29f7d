"""Silences and acknowledgements: of what nobody is told for a while, and what is not told again.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import HTTPException, Query

from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import (
    Acknowledgement,
    AcknowledgementRequest,
    ReasonedRequest,
    Silence,
    SilenceEnd,
    SilenceExtension,
    SilenceMade,
    SilencePreview,
    SilencePreviewRequest,
    SilenceRequest,
)
from plugwarden_collector.api.models.silences import MAX_AHEAD
from plugwarden_collector.api.parts import Parts, actor
from plugwarden_collector.api.plain import columns
from plugwarden_collector.api.render import as_json
from plugwarden_collector.decide import silence as decided
from plugwarden_collector.matcher import matchers_of
from plugwarden_collector.web.auth import Principal

__all__ = ["silence_routes"]


def silence_routes(parts: Parts) -> Routes:
    """Return the routes below /api/v1/silences and /api/v1/acknowledgements."""
    routes = Routes(tags=["judging"])
    acts, warden, hands = parts.acts, parts.warden, parts.hands
    reading, operating = parts.needs("read"), parts.needs("operate")

    @routes.get("/api/v1/silences", response_model=list[Silence], dependencies=[reading])
    async def silences(
        ended_hours: Annotated[
            float, Query(ge=0, le=24 * 366, description="Those that ended within so many hours, too")
        ] = 0,
    ) -> Any:
        """Silences in force and to come; after them those that ended lately, the last first."""
        at = parts.clock()
        found = [item for item in warden.silences if item.ends_at > at]
        if ended_hours:
            found += await parts.reads.run(parts.ledger.ended_silences, at, at - timedelta(hours=ended_hours))
        return as_json([_shown(item, at) for item in found])

    @routes.post("/api/v1/silences", status_code=201, response_model=SilenceMade)
    async def silence(body: SilenceRequest, who: Annotated[Principal, operating]) -> Any:
        """Tell nobody of some alerts for a while; they go on being judged and acted upon."""
        at, matchers = parts.clock(), matchers_of(body.matchers)
        if body.starts_at is not None and body.starts_at > at + MAX_AHEAD:
            raise HTTPException(422, f"starts_at: is more than {MAX_AHEAD.days} days ahead; make it when it is nearer")
        hides = await acts.run(hands.preview, matchers)
        item = await acts.run(
            hands.silence,
            matchers,
            timedelta(seconds=body.seconds),
            body.comment,
            actor(who, body.actor),
            starts_at=body.starts_at,
            owner=body.owner,
        )
        return as_json({**_shown(item, parts.clock()), "hides": hides}, 201)

    @routes.post("/api/v1/silences/preview", response_model=SilencePreview, dependencies=[reading])
    async def silence_preview(body: SilencePreviewRequest) -> Any:
        """What a silence would hide now, and of what of it nobody would be told. Nothing is done."""
        return as_json({"hides": await acts.run(hands.preview, matchers_of(body.matchers))})

    @routes.post("/api/v1/silences/{identity:name}/extend", response_model=SilenceMade, responses=problems(404, 409))
    async def extend_silence(identity: str, body: SilenceExtension, who: Annotated[Principal, operating]) -> Any:
        """Let a silence end later than it would have."""
        length = timedelta(seconds=body.seconds)
        item = await acts.run(hands.extend, identity, length, body.reason, actor(who, body.actor))
        hides = await acts.run(hands.preview, item.matchers)
        return as_json({**_shown(item, parts.clock()), "hides": hides})

    @routes.post("/api/v1/silences/{identity:name}/end", response_model=SilenceEnd, responses=problems(404))
    async def end_silence(identity: str, body: ReasonedRequest, who: Annotated[Principal, operating]) -> Any:
        """Take a silence back."""
        await acts.run(hands.unsilence, identity, body.reason, actor(who, body.actor))
        return as_json({"id": identity})

    @routes.get("/api/v1/acknowledgements", response_model=list[Acknowledgement], dependencies=[reading])
    async def acknowledgements() -> Any:
        """What people know of: acknowledgements that hold."""
        at = parts.clock()
        return as_json([item for item in warden.standing.acknowledgements if item.ends_at > at])

    @routes.post("/api/v1/acknowledgements", status_code=201, response_model=Acknowledgement, responses=problems(404))
    async def acknowledge(body: AcknowledgementRequest, who: Annotated[Principal, operating]) -> Any:
        """Know of something for a while: whoever was told is not told again, and the end is told to all of them."""
        length = timedelta(seconds=body.seconds)
        item = await acts.run(hands.acknowledge, body.subject, length, body.reason, actor(who, body.actor))
        return as_json(item, 201)

    return routes


def _shown(item: decided.Silence, at: datetime) -> dict[str, Any]:
    return {**columns(item), "matchers": [*map(str, item.matchers)], "state": item.state(at)}
