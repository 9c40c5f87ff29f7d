"""Alerts with their history, open incidents, and what changed in the fleet.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

import asyncio
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query

from plugwarden_collector.api.described import Routes
from plugwarden_collector.api.models import Alerts, ChangeRow
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.plain import columns
from plugwarden_collector.api.render import as_json
from plugwarden_collector.decide.acknowledgement import Acknowledgement
from plugwarden_collector.decide.silence import silenced_by
from plugwarden_collector.store.ledger_rows import AlertRow

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
        known = {item.subject: item for item in standing.acknowledgements if item.ends_at > at}
        found = [
            {
                **columns(row),
                "silenced_by": silenced_by(standing.silences, row.labels, at),
                **_known(known.get(row.fingerprint), row),
            }
            for row in now
        ]
        return as_json({"alerts": found, "history": events, "incidents": incidents})

    @routes.get("/api/v1/changes", response_model=list[ChangeRow])
    async def changes() -> Any:
        """Deployments and other annotations, newest first."""
        return as_json(await reads.run(ledger.changes))

    return routes


def _known(said: Acknowledgement | None, row: AlertRow) -> dict[str, Any]:
    """Return who knows of an alert, and until when: of this time that it fires, and not of one before."""
    if said is None or row.firing_at is None or not said.covers(row.firing_at):
        return {"acknowledged_by": None, "acknowledged_until": None}
    return {"acknowledged_by": said.created_by, "acknowledged_until": said.ends_at}
