"""The route of Alertmanager's own API: Prometheus, and whatever speaks like it, pushes alerts here."""

from fastapi import Request
from starlette.responses import Response

from plugwarden_collector.api.described import Routes, problems
from plugwarden_collector.api.models import Pushed
from plugwarden_collector.api.parts import Parts, peer
from plugwarden_collector.api.render import as_json
from plugwarden_collector.figures import counted
from plugwarden_collector.pushed import MalformedAlertsError
from plugwarden_collector.pushed.reading import MAX_ALERTS
from plugwarden_collector.web.problem import problem

__all__ = ["pushed_routes"]

NAMED = 100
"""Refused alerts that an answer names; the rest is counted."""
_PROBLEMS = {**problems(415), **problems(400, model="PushProblem")}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_TIME = {"type": "string", "format": "date-time"}
_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "array",
                "maxItems": MAX_ALERTS,
                "items": {
                    "type": "object",
                    "required": ["labels"],
                    "properties": {
                        "labels": _TEXTS,
                        "annotations": _TEXTS,
                        "startsAt": _TIME,
                        "endsAt": _TIME,
                        "generatorURL": {"type": "string"},
                    },
                },
            }
        }
    },
}


def pushed_routes(parts: Parts) -> Routes:
    """Return /api/v2/alerts. What a push changed goes into the access log."""
    router = Routes(tags=["alertmanager"], dependencies=[parts.needs("operate")])

    @router.post("/api/v2/alerts", response_model=Pushed, responses=_PROBLEMS, openapi_extra={"requestBody": _BODY})
    async def push_alerts(request: Request) -> Response:
        """Alerts that a Prometheus pushes; they are shown beside our own, until `endsAt` or until they are not pushed for five
        minutes. Of a request with bad alerts the good ones are taken, and the answer is 400 and names the bad ones."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            # Whatever else a web page elsewhere may send without asking first, as a form or as plain text.
            return problem(415, "not JSON", "content-type: must be application/json")
        try:
            taken, refused, changed = await parts.pushed.take(await request.body())
        except MalformedAlertsError as error:
            return problem(400, "not a list of alerts", str(error))
        if changed:
            parts.access.alerts(request.state.principal.name, peer(request), changed)
        if not refused:
            return as_json({})
        named = [{"index": item.index, "field": item.field, "problem": item.why} for item in refused[:NAMED]]
        texts = "; ".join(f"alert {item.index}{'.' * bool(item.field)}{item.field}: {item.why}" for item in refused[:3])
        more = f"; and {len(refused) - 3} more" if len(refused) > 3 else ""
        text = (
            f"{counted(taken, 'alert is', 'alerts are')} taken, {counted(len(refused), 'is', 'are')} not: {texts}{more}"
        )
        return problem(400, "some alerts cannot be taken", text, taken=taken, refused=len(refused), errors=named)

    return router
