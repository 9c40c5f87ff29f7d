"""Who asks: for programs that act on behalf of people, such as the dashboards.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from typing import Annotated, Any

from plugwarden_collector.api.described import Routes
from plugwarden_collector.api.models import Caller
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.render import as_json
from plugwarden_collector.web.auth import SCOPES, Principal

__all__ = ["caller_routes"]


def caller_routes(parts: Parts) -> Routes:
    """Return the route about who asks."""
    routes = Routes(tags=["health"])
    reading = parts.needs("read")

    @routes.get("/api/v1/caller", response_model=Caller)
    async def caller(who: Annotated[Principal, reading]) -> Any:
        """Whom the token of this request belongs to, and what it may do."""
        return as_json({"name": who.name, "scopes": [scope for scope in SCOPES if who.may(scope)]})

    return routes
