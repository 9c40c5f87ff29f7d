"""The routes about the collector itself: alive, ready, metrics, status and health. They say nothing of any plugin's health.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from plugwarden_collector import __version__
from plugwarden_collector.api.acknowledged import acknowledged
from plugwarden_collector.api.described import NO_TOKEN, Routes
from plugwarden_collector.api.models import Health, Status
from plugwarden_collector.api.parts import Parts
from plugwarden_collector.api.render import as_json
from plugwarden_collector.decide.acknowledgement import Acknowledgement
from plugwarden_collector.durations import duration
from plugwarden_collector.health import HealthWatch
from plugwarden_collector.web import problem

__all__ = ["health_routes"]

NOT_JUDGED = "ok: data are taken; what is stored is not judged yet since the start"
LISTENING_SECONDS = 60.0
"""A sidecar that asked for directives within this time listens."""
LATE = timedelta(seconds=30)
"""The collector looks at itself every few seconds; older than this, its looks say nothing of now."""
MAX_STEPS = 360
MAX_SENDERS = 200


def health_routes(parts: Parts) -> Routes:
    """Return the routes about the collector itself."""
    store, warden, board = parts.telemetry.condition, parts.warden, parts.board
    registry, clock, ready, health, reading = (
        parts.registry,
        parts.clock,
        parts.ready,
        parts.health,
        parts.needs("read"),
    )
    routes = Routes(tags=["health"])

    @routes.get("/livez", response_class=PlainTextResponse, openapi_extra=NO_TOKEN)
    async def livez() -> str:
        """The process runs."""
        return "ok"

    @routes.get("/readyz", response_class=PlainTextResponse, openapi_extra=NO_TOKEN)
    async def readyz() -> Response:
        """The store takes data and the loop turns; says nothing about the health of any plugin."""
        why_not = ready()
        if why_not:
            return problem.problem("/readyz", 503, "not ready", why_not)
        return PlainTextResponse("ok" if warden.stats.ticks else NOT_JUDGED)

    @routes.get("/metrics", dependencies=[reading], response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Our own health, for Prometheus."""
        return Response(await asyncio.to_thread(generate_latest, registry), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/api/v1/status", response_model=Status, dependencies=[reading])
    async def status() -> Any:
        """How fresh the data are, how large the store is, and who listens for directives."""
        newest_at, size, stored = await asyncio.gather(
            asyncio.to_thread(store.newest_at), asyncio.to_thread(store.size), asyncio.to_thread(store.rows)
        )
        writing = store.health()
        own = sum(1 for item in warden.standing.alerts.values() if item.alert.state.value == "firing")
        now = asyncio.get_running_loop().time()
        listening = [
            {"service": service, "instance": instance}
            for instance, (service, at) in board.listeners.items()
            if now - at < LISTENING_SECONDS
        ]
        return as_json(
            {
                "version": __version__,
                "at": clock(),
                "newest_data_at": newest_at,
                "data_age_seconds": None if newest_at is None else max(0.0, (clock() - newest_at).total_seconds()),
                "database_bytes": size.total_bytes,
                "queued_bytes": writing.queued_bytes,
                "commits": writing.commits,
                "commit_seconds_last": writing.commit_seconds_last,
                "duplicates": writing.duplicates,
                "ticks": warden.stats.ticks,
                "judging": warden.stats.ticks > 0,
                "warmed": writing.warmed,
                "tick_failures": warden.stats.failures,
                "tick_seconds_last": warden.stats.seconds_last,
                "enforcement": warden.rules.policy.enforcement.value,
                "rules": warden.rules.source,
                "rules_warnings": warden.rules.warnings,
                "frozen": warden.standing.frozen,
                "directive_revision": board.current.revision,
                "listeners": listening,
                "firing": own + parts.pushed.firing,
                "quarantined": sum(1 for item in warden.standing.quarantines.values() if item.in_force),
                "verdict": _verdict(health, clock()),
                "rows": stored,
            }
        )

    @routes.get("/api/v1/health", response_model=Health, dependencies=[reading])
    async def own_health(
        minutes: Annotated[int, Query(ge=1, le=360, description="How much of the recent past, for charts")] = 60,
    ) -> Any:
        """Whether the collector itself is well: a verdict, every condition and what to do about it, the senders, and history."""
        at = clock()
        senders = health.senders
        readings, known = health.readings, warden.standing.acknowledgements
        return as_json(
            {
                "at": at,
                "began_at": health.began_at,
                "looked_at": readings.at,
                "verdict": _verdict(health, at),
                "now": {**asdict(readings), "seconds_until_full": readings.seconds_until_full},
                "conditions": [_condition(health, name, known) for name in health.conditions],
                "events": list(reversed(health.events)),
                "senders": {
                    "known": len(senders),
                    **{
                        word: sum(1 for item in senders if item.state == word)
                        for word in ("sending", "silent", "learning", "replaced", "ended")
                    },
                    "rows": [asdict(item) for item in senders[:MAX_SENDERS]],
                },
                "refused": [
                    {"signal": signal, "reason": reason, "items": count}
                    for (signal, reason), count in health.arrivals.refused.most_common()
                ],
                "history": health.history.columns(at - timedelta(minutes=minutes), MAX_STEPS),
            }
        )

    return routes


def _condition(health: HealthWatch, name: str, known: Iterable[Acknowledgement]) -> dict[str, Any]:
    condition = health.conditions[name]
    alert, rule = condition.alert, condition.rule
    return {
        "name": rule.name,
        "title": rule.title,
        "severity": rule.severity,
        "state": alert.state.value,
        "summary": condition.summary,
        "next_step": rule.next_step,
        "pending_at": alert.pending_at,
        "firing_at": alert.firing_at,
        "resolved_at": alert.resolved_at,
        "silenced_by": health.silenced_by(condition),
        "fingerprint": alert.fingerprint,
        **acknowledged(known, alert.fingerprint, alert.firing_at, health.now()),
    }


def _verdict(health: HealthWatch, at: datetime) -> dict[str, str]:
    old = at - health.readings.at
    if old > LATE:
        text = f"The collector last looked at itself {duration(old.total_seconds())} ago: its own checks hang. See its log."
        return {"level": "red", "text": text}
    return asdict(health.verdict)
