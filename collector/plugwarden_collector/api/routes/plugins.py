"""Plugins: all of them, one of them, and their calls by step.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from starlette.responses import Response

from plugwarden_collector.api.answers import covering_objectives, with_state
from plugwarden_collector.api.budgets import budgets_answer
from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import FleetSeries, Plugin, PluginDetail, PluginSeries
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.plain import columns
from plugwarden_collector.api.render import as_json
from plugwarden_collector.errors import NotFoundError
from plugwarden_collector.store.calls import PluginCalls
from plugwarden_collector.web.time_range import TimeRange

__all__ = ["plugin_routes"]

FAILING_TRACES = 20


def plugin_routes(parts: Parts) -> Routes:
    """Return the routes below /api/v1/plugins, and /api/v1/series."""
    routes = Routes(tags=["plugins"], dependencies=[parts.needs("read")])
    reads, budgets_of, slos = parts.reads.run, parts.ledger.budgets, parts.ledger.slos
    pages, traces = parts.telemetry.pages, parts.telemetry.traces
    Span = Annotated[TimeRange, parts.time_range]

    @routes.get("/api/v1/plugins", response_model=list[Plugin])
    async def plugins(span: Span) -> Any:
        """Every plugin with calls in the span of time: state and why, SLIs, budget."""
        fleet = parts.in_fleet(pages.plugins, span.since, span.until)
        found, budgets, by_version = await asyncio.gather(
            fleet, reads(budgets_of, parts.clock()), reads(slos, parts.clock())
        )
        rows, left, spent = (list(map(columns, item)) for item in (found, budgets, by_version))
        return as_json(with_state(rows, left, spent, parts.warden))

    @routes.get("/api/v1/plugins/{plugin_id:name}", response_model=PluginDetail, responses=problems(404))
    async def plugin(plugin_id: str, span: Span) -> Any:
        """One plugin: the same, with operations, what their gates are like, errors, objectives, quarantines and failing traces."""
        asked = (plugin_id, span.since, span.until)

        async def ask() -> Sequence[Any]:
            found: Sequence[Any] = await asyncio.gather(
                reads(pages.plugin, *asked),
                reads(budgets_of, parts.clock()),
                reads(slos, parts.clock()),
                reads(pages.operations, *asked),
                reads(pages.gate, *asked),
                reads(pages.errors, *asked),
                reads(traces.failing, *asked, FAILING_TRACES),
            )
            return found

        answers = await ask()
        if answers[0] is None:
            await parts.catch_up()  # its first calls may be stored and not counted yet
            answers = await ask()
        row, *judged, operations, gate, errors, failing = answers
        left, spent = ([item for item in rows if item.plugin_id == plugin_id] for rows in judged)
        budgets = budgets_answer(left, parts.warden.rules, list(parts.warden.standing.alerts.values()))
        by_version = list(map(columns, spent))
        if row is None and not budgets and not by_version:
            raise NotFoundError(f"no plugin {plugin_id!r} has made a call; `plugwarden plugins` lists those that have")
        detail = with_state([columns(row or PluginCalls.none(plugin_id))], budgets, by_version, parts.warden)[0]
        detail |= {"budgets": budgets, "slos": by_version, "objectives": covering_objectives(parts.warden, plugin_id)}
        detail |= {"operations": operations, "gate": gate}
        detail |= {"errors": errors, "failing_traces": failing}
        return as_json(detail)

    @routes.get("/api/v1/plugins/{plugin_id:name}/series", response_model=PluginSeries)
    async def plugin_series(plugin_id: str, span: Span) -> Any:
        """One plugin's calls by step, version and outcome, and its latency distribution by step."""
        asked = (plugin_id, span.since, span.until, span.step)
        calls, heat = await asyncio.gather(reads(pages.series, *asked), reads(pages.heatmap, *asked))
        return as_json({"step_seconds": span.step, "calls": calls, "latency": heat})

    @routes.get("/api/v1/series", response_model=FleetSeries)
    async def fleet_series(span: Span) -> Any:
        """Calls of every plugin by step."""
        calls = await parts.in_fleet(pages.fleet_series, span.since, span.until, span.step)
        return Response(f'{{"step_seconds": {span.step}, "calls": {calls.json}}}', media_type="application/json")

    return routes
