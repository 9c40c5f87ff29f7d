"""Upstreams: what plugins call that others answer for.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from plugwarden.contract import MAX_NAME

from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import Upstream, Upstreams
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.render import as_json
from plugwarden_collector.api.upstreams import budgets_of, upstreams_answer
from plugwarden_collector.errors import NotFoundError
from plugwarden_collector.judge.burn import fastest_window
from plugwarden_collector.judge.upstreams import period_seconds
from plugwarden_collector.web.time_range import TimeRange

__all__ = ["upstream_routes"]


def upstream_routes(parts: Parts) -> Routes:
    """Return the routes below /api/v1/upstreams."""
    routes = Routes(tags=["plugins"], dependencies=[parts.needs("read")])
    reads, pages, judging = parts.reads.run, parts.telemetry.pages, parts.telemetry.judging
    Span = Annotated[TimeRange, parts.time_range]

    def ask(name: str | None, span: TimeRange) -> list[dict[str, Any]]:
        rows, at = pages.upstreams(name, span.since, span.until), parts.clock()
        budgets = []
        for rule in parts.warden.rules.upstreams:
            objective = rule.objective
            if any(rule.covers(row.upstream, row.service_name or "") for row in rows):
                sizes = sorted({period_seconds(rule, at), fastest_window(objective)})
                budgets.append(
                    budgets_of(rule, judging.upstreams(sizes, objective.threshold_index, at), parts.warden.standing, at)
                )
        return upstreams_answer(rows, budgets, parts.warden.standing)

    async def found(name: str | None, span: TimeRange) -> Sequence[dict[str, Any]]:
        return await parts.in_fleet(ask, name, span)  # type: ignore[no-any-return]

    @routes.get("/api/v1/upstreams", response_model=Upstreams)
    async def upstreams(span: Span) -> Any:
        """Every upstream that a plugin named in the span of time: calls, failures, who sees them, since when it is not well, budgets."""
        unnamed = await reads(pages.unnamed_upstreams, span.since, span.until)
        return as_json({"upstreams": await found(None, span), "unnamed": unnamed})

    @routes.get("/api/v1/upstreams/{upstream:name}", response_model=Upstream, responses=problems(404))
    async def one_upstream(upstream: str, span: Span) -> Any:
        """One upstream; a name that is too long to be kept whole is the one that it was cut to."""
        upstream = upstream[:MAX_NAME]
        answers = await found(upstream, span)
        if not answers:
            await parts.catch_up()  # its first calls may be stored and not counted yet
            answers = await found(upstream, span)
        if not answers:
            raise NotFoundError(
                f"no plugin has called {upstream!r} in that time; `plugwarden upstreams` lists what plugins name"
            )
        return as_json(answers[0])

    return routes
