"""Alerts with their history, open incidents, and what changed in the fleet.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

import asyncio
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query

from plugwarden_collector.api.acknowledged import acknowledged
from plugwarden_collector.api.described import Routes
from plugwarden_collector.api.models import Alerts, ChangeRow
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.plain import columns
from plugwarden_collector.api.render import as_json
from plugwarden_collector.decide.silence import silenced_by

__all__ = ["alert_routes"]


def alert_routes(parts: Parts) -> Routes:
    """Return /api/v1/alerts and /api/v1/changes."""
    routes = Routes(tags=["judging"], dependencies=[parts.needs("read")])
    reads, ledger, clock = parts.reads, parts.ledger, parts.clock

    @routes.get("/api/v1/alerts", response_model=Alerts)
    async def alerts(history_hours: Annotated[float, Query(ge=0, le=24 * 35)] = 24) -> Any:
        """Alerts with their history, and open incidents."""
        now, events, incidents = await asyncio.gather(
            reads.run(ledger.alerts),
            reads.run(ledger.alert_events, clock() - timedelta(hours=history_hours)),
            reads.run(ledger.incidents),
        )
        standing, at = parts.warden.standing, clock()
        said = standing.acknowledgements
        found = [
            {
                **columns(row),
                "silenced_by": silenced_by(standing.silences, row.labels, at),
                **acknowledged(said, row.fingerprint, row.firing_at, at),
            }
            for row in now
        ]
        open_ = [{**columns(row), **acknowledged(said, row.id, row.started_at, at)} for row in incidents]
        return as_json({"alerts": found, "history": events, "incidents": open_})

    @routes.get("/api/v1/changes", response_model=list[ChangeRow])
    async def changes() -> Any:
        """Deployments and other annotations, newest first."""
        return as_json(await reads.run(ledger.changes))

    return routes
