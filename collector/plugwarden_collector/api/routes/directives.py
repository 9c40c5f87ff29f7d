"""What sidecars obey: asked for, or as a stream.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response, StreamingResponse

from plugwarden_collector.api.described import REFERENCE, Routes, sends
from plugwarden_collector.api.models import Directives
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.render import as_json
from plugwarden_collector.web.auth import Principal

__all__ = ["directive_routes"]

MAX_WAIT_SECONDS = 60.0
KEEP_ALIVE_SECONDS = 15.0
NOTHING_NEW: dict[int | str, dict[str, Any]] = {204: {"description": "There is no newer revision"}}
EVENTS = sends(
    "text/event-stream",
    itemSchema={
        "type": "object",
        "required": ["id", "event", "data"],
        "properties": {
            "id": {"type": "string", "description": "The revision"},
            "event": {"const": "directives"},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": REFERENCE.format(model="Directives")},
            },
        },
    },
)
_log = logging.getLogger(__name__)


def directive_routes(parts: Parts) -> Routes:
    """Return the routes below /api/v1/directives."""
    routes = Routes(tags=["directives"])
    board, listening = parts.board, parts.needs("directives")
    overpowered: set[str] = set()  # tokens that were warned of; there are as many as were configured

    @routes.get("/api/v1/directives", response_model=Directives, responses=NOTHING_NEW)
    async def directives(
        request: Request,
        who: Annotated[Principal, listening],
        after: Annotated[int, Query(ge=0)] = 0,
        epoch: str = "",
        wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS)] = 0,
        service: str = "",
        instance: str = "",
    ) -> Response:
        """What sidecars obey. Held until there is a revision after `after`, or for `wait` seconds (then 204)."""
        board.heard_from(service, instance)
        if parts.tokens and instance and who.may("operate") and who.name not in overpowered:
            overpowered.add(who.name)
            _log.warning(
                "a sidecar of %s holds the token %s, which may operate: every plugin of that host could release itself. Give hosts "
                "PLUGWARDEN_INGEST_TOKEN, or one of PLUGWARDEN_TOKENS_FILE with the scopes ingest,directives",
                ascii(service[:200]),
                who.name,
            )
        found = await board.wait_beyond(epoch, after, wait)
        return Response(status_code=204) if found is None else as_json(found.as_dict())

    @routes.get("/api/v1/directives/stream", dependencies=[listening], response_class=Response, responses=EVENTS)
    async def directive_stream(request: Request) -> Response:
        """The same as server-sent events: one event per revision, comments in between to keep the line open."""

        async def events() -> AsyncIterator[str]:
            epoch, revision = "", -1
            while not board.closing and not await request.is_disconnected():
                found = await board.wait_beyond(epoch, revision, KEEP_ALIVE_SECONDS)
                if found is None:
                    yield ": still here\n\n"
                    continue
                epoch, revision = found.epoch, found.revision
                yield f"id: {revision}\nevent: directives\ndata: {json.dumps(found.as_dict())}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    return routes
