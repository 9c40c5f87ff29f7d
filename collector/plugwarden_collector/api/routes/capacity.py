"""Capacity: what plugins ask of their hosts, how near they are to limits, how that goes on, and what would be.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import Query

from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import Curve, Demand, Outlook, Share, Standing, StoreGrowth, WhatIf
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.render import as_json
from plugwarden_collector.capacity.resource import Resource
from plugwarden_collector.capacity.whatif import FORMS, MAX_CHANGES, change_of
from plugwarden_collector.control.planner import Planner
from plugwarden_collector.web.time_range import TimeRange

__all__ = ["capacity_routes"]

MOST_AHEAD = 365
"""Days of a forecast at most."""
Plugin = Annotated[str | None, Query(description="One plugin; none: all of them")]


def capacity_routes(parts: Parts) -> Routes:
    """Return the routes below /api/v1/capacity."""
    routes = Routes(tags=["capacity"], dependencies=[parts.needs("read")])
    Span = Annotated[TimeRange, parts.time_range]

    async def ask(question: Callable[[Planner], Any]) -> Any:
        """Answer from a thread for questions about all plugins: a forecast of them reads a quarter of a year."""
        planner = Planner(parts.telemetry.planning, parts.telemetry.condition, parts.warden.rules, parts.keep)
        return as_json(await parts.in_fleet(question, planner))

    @routes.get("/api/v1/capacity", response_model=list[Demand])
    async def capacity(
        span: Span, plugin: Plugin = None, by: Literal["plugin", "operation", "tenant"] = "plugin"
    ) -> Any:
        """What plugins ask of their hosts, most CPU first: rates, concurrency, CPU, memory; means over the time that has data, and peaks.
        By tenant as far back as tenants are told apart, two hours."""
        return await ask(lambda planner: planner.demand(span.since, span.until, plugin, by))

    @routes.get("/api/v1/capacity/utilisation", response_model=Standing)
    async def utilisation(span: Span, plugin: Plugin = None) -> Any:
        """How full limits are, enforced, declared and of machines; of one plugin also where its latency bends."""
        return await ask(lambda planner: planner.standing(span.since, span.until, plugin))

    @routes.get("/api/v1/capacity/forecast", response_model=Curve, responses=problems(404))
    async def forecast(
        span: Span,
        plugin: str,
        resource: Literal["calls_per_second", "concurrency", "cpu_cores"] = "calls_per_second",
        days: Annotated[int, Query(ge=1, le=MOST_AHEAD, description="Days ahead")] = 28,
    ) -> Any:
        """One plugin's load by the hour over the last 90 days up to `until`, and as it is foreseen, with intervals and how such
        forecasts did before."""
        return await ask(lambda planner: planner.forecast(span.until, plugin, Resource(resource), days))

    @routes.get("/api/v1/capacity/full", response_model=list[Outlook])
    async def until_full(span: Span, plugin: Plugin = None) -> Any:
        """When limits are reached, as of `until`, the soonest first."""
        return await ask(lambda planner: planner.until_full(span.until, plugin))

    @routes.get("/api/v1/capacity/what-if", response_model=WhatIf)
    async def what_if(
        span: Span,
        change: Annotated[list[str] | None, Query(max_length=MAX_CHANGES, description=f"Changes: {FORMS}")] = None,
    ) -> Any:
        """What would be full first if load, costs, plugins or hosts were others; without a change, what is."""
        changes = [change_of(text) for text in change or ()]
        return await ask(lambda planner: planner.what_if(changes, span.since, span.until))

    @routes.get("/api/v1/capacity/showback", response_model=list[Share])
    async def showback(span: Span, by: Literal["owner", "tenant"] = "owner") -> Any:
        """Who uses what, of all that was used; raw rows are those that the store holds now. By tenant as far back as tenants are told
        apart, two hours."""
        return await ask(lambda planner: planner.showback(span.since, span.until, by))

    @routes.get("/api/v1/capacity/store", response_model=StoreGrowth)
    async def store_growth() -> Any:
        """How our own store grows by table, and when its disk is full with what is kept today."""
        return await ask(lambda planner: planner.growth(parts.clock()))

    return routes
