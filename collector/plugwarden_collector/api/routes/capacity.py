"""What each plugin asks of its hosts.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from typing import Annotated, Any

from fastapi import APIRouter

from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.render import as_json
from plugwarden_collector.web.time_range import TimeRange

__all__ = ["capacity_routes"]


def capacity_routes(parts: Parts) -> APIRouter:
    """Return /api/v1/capacity."""
    routes = APIRouter(tags=["capacity"], dependencies=[parts.needs("read")])

    @routes.get("/api/v1/capacity")
    async def capacity(span: Annotated[TimeRange, parts.time_range]) -> Any:
        """What each plugin asks of its hosts: rate, concurrency, CPU cores."""
        return as_json(await parts.rows("capacity", {**parts.within(span), "seconds": span.seconds}))

    return routes
