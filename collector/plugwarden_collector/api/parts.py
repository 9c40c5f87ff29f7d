"""What the routes of the API need, as one value: the collector's parts, who may do what, and threads to do it in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Query, Request
from prometheus_client.registry import CollectorRegistry

from plugwarden_collector.announce.board import Board
from plugwarden_collector.announce.notify import Notifier
from plugwarden_collector.audit.access_log import AccessLog
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.clock import Clock
from plugwarden_collector.control.hands import Hands
from plugwarden_collector.control.live import Warden
from plugwarden_collector.control.watching import Watching
from plugwarden_collector.health import HealthWatch
from plugwarden_collector.pushed import PushedAlerts
from plugwarden_collector.store import Audit, Database, Ledger, Telemetry, Writer
from plugwarden_collector.store.upkeep import Keep
from plugwarden_collector.web.auth import Principal, TokenBook
from plugwarden_collector.web.time_range import TimeRange

from .request_counts import ApiCalls
from .threads import Room

__all__ = ["Parts", "actor", "peer"]

ACT_THREADS, READ_THREADS, FLEET_THREADS = 2, 2, 2
WAITING = 256
"""Calls that may wait for a thread; each page of a dashboard asks for about ten things."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Made once at start. Permissions are checked here and nowhere else: a route names the one it needs."""

    database: Database
    writer: Writer
    telemetry: Telemetry
    warden: Warden
    board: Board
    tokens: TokenBook
    registry: CollectorRegistry
    clock: Clock
    ready: Callable[[], str | None]
    """Why the collector is not ready, or None."""
    health: HealthWatch
    calls: ApiCalls
    pushed: PushedAlerts
    ledger: Ledger
    access: AccessLog
    notifier: Notifier
    watching: Watching
    keep: Keep
    """How long telemetry is kept."""
    public_url: str
    """Where people reach the dashboards; empty where nobody said."""
    acts: Room = field(default_factory=lambda: Room("act", ACT_THREADS, WAITING))
    """Threads for what people do, which never waits for readers."""
    reads: Room = field(default_factory=lambda: Room("read", READ_THREADS, WAITING))
    fleet_threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(FLEET_THREADS, "plugwarden-fleet")
    )
    """Threads for pages of the fleet alone: the first look after a while reads much, and whoever else looks waits for it, not
    everybody."""

    @property
    def hands(self) -> Hands:
        """What people do about being told."""
        return Hands(self.warden, self.health.subjects, self.clock)

    @property
    def audit(self) -> Audit:
        """The chains of the ledger."""
        return self.ledger.audit

    def needs(self, permission: str) -> Any:
        """Return the dependency that lets in who holds a permission, and answers 401 or 403 to others."""

        def check(request: Request) -> Principal:
            principal = self.tokens.principal(request.headers.get("authorization"))
            if principal is None:
                why = "an unknown token" if request.headers.get("authorization") else "no token"
                self.access.refused(peer(request), _route(request), why)
                raise HTTPException(401, "send `Authorization: Bearer TOKEN`", {"www-authenticate": "Bearer"})
            if not principal.may(permission):
                self.access.refused(peer(request), _route(request), f"lacks the scope {permission}", principal.name)
                raise HTTPException(403, f"this token lacks the scope {permission!r}")
            request.state.principal = principal
            return principal

        return Depends(check)

    @property
    def time_range(self) -> Any:
        """The dependency that reads `since` and `until`."""

        def read(
            since: Annotated[str | None, Query(description='ISO 8601 (UTC), or "15m" for that long ago')] = None,
            until: Annotated[str | None, Query(description="ISO 8601 (UTC); none: now")] = None,
        ) -> TimeRange:
            try:
                return TimeRange.parse(since, until, self.clock())
            except ValueError as error:
                raise HTTPException(422, str(error)) from error

        return Depends(read)

    def close(self) -> None:
        """Let the threads go, once nobody is answered any more."""
        self.acts.close()
        self.reads.close()
        self.fleet_threads.shutdown(wait=False, cancel_futures=True)

    async def in_fleet(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Return what `work` answers, from a thread for questions about all plugins."""
        return await asyncio.get_running_loop().run_in_executor(self.fleet_threads, work, *arguments)

    async def catch_up(self) -> None:
        """Count what is stored and not counted yet."""
        if not self.telemetry.ingest.caught_up:
            await asyncio.wrap_future(self.telemetry.ingest.catch_up(self.clock()))


def peer(request: Request) -> str:
    """Return the address that a request comes from."""
    return "an unknown address" if request.client is None else request.client.host


def actor(who: Principal, says: str | None) -> Actor:
    """Return who acts: the token's name, and beside it on whose behalf, as said by them."""
    return Actor(who.name, says)


def _route(request: Request) -> str:
    """As it is written in the code: what a stranger puts into a path must not fill the log."""
    return f"{request.method} {getattr(request.scope.get('route'), 'path', 'an unknown path')}"
