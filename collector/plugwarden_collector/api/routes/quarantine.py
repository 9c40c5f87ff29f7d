"""Quarantine by hand, and the automation's freeze switch.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from datetime import timedelta
from typing import Annotated, Any

from plugwarden.contract import Scope

from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import (
    Automation,
    AutomationRequest,
    QuarantineAct,
    QuarantineRequest,
    QuarantineRow,
    ReasonedRequest,
)
from plugwarden_collector.api.parts import Parts, actor
from plugwarden_collector.api.render import as_json
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
        return as_json(await parts.reads.run(parts.ledger.quarantines))

    @routes.post("/api/v1/quarantine", status_code=201, response_model=QuarantineAct, responses=problems(409))
    async def quarantine(body: QuarantineRequest, who: Annotated[Principal, operating]) -> Any:
        """Take a scope out of service by hand."""
        scope = Scope(body.plugin, body.version, body.operation, body.instance, body.tenant)
        hold = None if body.hold_seconds is None else timedelta(seconds=body.hold_seconds)
        item = await acts.run(warden.quarantine, scope, body.reason, actor(who, body.actor), hold=hold)
        return as_json({"id": item.id, "scope": str(scope), "state": item.state.word}, 201)

    @routes.post(
        "/api/v1/quarantine/{identity:name}/release", response_model=QuarantineAct, responses=problems(404, 409)
    )
    async def release(identity: str, body: ReasonedRequest, who: Annotated[Principal, operating]) -> Any:
        """End a quarantine by hand."""
        item = await acts.run(warden.release, identity, body.reason, actor(who, body.actor))
        return as_json({"id": item.id, "scope": str(item.scope), "state": item.state.word})

    @routes.post("/api/v1/automation", response_model=Automation, responses=problems(409))
    async def automation(body: AutomationRequest, who: Annotated[Principal, administering]) -> Any:
        """The freeze switch: a frozen automation judges and records, and quarantines nothing."""
        await acts.run(warden.freeze, body.frozen, body.reason, actor(who, body.actor))
        return as_json({"frozen": warden.standing.frozen})

    return routes
