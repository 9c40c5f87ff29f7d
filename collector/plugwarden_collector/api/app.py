"""The HTTP API: what is stored, what is decided, and what people decide. Scopes are checked here and nowhere else.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from plugwarden.contract import Scope
from prometheus_client.registry import CollectorRegistry
from starlette.responses import Response, StreamingResponse

from plugwarden_collector import __version__
from plugwarden_collector.announce.board import Board
from plugwarden_collector.api.routes.audit import audit_router
from plugwarden_collector.api.routes.backup import backup_router
from plugwarden_collector.api.routes.health import health_routes
from plugwarden_collector.api.routes.pushed_alerts import pushed_routes
from plugwarden_collector.api.routes.upkeep import upkeep_routes
from plugwarden_collector.audit.access_log import AccessLog
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.clock import Clock
from plugwarden_collector.control.live import Warden
from plugwarden_collector.control.upkeep import Upkeep
from plugwarden_collector.decide.silence import silenced_by
from plugwarden_collector.errors import NotFoundError
from plugwarden_collector.health import HealthWatch
from plugwarden_collector.pushed import PushedAlerts
from plugwarden_collector.store import Database, Writer, statement
from plugwarden_collector.store.duckdb.ledger.audit_log import AuditLog
from plugwarden_collector.store.duckdb.traces.search import TraceFilter, failing_spans, find_trace, search_traces
from plugwarden_collector.web import problem
from plugwarden_collector.web.auth import Principal, TokenBook
from plugwarden_collector.web.body_limit import limit_bodies
from plugwarden_collector.web.door import door
from plugwarden_collector.web.paths import keep_names
from plugwarden_collector.web.time_range import TimeRange

from .answers import parsed, rules_answer, with_state
from .models import AutomationRequest, QuarantineRequest, ReleaseRequest, SilenceRequest
from .render import as_json
from .request_counts import ApiCalls
from .routes import query as sql
from .threads import Room

__all__ = ["api_app"]

MAX_WAIT_SECONDS = 60.0
KEEP_ALIVE_SECONDS = 15.0
_TRACE_ID = re.compile(r"[0-9a-fA-F]{32}")
"""Python's own reading of numbers also takes signs, underscores, spaces and digits of other scripts."""
ACT_THREADS, READ_THREADS = 2, 2
WAITING = 256
"""Calls that may wait for a thread; each page of a dashboard asks for about ten things."""
_log = logging.getLogger(__name__)


def api_app(
    database: Database,
    writer: Writer,
    warden: Warden,
    board: Board,
    tokens: TokenBook,
    registry: CollectorRegistry,
    clock: Clock,
    ready: Callable[[], str | None],
    health: HealthWatch,
    calls: ApiCalls,
    pushed: PushedAlerts,
    audit: AuditLog,
    access: AccessLog,
) -> FastAPI:
    """The ASGI application for port 8420. `ready` answers why the collector is not ready, or None."""
    app = FastAPI(
        title="Plugwarden collector",
        version=__version__,
        description="Plugin health, error budgets, alerts, quarantine and its audit.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problem.install(app)

    def needs(scope: str) -> Any:
        def check(request: Request) -> Principal:
            principal = tokens.principal(request.headers.get("authorization"))
            if principal is None:
                why = "an unknown token" if request.headers.get("authorization") else "no token"
                access.refused(_peer(request), _route(request), why)
                raise HTTPException(401, "send `Authorization: Bearer TOKEN`", {"www-authenticate": "Bearer"})
            if not principal.may(scope):
                access.refused(_peer(request), _route(request), f"lacks the scope {scope}", principal.name)
                raise HTTPException(403, f"this token lacks the scope {scope!r}")
            request.state.principal = principal
            return principal

        return Depends(check)

    scopes = ("read", "operate", "admin", "directives")
    reading, operating, administering, listening = (needs(scope) for scope in scopes)

    acts, reads = Room("act", ACT_THREADS, WAITING), Room("read", READ_THREADS, WAITING)

    async def rows(name: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        return await reads.run(database.fetch, statement(name), parameters)

    def spanned(span: TimeRange, *, step: float = 60.0) -> dict[str, Any]:
        # A chart with points closer than a minute wants seconds; everything else wants few rows.
        return database.tiers.span(span.since, span.until, finest=step < 60.0)

    Span = Annotated[TimeRange, Depends(_time_range(clock))]

    app.add_middleware(limit_bodies)
    app.add_middleware(door(tokens))
    app.add_middleware(calls.counting)
    app.add_middleware(keep_names)
    app.include_router(health_routes(database, writer, warden, board, registry, clock, ready, health, reading))

    # Of its own: the first look after a while reads much, and whoever else looks waits for it, not everybody.
    fleet_threads = ThreadPoolExecutor(2, "plugwarden-fleet")

    async def catch_up() -> None:
        if writer.batch > database.tiers.rolled:
            await asyncio.wrap_future(writer.roll_up(clock()))

    def sql_seen(request: Request, text: str) -> None:
        access.sql(request.state.principal.name, _peer(request), text)

    def caller_of(request: Request) -> str | None:
        return tokens.caller(request.state.principal, _peer(request))

    sql.install(app, database, registry, reading, catch_up, sql_seen, caller_of, board.closed)

    # -- plugins ------------------------------------------------------------------------------------------------------

    @app.get("/api/v1/plugins", tags=["plugins"], dependencies=[reading])
    async def plugins(span: Span) -> Any:
        """Every plugin with calls in the span of time: state and why, SLIs, budget."""
        fleet = asyncio.get_running_loop().run_in_executor(
            fleet_threads, database.fleet.plugins, span.since, span.until
        )
        found, budgets = await asyncio.gather(fleet, rows("list_slo_status"))
        return as_json(with_state(found, budgets, warden))

    @app.get("/api/v1/plugins/{plugin_id:name}", tags=["plugins"], dependencies=[reading])
    async def plugin(plugin_id: str, span: Span) -> Any:
        """One plugin: the same, with operations, what their gates are like, errors, objectives, quarantines and failing traces."""
        parameters = {**spanned(span), "plugin": plugin_id}
        raw = {"plugin": plugin_id, "since": span.since, "until": span.until}

        async def ask() -> Sequence[list[dict[str, Any]]]:
            return await asyncio.gather(
                rows("fleet", {**parameters, "seconds": span.seconds}),
                rows("list_slo_status"),
                rows("plugin_operations", parameters),
                rows("plugin_gate", raw),
                rows("error_types", {**parameters, "version": None}),
                reads.run(failing_spans, database, plugin_id, span.since, span.until, 20),
            )

        answers = await ask()
        if not answers[0]:
            await catch_up()  # its first calls may be stored and not counted yet
            answers = await ask()
        fleet, budgets, operations, gate, errors, traces = answers
        row = fleet[0] if fleet else None
        budgets = [item for item in budgets if item["plugin_id"] == plugin_id]
        if row is None and not budgets:
            raise NotFoundError(f"no plugin {plugin_id!r} has made a call; `plugwarden plugins` lists those that have")
        detail = with_state([row or {"plugin_id": plugin_id, "calls": 0}], budgets, warden)[0]
        detail |= {"slos": budgets, "operations": operations, "gate": gate}
        detail |= {"errors": errors, "failing_traces": traces}
        return as_json(detail)

    @app.get("/api/v1/plugins/{plugin_id:name}/series", tags=["plugins"], dependencies=[reading])
    async def series(plugin_id: str, span: Span) -> Any:
        """One plugin's calls by step, version and outcome, and its latency distribution by step."""
        parameters = {**spanned(span, step=span.step), "plugin": plugin_id, "step": span.step}
        calls, heat = await asyncio.gather(rows("plugin_series", parameters), rows("plugin_heatmap", parameters))
        return as_json({"step_seconds": span.step, "calls": calls, "latency": heat})

    @app.get("/api/v1/series", tags=["plugins"], dependencies=[reading])
    async def fleet_series(span: Span) -> Any:
        """Calls of every plugin by step."""
        loop = asyncio.get_running_loop()
        calls = await loop.run_in_executor(fleet_threads, database.fleet.series, span.since, span.until, span.step)
        return Response(f'{{"step_seconds": {span.step}, "calls": {calls}}}', media_type="application/json")

    @app.get("/api/v1/slos", tags=["judging"], dependencies=[reading])
    async def slos() -> Any:
        """Every objective of every plugin version: counts, SLI, budget left, burn rate."""
        return as_json(await rows("list_slo_status"))

    @app.get("/api/v1/rules", tags=["judging"], dependencies=[reading])
    async def rules() -> Any:
        """Objectives and policy in force."""
        return as_json(rules_answer(warden))

    @app.get("/api/v1/alerts", tags=["judging"], dependencies=[reading])
    async def alerts(history_hours: Annotated[float, Query(ge=0, le=24 * 35)] = 24) -> Any:
        """Alerts with their history, and open incidents."""
        now, events, incidents = await asyncio.gather(
            rows("list_alerts"),
            rows("list_alert_events", {"since": clock() - timedelta(hours=history_hours)}),
            rows("list_incidents"),
        )
        found = parsed(now)
        for row in found:
            row["silenced_by"] = silenced_by(warden.silences, row["labels"], clock())
        return as_json({"alerts": found, "history": events, "incidents": incidents})

    @app.get("/api/v1/silences", tags=["judging"], dependencies=[reading])
    async def silences() -> Any:
        """Silences in force."""
        at = clock()
        return as_json([asdict(item) for item in warden.silences if item.ends_at > at])

    @app.post("/api/v1/silences", tags=["judging"], status_code=201)
    async def silence(body: SilenceRequest, who: Annotated[Principal, operating]) -> Any:
        """Tell nobody of some alerts for a while; they go on being judged and acted upon."""
        length = timedelta(seconds=body.seconds)
        item = await acts.run(warden.silence, body.matchers, length, body.comment, _actor(who, body.actor))
        return as_json(asdict(item), 201)

    @app.post("/api/v1/silences/{identity:name}/end", tags=["judging"])
    async def end_silence(identity: str, body: ReleaseRequest, who: Annotated[Principal, operating]) -> Any:
        """Take a silence back."""
        await acts.run(warden.unsilence, identity, body.reason, _actor(who, body.actor))
        return as_json({"id": identity})

    @app.get("/api/v1/changes", tags=["judging"], dependencies=[reading])
    async def changes() -> Any:
        """Deployments and other annotations, newest first."""
        return as_json(await rows("list_changes"))

    @app.get("/api/v1/capacity", tags=["capacity"], dependencies=[reading])
    async def capacity(span: Span) -> Any:
        """What each plugin asks of its hosts: rate, concurrency, CPU cores."""
        return as_json(await rows("capacity", {**spanned(span), "seconds": span.seconds}))

    # -- traces -------------------------------------------------------------------------------------------------------

    @app.get("/api/v1/traces", tags=["traces"], dependencies=[reading])
    async def traces(
        span: Span,
        plugin: str | None = None,
        version: str | None = None,
        outcome: str | None = None,
        text: str | None = None,
        min_seconds: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None,
        max_seconds: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Any:
        """Traces that hold a matching span, newest first."""
        wanted = TraceFilter(plugin, version, outcome, text, min_seconds, max_seconds)
        found = await reads.run(search_traces, database, writer.traces, wanted, span.since, span.until, limit)
        return as_json(found)

    @app.get("/api/v1/traces/{trace_id:name}", tags=["traces"], dependencies=[reading])
    async def trace(trace_id: str) -> Any:
        """All spans and log records of one trace."""
        if not _TRACE_ID.fullmatch(trace_id):
            raise HTTPException(422, "trace_id: must be 32 hex digits")
        spans, logs = await reads.run(find_trace, database, writer.traces, int(trace_id, 16))
        if not spans and not logs:
            raise NotFoundError(f"no trace {trace_id}: sampled out, expired, or not arrived yet")
        return as_json({"trace_id": trace_id, "spans": spans, "logs": logs})

    # -- deciding -----------------------------------------------------------------------------------------------------

    @app.get("/api/v1/quarantine", tags=["quarantine"], dependencies=[reading])
    async def quarantines() -> Any:
        """All quarantines with scope, reason, evidence and actor; those in force first."""
        return as_json(parsed(await rows("list_quarantines")))

    @app.post("/api/v1/quarantine", tags=["quarantine"], status_code=201)
    async def quarantine(body: QuarantineRequest, who: Annotated[Principal, operating]) -> Any:
        """Take a scope out of service by hand."""
        scope = Scope(body.plugin, body.version, body.operation, body.instance, body.tenant)
        hold = None if body.hold_seconds is None else timedelta(seconds=body.hold_seconds)
        actor = _actor(who, body.actor)
        item = await acts.run(warden.quarantine, scope, body.reason, actor, hold=hold)
        return as_json({"id": item.id, "scope": str(scope), "state": item.state.word}, 201)

    @app.post("/api/v1/quarantine/{identity:name}/release", tags=["quarantine"])
    async def release(identity: str, body: ReleaseRequest, who: Annotated[Principal, operating]) -> Any:
        """End a quarantine by hand."""
        item = await acts.run(warden.release, identity, body.reason, _actor(who, body.actor))
        return as_json({"id": item.id, "scope": str(item.scope), "state": item.state.word})

    @app.post("/api/v1/automation", tags=["quarantine"])
    async def automation(body: AutomationRequest, who: Annotated[Principal, administering]) -> Any:
        """The freeze switch: a frozen automation judges and records, and quarantines nothing."""
        actor = _actor(who, body.actor)
        await acts.run(warden.freeze, body.frozen, body.reason, actor)
        return as_json({"frozen": warden.standing.frozen})

    overpowered: set[str] = set()  # tokens that were warned of; there are as many as were configured

    @app.get("/api/v1/directives", tags=["directives"])
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
        if tokens and instance and who.may("operate") and who.name not in overpowered:
            overpowered.add(who.name)
            _log.warning(
                "a sidecar of %s holds the token %s, which may operate: every plugin of that host could release itself. Give hosts "
                "PLUGWARDEN_INGEST_TOKEN, or one of PLUGWARDEN_TOKENS_FILE with the scopes ingest,directives",
                ascii(service[:200]),
                who.name,
            )
        found = await board.wait_beyond(epoch, after, wait)
        return Response(status_code=204) if found is None else as_json(found.as_dict())

    @app.get("/api/v1/directives/stream", tags=["directives"], dependencies=[listening])
    async def stream(request: Request) -> Response:
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

    def backup_seen(request: Request) -> None:
        access.backup(request.state.principal.name, _peer(request))

    def push_seen(request: Request, changed: Sequence[dict[str, str | None]]) -> None:
        access.alerts(request.state.principal.name, _peer(request), changed)

    app.include_router(pushed_routes(pushed, operating, push_seen))
    upkeep = Upkeep(database, writer, audit, health.retention, clock)
    app.include_router(upkeep_routes(upkeep, reading, operating, administering, _actor, acts, reads))
    app.include_router(backup_router(database, writer, clock, administering, backup_seen))
    app.include_router(audit_router(database, writer, audit, clock, reading, administering, access.flush, acts, reads))
    return app


def _peer(request: Request) -> str:
    return "an unknown address" if request.client is None else request.client.host


def _route(request: Request) -> str:
    """As it is written in the code: what a stranger puts into a path must not fill the log."""
    return f"{request.method} {getattr(request.scope.get('route'), 'path', 'an unknown path')}"


def _actor(who: Principal, says: str | None) -> Actor:
    return Actor(who.name, says)


def _time_range(clock: Clock) -> Any:
    def read(
        since: Annotated[str | None, Query(description='ISO 8601 (UTC), or "15m" for that long ago')] = None,
        until: Annotated[str | None, Query(description="ISO 8601 (UTC); none: now")] = None,
    ) -> TimeRange:
        try:
            return TimeRange.parse(since, until, clock())
        except ValueError as error:
            raise HTTPException(422, str(error)) from error

    return read
