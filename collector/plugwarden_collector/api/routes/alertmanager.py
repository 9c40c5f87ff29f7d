"""Alertmanager's own API, version 2: `amtool`, and whatever speaks like it, reads alerts and makes silences here.

Annotations in this module are not postponed: FastAPI must see the dependencies, which are local names.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Query

from plugwarden_collector import __version__
from plugwarden_collector.api.alertmanager import Wanted, alerts_of, groups_of, silence_as, speaks_of
from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import SilenceEnd
from plugwarden_collector.api.models.alertmanager import (
    AlertGroup,
    AlertmanagerStatus,
    AlertReceiver,
    GettableAlert,
    GettableSilence,
    PostableSilence,
    SilenceId,
)
from plugwarden_collector.api.models.silences import MAX_AHEAD
from plugwarden_collector.api.parts import Parts, actor
from plugwarden_collector.api.render import as_json
from plugwarden_collector.decide.silence import MAX_SILENCE
from plugwarden_collector.errors import MatcherError
from plugwarden_collector.matcher import Matcher, Op, read_matcher
from plugwarden_collector.pushed import MAX_KEPT
from plugwarden_collector.web.auth import Principal

__all__ = ["alertmanager_routes"]

ENDED_KEPT = timedelta(days=5)
"""How long a silence that ended is listed: Alertmanager's `--data.retention`."""
Filter = Annotated[
    list[Annotated[str, Query(max_length=4096)]], Query(max_length=10, description='Matchers, such as `plugin="csv"`')
]


def _matchers(texts: Sequence[str]) -> tuple[Matcher, ...]:
    try:
        return tuple(map(read_matcher, texts))
    except MatcherError as error:
        raise HTTPException(400, f"filter: {error}") from error


def _wanted(
    filter: Filter = [],  # noqa: B006 - FastAPI copies it
    active: bool = True,
    silenced: bool = True,
    inhibited: bool = True,
    receiver: Annotated[str | None, Query(max_length=200, description="A pattern for a receiver's whole name")] = None,
) -> Wanted:
    try:
        named = None if receiver is None else Matcher("receiver", receiver, Op.LIKE)
    except MatcherError as error:
        raise HTTPException(400, f"receiver: {error}") from error
    return Wanted(_matchers(filter), active, silenced, inhibited, named)


def alertmanager_routes(parts: Parts) -> Routes:
    """Return the routes below /api/v2 but for that of pushed alerts."""
    routes = Routes(tags=["alertmanager"])
    acts, warden, hands, clock, began = parts.acts, parts.warden, parts.hands, parts.clock, parts.clock()
    reading, operating = parts.needs("read"), parts.needs("operate")
    Asked = Annotated[Wanted, Depends(_wanted)]

    async def found(wanted: Wanted) -> list[dict[str, Any]]:
        rows = await parts.reads.run(parts.ledger.alerts, MAX_KEPT)
        return alerts_of(hands.subjects(), rows, warden.rules.receivers, warden.silences, wanted, clock())

    @routes.get("/api/v2/status", response_model=AlertmanagerStatus, dependencies=[reading])
    async def alertmanager_status() -> Any:
        """What answers here; of the configuration, the names of receivers."""
        names = "".join(f"- name: {item['name']!r}\n" for item in _receivers(parts))
        version = {
            "version": __version__, "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": "",
        }  # fmt: skip
        return as_json(
            {
                "cluster": {"status": "disabled", "peers": []},
                "versionInfo": version,
                "config": {"original": f"receivers:\n{names}" if names else "receivers: []\n"},
                "uptime": began,
            }
        )

    @routes.get("/api/v2/receivers", response_model=list[AlertReceiver], dependencies=[reading])
    async def alertmanager_receivers() -> Any:
        """Receivers of what people must know of."""
        return as_json(_receivers(parts))

    @routes.get("/api/v2/alerts", response_model=list[GettableAlert], responses=problems(400), dependencies=[reading])
    async def alertmanager_alerts(wanted: Asked) -> Any:
        """What people are told of now (alerts, quarantines, suggestions, incidents), and what others pushed."""
        return as_json(await found(wanted))

    @routes.get(
        "/api/v2/alerts/groups", response_model=list[AlertGroup], responses=problems(400), dependencies=[reading]
    )
    async def alertmanager_groups(wanted: Asked) -> Any:
        """The same by receiver and plugin."""
        return as_json(groups_of(await found(wanted)))

    @routes.get(
        "/api/v2/silences", response_model=list[GettableSilence], responses=problems(400), dependencies=[reading]
    )
    async def alertmanager_silences(filter: Filter = []) -> Any:  # noqa: B006 - FastAPI copies it
        """Silences, those that ended within five days as well; of a filter, those that name such values."""
        matchers, at = _matchers(filter), clock()
        ended = await parts.reads.run(parts.ledger.ended_silences, at, at - ENDED_KEPT)
        shown = [item for item in (*warden.silences, *ended) if speaks_of(item, matchers)]
        return as_json([silence_as(item, at) for item in {item.id: item for item in shown}.values()])

    @routes.post("/api/v2/silences", response_model=SilenceId, responses=problems(400, 404, 409))
    async def alertmanager_silence(body: PostableSilence, who: Annotated[Principal, operating]) -> Any:
        """Make a silence, or change the one of that id: it ends later, or another takes its place."""
        at = clock()
        if body.endsAt <= max(at, body.startsAt):
            raise HTTPException(400, "endsAt: must be later than startsAt and than now")
        if body.endsAt - max(at, body.startsAt) > MAX_SILENCE:
            raise HTTPException(400, f"endsAt: a silence lasts {MAX_SILENCE.days} days at most; extend it then")
        if body.startsAt > at + MAX_AHEAD:
            raise HTTPException(400, f"startsAt: a silence begins at most {MAX_AHEAD.days} days ahead")
        matchers = tuple(item.matcher() for item in body.matchers)
        item = await acts.run(
            hands.change,
            body.id or None,
            matchers,
            body.startsAt,
            body.endsAt,
            body.comment,
            actor(who, body.createdBy or None),
        )
        return as_json({"silenceID": item.id})

    @routes.get(
        "/api/v2/silence/{identity:name}",
        response_model=GettableSilence,
        responses=problems(404),
        dependencies=[reading],
    )
    async def alertmanager_one_silence(identity: str) -> Any:
        """One silence."""
        at = clock()
        ended = await parts.reads.run(parts.ledger.ended_silences, at, at - ENDED_KEPT)
        item = next((item for item in (*warden.silences, *ended) if item.id == identity), None)
        if item is None:
            raise HTTPException(404, f"there is no silence {identity[:200]!r}")
        return as_json(silence_as(item, at))

    @routes.delete("/api/v2/silence/{identity:name}", response_model=SilenceEnd, responses=problems(404))
    async def alertmanager_end_silence(identity: str, who: Annotated[Principal, operating]) -> Any:
        """Take a silence back."""
        await acts.run(hands.unsilence, identity, "taken back through Alertmanager's API", actor(who, None))
        return as_json({"id": identity})

    return routes


def _receivers(parts: Parts) -> list[dict[str, str]]:
    return [{"name": item.name} for item in parts.warden.rules.receivers if item.is_told]
