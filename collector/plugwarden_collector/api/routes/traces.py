"""Traces: searched for, or one by its id.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

import re
from typing import Annotated, Any

from fastapi import HTTPException, Query

from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import Trace, TraceSummary
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.render import as_json
from plugwarden_collector.errors import NotFoundError
from plugwarden_collector.store.traces import TraceFilter
from plugwarden_collector.web.time_range import TimeRange

__all__ = ["trace_routes"]

_TRACE_ID = re.compile(r"[0-9a-fA-F]{32}")
"""Python's own reading of numbers also takes signs, underscores, spaces and digits of other scripts."""


def trace_routes(parts: Parts) -> Routes:
    """Return the routes below /api/v1/traces."""
    routes = Routes(tags=["traces"], dependencies=[parts.needs("read")])
    reads, stored = parts.reads, parts.telemetry.traces

    @routes.get("/api/v1/traces", response_model=list[TraceSummary])
    async def traces(
        span: Annotated[TimeRange, parts.time_range],
        plugin: str | None = None,
        version: str | None = None,
        operation: str | None = None,
        outcome: str | None = None,
        text: str | None = None,
        min_seconds: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None,
        max_seconds: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Any:
        """Traces that hold a matching span, newest first."""
        wanted = TraceFilter(plugin, version, outcome, text, min_seconds, max_seconds, operation)
        return as_json(await reads.run(stored.search, wanted, span.since, span.until, limit))

    @routes.get("/api/v1/traces/{trace_id:name}", response_model=Trace, responses=problems(404))
    async def trace(trace_id: str) -> Any:
        """All spans and log records of one trace."""
        if not _TRACE_ID.fullmatch(trace_id):
            raise HTTPException(422, "trace_id: must be 32 hex digits")
        found = await reads.run(stored.find, int(trace_id, 16))
        if not found.spans and not found.logs:
            raise NotFoundError(f"no trace {trace_id}: sampled out, expired, or not arrived yet")
        return as_json({"trace_id": trace_id, "span_count": found.span_count, "spans": found.spans, "logs": found.logs})

    return routes
