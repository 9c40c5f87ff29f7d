"""Alerts with their history, open incidents, and what changed in the fleet.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query

from plugwarden_collector.announce.runbook import runbook_of
from plugwarden_collector.api.acknowledged import acknowledged
from plugwarden_collector.api.answers import alert_rules_answer
from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import AlertRule, Alerts, ChangeRow, Runbook
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.plain import columns
from plugwarden_collector.api.render import as_json
from plugwarden_collector.decide.silence import silenced_by
from plugwarden_collector.errors import NotFoundError

__all__ = ["alert_routes"]


def alert_routes(parts: Parts) -> Routes:
    """Return /api/v1/alerts, /api/v1/alerts/{id}/runbook, /api/v1/alert-rules and /api/v1/changes."""
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
        standing, silences, at = parts.warden.standing, parts.warden.silences, clock()
        said = standing.acknowledgements
        found = [
            {
                **columns(row),
                "silenced_by": silenced_by(silences, row.labels, at),
                **acknowledged(said, row.fingerprint, row.firing_at, at),
            }
            for row in now
        ]
        open_ = [{**columns(row), **acknowledged(said, row.id, row.started_at, at)} for row in incidents]
        return as_json({"alerts": found, "history": events, "incidents": open_})

    @routes.get("/api/v1/alerts/{identity}/runbook", response_model=Runbook, responses=problems(404))
    async def runbook(identity: str) -> Any:
        """What to do about an alert (by its fingerprint), a quarantine or a shared cause: the runbook of the rules, what to look at and to
        try with the names filled in, whom to ask, and what was done already."""
        warden = parts.warden
        standing = replace(warden.standing, silences=warden.silences)
        found = runbook_of(identity, standing, warden.rules, clock(), parts.public_url)
        if found is None:
            raise NotFoundError(
                f"there is no alert, quarantine or incident {identity!r} of the last week, nor of the last hour for an [[alert]]; "
                "`plugwarden alerts --all --json` has all"
            )
        return as_json({"id": identity, "text": found.text, "markdown": found.markdown})

    @routes.get("/api/v1/alert-rules", response_model=list[AlertRule])
    async def alert_rules() -> Any:
        """Every `[[alert]]` of the rules in force, and how its last look went."""
        return as_json(alert_rules_answer(parts.warden, parts.watching))

    @routes.get("/api/v1/changes", response_model=list[ChangeRow])
    async def changes() -> Any:
        """Deployments and other annotations, newest first."""
        return as_json(await reads.run(ledger.changes))

    return routes
