"""Alerts with their history, open incidents, and what changed in the fleet.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

import asyncio
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query

from plugwarden_collector.api.answers import parsed
from plugwarden_collector.api.described import Routes
from plugwarden_collector.api.models import Alerts, Change
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.render import as_json
from plugwarden_collector.decide.labels import alert_labels
from plugwarden_collector.decide.silence import silenced_by

__all__ = ["alert_routes"]


def alert_routes(parts: Parts) -> Routes:
    """Return /api/v1/alerts and /api/v1/changes."""
    routes = Routes(tags=["judging"], dependencies=[parts.needs("read")])
    rows, clock = parts.rows, parts.clock

    @routes.get("/api/v1/alerts", response_model=Alerts)
    async def alerts(history_hours: Annotated[float, Query(ge=0, le=24 * 35)] = 24) -> Any:
        """Alerts with their history, and open incidents."""
        now, events, incidents = await asyncio.gather(
            rows("list_alerts"),
            rows("list_alert_events", {"since": clock() - timedelta(hours=history_hours)}),
            rows("list_incidents"),
        )
        found = parsed(now)
        for row in found:
            if row["source"] == "plugwarden":  # a store of an earlier version holds labels without the alert's name
                row["labels"] = alert_labels(
                    row["name"], row["severity"], row["slo"], row["plugin_id"], row["plugin_version"]
                )
            row["silenced_by"] = silenced_by(parts.warden.silences, row["labels"], clock())
        return as_json({"alerts": found, "history": events, "incidents": incidents})

    @routes.get("/api/v1/changes", response_model=list[Change])
    async def changes() -> Any:
        """Deployments and other annotations, newest first."""
        return as_json(await rows("list_changes"))

    return routes
