"""Routes that alerts are pushed to: Alertmanager's own API, as Prometheus uses it, and the webhook that an Alertmanager tells."""

from typing import Any

from fastapi import Request
from starlette.responses import Response

from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import Pushed
from plugwarden_collector.api.parts import Parts, peer
from plugwarden_collector.api.render import as_json
from plugwarden_collector.figures import counted
from plugwarden_collector.pushed import MalformedAlertsError, Reader, read_alerts, read_notice
from plugwarden_collector.pushed.reading import MAX_ALERTS
from plugwarden_collector.web.problem import problem

__all__ = ["pushed_routes"]

NAMED = 100
"""Refused alerts that an answer names; the rest is counted."""
_PROBLEMS = {**problems(415), **problems(400, model="PushProblem")}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_TIME = {"type": "string", "format": "date-time"}
_LABELLED = {
    "labels": _TEXTS,
    "annotations": _TEXTS,
    "startsAt": _TIME,
    "endsAt": _TIME,
    "generatorURL": {"type": "string"},
}


def _list_of(required: list[str], **more: Any) -> dict[str, Any]:
    each = {"type": "object", "required": required, "properties": {**_LABELLED, **more}}
    return {"type": "array", "maxItems": MAX_ALERTS, "items": each}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_ALERTS = _body(_list_of(["labels"]))
_NOTICE = _body(
    {
        "type": "object",
        "required": ["version", "alerts"],
        "properties": {
            "version": {"const": "4"},
            "alerts": _list_of(["labels", "status"], status={"enum": ["firing", "resolved"]}),
        },
    }
)


def pushed_routes(parts: Parts) -> Routes:
    """Return the routes that alerts are pushed to. What a push changed goes into the access log."""
    router = Routes(tags=["alertmanager"], dependencies=[parts.needs("operate")])

    @router.post("/api/v2/alerts", response_model=Pushed, responses=_PROBLEMS, openapi_extra=_ALERTS)
    async def push_alerts(request: Request) -> Response:
        """Alerts that a Prometheus pushes; they are shown beside our own, until `endsAt` or until they are not pushed for five
        minutes. Of a request with bad alerts the good ones are taken, and the answer is 400 and names the bad ones."""
        return await _taken(parts, request, read_alerts)

    @router.post("/api/v1/pushed/alertmanager", response_model=Pushed, responses=_PROBLEMS, openapi_extra=_NOTICE)
    async def push_notice(request: Request) -> Response:
        """What an Alertmanager posts to a webhook (`webhook_configs`). An alert fires until its end is told, or until it was not told
        again for a day. What is wrong with alerts is answered as at `/api/v2/alerts`."""
        return await _taken(parts, request, read_notice)

    return router


async def _taken(parts: Parts, request: Request, read: Reader) -> Response:
    path = request.url.path
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        # Whatever else a web page elsewhere may send without asking first, as a form or as plain text.
        return problem(path, 415, "not JSON", "content-type: must be application/json")
    try:
        taken, refused, changed = await parts.pushed.take(await request.body(), read)
    except MalformedAlertsError as error:
        return problem(path, 400, "no alerts", str(error))
    if changed:
        parts.access.alerts(request.state.principal.name, peer(request), changed)
    if not refused:
        return as_json({})
    named = [{"index": item.index, "field": item.field, "problem": item.why} for item in refused[:NAMED]]
    texts = "; ".join(f"alert {item.index}{'.' * bool(item.field)}{item.field}: {item.why}" for item in refused[:3])
    more = f"; and {len(refused) - 3} more" if len(refused) > 3 else ""
    text = f"{counted(taken, 'alert is', 'alerts are')} taken, {counted(len(refused), 'is', 'are')} not: {texts}{more}"
    return problem(path, 400, "some alerts cannot be taken", text, taken=taken, refused=len(refused), errors=named)
