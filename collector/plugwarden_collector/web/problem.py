"""Refusals: RFC 9457 problem documents, and texts where Alertmanager's own API is spoken."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from plugwarden_collector.errors import (
    BusyError,
    CapacityError,
    CollectorError,
    ConflictError,
    MatcherError,
    NotFoundError,
    QueryError,
    QueryTimeoutError,
    RulesError,
    TooManyError,
)

__all__ = ["ALERTMANAGER", "install", "problem"]

ALERTMANAGER = "/api/v2/"
"""Beginning of the paths of Alertmanager's own API."""

_STATUS: tuple[tuple[type[CollectorError], int, str], ...] = (
    (QueryTimeoutError, 504, "the query took too long"),
    (QueryError, 400, "the query cannot be run"),
    (RulesError, 422, "the rules cannot be used"),
    (CapacityError, 422, "the question cannot be answered"),
    (MatcherError, 422, "a matcher cannot be used"),
    (NotFoundError, 404, "not found"),
    (ConflictError, 409, "conflict"),
    (TooManyError, 429, "too many at once"),
    (BusyError, 503, "busy"),
    (CollectorError, 500, "the collector failed"),
)


def problem(path: str, status: int, title: str, detail: str, **more: Any) -> Response:
    """Return the refusal of a request for a path: one problem document, of which `more` are members of its own kind (RFC 9457, 3.2).

    Below `ALERTMANAGER` it is the detail as a JSON string, the only form that amtool shows, with the one status that its API has for
    a request that cannot be used (api/v2/openapi.yaml, 0.25).
    """
    if path.startswith(ALERTMANAGER):
        return Response(json.dumps(detail), 400 if status == 422 else status, media_type="application/json")
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return Response(json.dumps(body), status, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Answer every error of this application as a refusal."""

    @app.exception_handler(CollectorError)
    async def ours(request: Request, error: CollectorError) -> Response:
        status, title = next((status, title) for kind, status, title in _STATUS if isinstance(error, kind))
        answer = problem(request.url.path, status, title, str(error))
        if isinstance(error, BusyError):
            answer.headers["retry-after"] = str(error.retry_after_seconds)
        return answer

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        answer = problem(request.url.path, error.status_code, "not possible", str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        texts = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        return problem(request.url.path, 422, "the request is not valid", "; ".join(texts))
