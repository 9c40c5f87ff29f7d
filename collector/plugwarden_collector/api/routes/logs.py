"""Log records: the newest, those around one, and those that arrived since.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

import re
from typing import Annotated, Any

from fastapi import HTTPException, Query

from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import Logs
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.render import as_json
from plugwarden_collector.errors import NotFoundError
from plugwarden_collector.store.logs import LogFilter, LogMark
from plugwarden_collector.web.time_range import TimeRange

__all__ = ["log_routes"]

_MARK = re.compile(r"([0-9]{1,19})-([0-9]{1,18})")
_TRACE_ID = re.compile(r"[0-9a-fA-F]{32}")


def log_routes(parts: Parts) -> Routes:
    """Return /api/v1/logs."""
    routes = Routes(tags=["traces"], dependencies=[parts.needs("read")])
    reads, stored = parts.reads, parts.telemetry.logs

    @routes.get("/api/v1/logs", response_model=Logs, responses=problems(404))
    async def logs(
        span: Annotated[TimeRange, parts.time_range],
        plugin: str | None = None,
        min_severity: Annotated[
            int | None, Query(ge=1, le=24, description="OpenTelemetry's number: 9 is INFO, 13 WARN, 17 ERROR")
        ] = None,
        text: str | None = None,
        trace_id: str | None = None,
        after: Annotated[str | None, Query(description="cursor of an answer: what arrived since, of any time")] = None,
        around: Annotated[str | None, Query(description="id of a record: it, and `limit` before and after it")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Any:
        """Log records that match, the newest of the span of time."""
        if trace_id is not None and not _TRACE_ID.fullmatch(trace_id):
            raise HTTPException(422, "trace_id: must be 32 hex digits")
        if after is not None and around is not None:
            raise HTTPException(422, "after: give it or around, not both")
        wanted = LogFilter(plugin, min_severity, text, None if trace_id is None else int(trace_id, 16))
        if after is not None:
            page = await reads.run(stored.after, wanted, _mark("after", after), limit)
        elif around is not None:
            page = await reads.run(stored.around, wanted, _mark("around", around), limit)
            if not page.lines:
                raise NotFoundError(f"no log record {around}: expired, or not arrived yet")
        else:
            page = await reads.run(stored.newest, wanted, span.since, span.until, limit)
        return as_json({"logs": page.lines, "cursor": f"{page.mark.batch}-{page.mark.place}"})

    return routes


def _mark(name: str, text: str) -> LogMark:
    found = _MARK.fullmatch(text)
    if found is None:
        raise HTTPException(422, f"{name}: must be as an answer of this route has it, such as 12-3")
    return LogMark(int(found[1]), int(found[2]))
