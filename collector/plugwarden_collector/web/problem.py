"""Errors as RFC 9457 problem documents."""

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

__all__ = ["busy", "install", "problem"]

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


def problem(status: int, title: str, detail: str, **more: Any) -> Response:
    """One problem document; `more` are members of its own kind (RFC 9457, 3.2)."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return Response(json.dumps(body), status, media_type="application/problem+json")


def busy(error: BusyError) -> Response:
    """That the caller should come back, and when."""
    _, status, title = next(item for item in _STATUS if isinstance(error, item[0]))
    answer = problem(status, title, str(error))
    answer.headers["retry-after"] = str(error.retry_after_seconds)
    return answer


def install(app: FastAPI) -> None:
    """Answer every error of this application as a problem document."""

    @app.exception_handler(CollectorError)
    async def ours(request: Request, error: CollectorError) -> Response:
        if isinstance(error, BusyError):
            return busy(error)
        for kind, status, title in _STATUS:
            if isinstance(error, kind):
                return problem(status, title, str(error))
        raise error

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        answer = problem(error.status_code, "not possible", str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        texts = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        return problem(422, "the request is not valid", "; ".join(texts))
