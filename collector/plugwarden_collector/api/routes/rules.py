"""Rules in force.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from typing import Any

from plugwarden_collector.api.answers import rules_answer
from plugwarden_collector.api.described import Routes
from plugwarden_collector.api.models import Rules
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.render import as_json

__all__ = ["rules_routes"]


def rules_routes(parts: Parts) -> Routes:
    """Return /api/v1/rules."""
    routes = Routes(tags=["judging"], dependencies=[parts.needs("read")])

    @routes.get("/api/v1/rules", response_model=Rules)
    async def rules() -> Any:
        """Objectives and policy in force."""
        return as_json(rules_answer(parts.warden))

    return routes
