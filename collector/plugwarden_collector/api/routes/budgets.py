"""Error budgets: how each stands, and how one was spent.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from typing import Annotated, Any

from fastapi import Query

from plugwarden_collector.api.budgets import budgets_answer, history_answer
from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import Budget, BudgetHistory, SloRow
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.render import as_json
from plugwarden_collector.control.budget_history import Looked, budget_history
from plugwarden_collector.errors import NotFoundError
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.web.time_range import TimeRange

__all__ = ["budget_routes"]


def budget_routes(parts: Parts) -> Routes:
    """Return /api/v1/budgets, /api/v1/slos, and how one budget was spent below /api/v1/plugins."""
    routes = Routes(tags=["judging"], dependencies=[parts.needs("read")])
    pages, ledger, warden = parts.telemetry.pages, parts.ledger, parts.warden
    Span = Annotated[TimeRange, parts.time_range]

    @routes.get("/api/v1/budgets", response_model=list[Budget])
    async def budgets() -> Any:
        """Every objective of every plugin over all of its versions: counts, SLI, budget left, burn rate, and how it stands."""
        rows = await parts.reads.run(ledger.budgets, parts.clock())
        return as_json(budgets_answer(rows, warden.rules, list(warden.standing.alerts.values())))

    @routes.get("/api/v1/slos", response_model=list[SloRow])
    async def slos() -> Any:
        """Every objective of every plugin version: counts, SLI, budget left, burn rate."""
        return as_json(await parts.reads.run(ledger.slos, parts.clock()))

    def found(plugin: str, slo: str, version: str | None) -> Objective:
        objective = next((item for item in warden.rules.objectives if item.name == slo and item.covers(plugin)), None)
        if objective is None:
            raise NotFoundError(
                f"the rules have no objective {slo[:200]!r} that is about {plugin[:200]!r}; `plugwarden slos` lists those there are"
            )
        if version is not None and objective.cut is not None:
            raise NotFoundError(
                f"{slo!r} counts slices of time over all versions of a plugin: no version has a budget of its own"
            )
        return objective

    @routes.get(
        "/api/v1/plugins/{plugin_id:name}/budgets/{slo:name}", response_model=BudgetHistory, responses=problems(404)
    )
    async def budget(
        plugin_id: str,
        slo: str,
        span: Span,
        version: Annotated[str | None, Query(description="Calls of this version alone")] = None,
    ) -> Any:
        """One error budget as it is counted now, what was left of it over its period, how fast it burned in the span of time, and who spent
        it."""
        objective, at = found(plugin_id, slo, version), parts.clock()
        looked = Looked(span.since, span.until)
        history = await parts.reads.run(
            budget_history, pages, objective, plugin_id, version, warden.corrections, at, looked
        )
        alerts = list(warden.standing.alerts.values())
        return as_json(history_answer(objective, plugin_id, version, history, alerts))

    return routes
