"""What people were told, what receivers are owed, and giving it up.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from typing import Annotated, Any

from fastapi import Query

from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import GivenUp, GiveUpRequest, Notifications
from plugwarden_collector.api.parts import Parts, actor
from plugwarden_collector.api.render import as_json
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.control.giving_up import given_up
from plugwarden_collector.errors import NotFoundError
from plugwarden_collector.store.ledger import Delivery, settled
from plugwarden_collector.web.auth import Principal

__all__ = ["notification_routes"]

WRITE_TIMEOUT_SECONDS = 10.0
"""Longest wait for the decision log, as of other acts of people."""


def notification_routes(parts: Parts) -> Routes:
    """Return the routes below /api/v1/notifications."""
    routes = Routes(tags=["judging"])
    notifier, ledger = parts.notifier, parts.ledger
    reading, operating = parts.needs("read"), parts.needs("operate")

    @routes.get("/api/v1/notifications", response_model=Notifications, dependencies=[reading])
    async def notifications(limit: Annotated[int, Query(ge=1, le=10_000)] = 200) -> Any:
        """What receivers are owed, and the latest attempts to tell them something."""
        attempts = await parts.reads.run(ledger.notifications, limit)
        return as_json({"owed": notifier.owed, "attempts": [_attempt(item) for item in attempts]})

    @routes.post("/api/v1/notifications/give-up", response_model=GivenUp, responses=problems(404))
    async def give_up(body: GiveUpRequest, who: Annotated[Principal, operating]) -> Any:
        """Give up what a receiver is owed, of one subject or of all: nobody tells it any more."""

        def act() -> list[str]:
            return _give_up(parts, body.receiver, body.fingerprint, body.reason, actor(who, body.actor))

        return as_json({"receiver": body.receiver, "fingerprints": await parts.acts.run(act)})

    return routes


def _give_up(parts: Parts, receiver: str, fingerprint: str | None, reason: str, who: Actor) -> list[str]:
    """Return the subjects that are given up; first the decision log has it. Raises `NotFoundError` where nothing is owed."""
    owed = [
        item.fingerprint
        for item in parts.notifier.owed
        if item.receiver == receiver and fingerprint in (None, item.fingerprint)
    ]
    if not owed:
        what = "anything" if fingerprint is None else repr(fingerprint)
        raise NotFoundError(f"{receiver!r} is not owed {what}; `plugwarden notifications` lists what is")
    settled(parts.audit.append([given_up(receiver, owed, reason, who, parts.clock())]), WRITE_TIMEOUT_SECONDS)
    return parts.notifier.give_up(receiver, fingerprint, str(who), reason)


def _attempt(item: Delivery) -> dict[str, Any]:
    return {
        "time": item.at, "receiver": item.receiver, "fingerprint": item.fingerprint, "status": item.status,
        "attempt": item.attempt, "error": item.error, "id": item.id, "finished_at": item.finished_at,
    }  # fmt: skip
