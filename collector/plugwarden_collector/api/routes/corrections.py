"""Corrections: what is left out of error budgets, and why.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from typing import Annotated, Any

from plugwarden_collector.api.corrections import correction_answer
from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import Correction, CorrectionRequest, ReasonedRequest
from plugwarden_collector.api.parts import Parts, actor
from plugwarden_collector.api.render import as_json
from plugwarden_collector.decide import correction
from plugwarden_collector.web.auth import Principal

__all__ = ["correction_routes"]


def correction_routes(parts: Parts) -> Routes:
    """Return the routes below /api/v1/corrections."""
    routes = Routes(tags=["judging"])
    acts, warden = parts.acts, parts.warden
    reading, operating = parts.needs("read"), parts.needs("operate")

    def shown(item: correction.Correction) -> dict[str, Any]:
        return correction_answer(item, parts.clock())

    @routes.get("/api/v1/corrections", response_model=list[Correction], dependencies=[reading])
    async def corrections() -> Any:
        """Corrections that no person took back, the oldest first."""
        return as_json([shown(item) for item in warden.corrections])

    @routes.post("/api/v1/corrections", status_code=201, response_model=Correction, responses=problems(409))
    async def correct(body: CorrectionRequest, who: Annotated[Principal, operating]) -> Any:
        """Leave a stretch of time out of budgets and burn rates, from one full minute up to another."""
        about = body.plugins, body.objectives, body.owners
        span = body.starts_at, body.ends_at
        item = await acts.run(warden.correct, about, span, body.reason, actor(who, body.actor))
        return as_json(shown(item), 201)

    @routes.post("/api/v1/corrections/{identity:name}/end", response_model=Correction, responses=problems(404, 409))
    async def end_correction(identity: str, body: ReasonedRequest, who: Annotated[Principal, operating]) -> Any:
        """End a correction that runs with this minute."""
        return as_json(shown(await acts.run(warden.end_correction, identity, body.reason, actor(who, body.actor))))

    @routes.post("/api/v1/corrections/{identity:name}/withdraw", response_model=Correction, responses=problems(404))
    async def withdraw(identity: str, body: ReasonedRequest, who: Annotated[Principal, operating]) -> Any:
        """Take a correction back: what it left out counts again."""
        return as_json(shown(await acts.run(warden.withdraw, identity, body.reason, actor(who, body.actor))))

    return routes
