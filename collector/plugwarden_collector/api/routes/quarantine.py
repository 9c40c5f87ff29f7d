"""Quarantine by hand, and the automation's freeze switch.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from collections.abc import Callable
from datetime import timedelta
from operator import itemgetter
from typing import Annotated, Any

from fastapi import Query
from plugwarden.contract import QuarantineState, Scope

from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import (
    Automation,
    AutomationRequest,
    QuarantineAct,
    QuarantineEndRequest,
    QuarantineForecast,
    QuarantineRequest,
    QuarantineRow,
    ReasonedRequest,
    RunningCalls,
)
from plugwarden_collector.api.models.words import Name, nameable
from plugwarden_collector.api.parts import Parts, actor
from plugwarden_collector.api.plain import columns
from plugwarden_collector.api.render import as_json
from plugwarden_collector.decide.drain import Drain, drain
from plugwarden_collector.decide.named import ensure_called, never_called
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.web.auth import Principal

__all__ = ["quarantine_routes"]


def quarantine_routes(parts: Parts) -> Routes:
    """Return the routes below /api/v1/quarantine, and /api/v1/automation."""
    routes = Routes(tags=["quarantine"])
    acts, warden = parts.acts, parts.warden
    reading, operating, administering = parts.needs("read"), parts.needs("operate"), parts.needs("admin")

    @routes.get("/api/v1/quarantine", response_model=list[QuarantineRow], dependencies=[reading])
    async def quarantines() -> Any:
        """All quarantines with scope, reason, evidence and actor; those in force first."""
        rows = await parts.reads.run(parts.ledger.quarantines)
        waiting = {item.id for item in warden.standing.quarantines.values() if item.in_force and item.inconclusive}
        return as_json([{**columns(row), "inconclusive": row.id in waiting} for row in rows])

    @routes.post("/api/v1/quarantine", status_code=201, response_model=QuarantineAct, responses=problems(409))
    async def quarantine(body: QuarantineRequest, who: Annotated[Principal, operating]) -> Any:
        """Take a scope out of service by hand. A plugin or version that nobody has called is refused unless `force` is true."""
        scope = Scope(body.plugin, body.version, body.operation, body.instance, body.tenant)
        if not body.force and never_called(scope, warden.standing) is not None:
            await parts.catch_up()  # its first calls may be stored and not judged yet
            # A first call that does not come back is under way, and counted nowhere.
            if not (await parts.reads.run(warden.forecast, scope)).impact and not (await under_way(scope)).hosts:
                ensure_called(scope, warden.standing)
        hold = None if body.hold_seconds is None else timedelta(seconds=body.hold_seconds)
        item = await acts.run(warden.quarantine, scope, body.reason, actor(who, body.actor), hold=hold)
        warning = None if item.evidence.get("impact") else never_called(scope, warden.standing)
        return as_json(_act(item, warning, item.evidence.get("forecast")), 201)

    @routes.get(
        "/api/v1/quarantine/forecast",
        response_model=QuarantineForecast,
        responses=problems(409),
        dependencies=[reading],
    )
    async def quarantine_forecast(
        plugin: Annotated[Name, nameable("plugin"), Query()],
        version: Annotated[Annotated[Name, nameable("version")] | None, Query()] = None,
        operation: Annotated[Annotated[Name, nameable("operation")] | None, Query()] = None,
        instance: Annotated[Annotated[Name, nameable("instance")] | None, Query()] = None,
        tenant: Annotated[Annotated[Name, nameable("tenant")] | None, Query()] = None,
    ) -> Any:
        """What taking a scope out of service would cost: calls that are refused, fall back, or go back to an earlier version. Nothing
        is done; a scope that is isolated already is a conflict, as it is for the act."""
        await parts.catch_up()
        scope = Scope(plugin, version, operation, instance, tenant)
        told = await parts.reads.run(warden.forecast, scope)
        now = await under_way(scope)
        warning = None if told.impact or now.hosts else never_called(scope, warden.standing)
        return as_json({"scope": str(scope), **told.as_dict(), "running": now.running, "warning": warning})

    @routes.get("/api/v1/quarantine/running", response_model=list[RunningCalls], dependencies=[reading])
    async def running_calls() -> Any:
        """Calls that still run in each scope that is isolated, as hosts told last."""
        isolated = [
            item
            for item in warden.standing.quarantines.values()
            if item.in_force and item.state is QuarantineState.QUARANTINED
        ]
        plugins = sorted({item.scope.plugin for item in isolated})
        told = await parts.reads.run(parts.telemetry.pages.running, plugins, parts.clock()) if plugins else []
        found = [(item.id, drain(item.scope, told)) for item in isolated]
        return as_json(
            [
                {"id": identity, **columns(how), "drained": how.done}
                for identity, how in sorted(found, key=itemgetter(0))
            ]
        )

    @routes.post(
        "/api/v1/quarantine/{identity:name}/approve", response_model=QuarantineAct, responses=problems(404, 409)
    )
    async def approve(identity: str, body: ReasonedRequest, who: Annotated[Principal, operating]) -> Any:
        """Follow a suggestion: its scope is isolated, with hold and probation as if the automation had done it."""
        item = await acts.run(warden.approve, identity, body.reason, actor(who, body.actor))
        return as_json(_act(item, forecast=item.evidence.get("forecast")))

    @routes.post(
        "/api/v1/quarantine/{identity:name}/decline", response_model=QuarantineAct, responses=problems(404, 409)
    )
    async def decline(identity: str, body: QuarantineEndRequest, who: Annotated[Principal, operating]) -> Any:
        """End a suggestion: the automation leaves its scope alone for a while."""
        return await ended(warden.decline, identity, body, who)

    @routes.post(
        "/api/v1/quarantine/{identity:name}/release", response_model=QuarantineAct, responses=problems(404, 409)
    )
    async def release(identity: str, body: QuarantineEndRequest, who: Annotated[Principal, operating]) -> Any:
        """End a quarantine by hand: the automation leaves its scope alone for a while."""
        return await ended(warden.release, identity, body, who)

    async def under_way(scope: Scope) -> Drain:
        return drain(scope, await parts.reads.run(parts.telemetry.pages.running, [scope.plugin], parts.clock()))

    async def ended(end: Callable[..., Quarantine], identity: str, body: QuarantineEndRequest, who: Principal) -> Any:
        override = None if body.override_seconds is None else timedelta(seconds=body.override_seconds)
        item = await acts.run(end, identity, body.reason, actor(who, body.actor), override=override)
        return as_json(_act(item))

    @routes.post("/api/v1/automation", response_model=Automation, responses=problems(409))
    async def automation(body: AutomationRequest, who: Annotated[Principal, administering]) -> Any:
        """The freeze switch: a frozen automation judges and records, and quarantines nothing."""
        await acts.run(warden.freeze, body.frozen, body.reason, actor(who, body.actor))
        return as_json({"frozen": warden.standing.frozen})

    return routes


def _act(item: Quarantine, warning: str | None = None, forecast: str | None = None) -> dict[str, Any]:
    """Return what became of a quarantine."""
    return {
        "id": item.id, "scope": str(item.scope), "state": item.state.word, "warning": warning, "forecast": forecast,
    }  # fmt: skip
