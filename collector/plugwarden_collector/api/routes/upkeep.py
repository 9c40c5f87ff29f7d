"""The routes about the store's upkeep: what was set aside, what waits to be deleted.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import Deletion, ReasonedRequest, SetAside
from plugwarden_collector.api.parts import Parts, actor
from plugwarden_collector.api.plain import columns
from plugwarden_collector.api.render import as_json
from plugwarden_collector.control.upkeep import StoreActs
from plugwarden_collector.store.upkeep import Refused
from plugwarden_collector.web.auth import Principal

__all__ = ["upkeep_routes"]


def upkeep_routes(parts: Parts) -> Routes:
    """Return the routes below /api/v1/aside and /api/v1/retention."""
    routes = Routes(tags=["upkeep"])
    acts, reads = parts.acts, parts.reads
    upkeep = parts.telemetry.upkeep
    people = StoreActs(upkeep, parts.clock)
    reading, operating, administering = parts.needs("read"), parts.needs("operate"), parts.needs("admin")

    @routes.get("/api/v1/aside", response_model=list[SetAside], dependencies=[reading])
    async def aside() -> Any:
        """Rows that could not be counted: in which commit they came, whose they are, why. Newest first."""
        return as_json(await reads.run(upkeep.set_aside))

    @routes.post("/api/v1/aside/{identity:name}/retry", response_model=SetAside, responses=problems(404))
    async def aside_retry(identity: str, body: ReasonedRequest, who: Annotated[Principal, operating]) -> Any:
        """Count them after all, for instance after an upgrade."""
        return as_json(await acts.run(people.try_again, identity, body.reason, actor(who, body.actor)))

    @routes.post("/api/v1/aside/{identity:name}/drop", response_model=SetAside, responses=problems(404))
    async def aside_drop(identity: str, body: ReasonedRequest, who: Annotated[Principal, operating]) -> Any:
        """Give them up: they are never counted."""
        return as_json(await acts.run(people.give_up, identity, body.reason, actor(who, body.actor)))

    @routes.get("/api/v1/retention", response_model=list[Deletion], dependencies=[reading])
    async def retention() -> Any:
        """Deletions that wait for a person: per view the rows, their share of all, and before when they are from."""
        return as_json(_by_view(upkeep.retained().refused))

    @routes.post("/api/v1/retention/allow", response_model=list[Deletion], responses=problems(409))
    async def retention_allow(body: ReasonedRequest, who: Annotated[Principal, administering]) -> Any:
        """Let go of what waits, once."""
        return as_json(_by_view(await acts.run(people.allow, body.reason, actor(who, body.actor))))

    return routes


def _by_view(refused: Mapping[str, Refused]) -> list[dict[str, Any]]:
    return [{"view": view, **columns(item)} for view, item in sorted(refused.items())]
