"""What each plugin asks of its hosts.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from typing import Annotated, Any

from plugwarden_collector.api.described import Routes
from plugwarden_collector.api.models import PluginDemand
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.render import as_json
from plugwarden_collector.web.time_range import TimeRange

__all__ = ["capacity_routes"]


def capacity_routes(parts: Parts) -> Routes:
    """Return /api/v1/capacity."""
    routes = Routes(tags=["capacity"], dependencies=[parts.needs("read")])

    @routes.get("/api/v1/capacity", response_model=list[PluginDemand])
    async def capacity(span: Annotated[TimeRange, parts.time_range]) -> Any:
        """What each plugin asks of its hosts: rate, concurrency, CPU cores."""
        return as_json(await parts.reads.run(parts.telemetry.pages.capacity, span.since, span.until))

    return routes
