"""Silences: whom nobody is told about for a while.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import ReasonedRequest, Silence, SilenceEnd, SilenceRequest
from plugwarden_collector.api.parts import Parts, actor
from plugwarden_collector.api.render import as_json
from plugwarden_collector.web.auth import Principal

__all__ = ["silence_routes"]


def silence_routes(parts: Parts) -> Routes:
    """Return the routes below /api/v1/silences."""
    routes = Routes(tags=["judging"])
    acts, warden = parts.acts, parts.warden
    reading, operating = parts.needs("read"), parts.needs("operate")

    @routes.get("/api/v1/silences", response_model=list[Silence], dependencies=[reading])
    async def silences() -> Any:
        """Silences in force."""
        at = parts.clock()
        return as_json([asdict(item) for item in warden.silences if item.ends_at > at])

    @routes.post("/api/v1/silences", status_code=201, response_model=Silence)
    async def silence(body: SilenceRequest, who: Annotated[Principal, operating]) -> Any:
        """Tell nobody of some alerts for a while; they go on being judged and acted upon."""
        length = timedelta(seconds=body.seconds)
        item = await acts.run(warden.silence, body.matchers, length, body.comment, actor(who, body.actor))
        return as_json(asdict(item), 201)

    @routes.post("/api/v1/silences/{identity:name}/end", response_model=SilenceEnd, responses=problems(404))
    async def end_silence(identity: str, body: ReasonedRequest, who: Annotated[Principal, operating]) -> Any:
        """Take a silence back."""
        await acts.run(warden.unsilence, identity, body.reason, actor(who, body.actor))
        return as_json({"id": identity})

    return routes
