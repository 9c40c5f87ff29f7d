"""The HTTP API: what is stored, what is decided, and what people decide. One router a noun, in routes/."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from plugwarden_collector import __version__
from plugwarden_collector.web import problem
from plugwarden_collector.web.body_limit import limit_bodies
from plugwarden_collector.web.door import door
from plugwarden_collector.web.paths import keep_names

from .described import Document, operation_id
from .parts import Parts
from .routes import ROUTERS

__all__ = ["Parts", "api_app"]


def api_app(parts: Parts) -> FastAPI:
    """Return the ASGI application for port 8420."""
    app = FastAPI(
        title="Plugwarden collector",
        version=__version__,
        description="Plugin health, error budgets, alerts, quarantine and its audit.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,
    )
    problem.install(app)
    app.add_middleware(limit_bodies)
    app.add_middleware(door(parts.tokens))
    app.add_middleware(parts.calls.counting)
    app.add_middleware(keep_names)
    answers: dict[str, Any] = {}
    for routes in ROUTERS:
        made = routes(parts)
        app.include_router(made)
        answers |= made.answers
    document = Document(app, answers)

    async def described(_: Request) -> Response:
        return Response(await asyncio.to_thread(document), media_type="application/json")

    app.add_route("/openapi.json", described, include_in_schema=False)
    return app
