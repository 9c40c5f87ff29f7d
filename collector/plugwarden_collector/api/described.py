"""Routes that say what they answer, and the OpenAPI document made of that when it is first asked for.

A route sends bytes that nobody converts once more. What it says of them costs a start nothing: to work out the schemas of all
answers takes as long as all else that the API does to start.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any, get_args

from fastapi import APIRouter, FastAPI
from fastapi.datastructures import DefaultPlaceholder
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from plugwarden_collector.web.problem import ALERTMANAGER

from .models import Problem, PushProblem
from .models.answer import Answer

__all__ = ["NO_TOKEN", "REFERENCE", "Document", "Routes", "operation_id", "problems", "sends"]

PROBLEM = "application/problem+json"
NO_TOKEN: dict[str, Any] = {"security": []}
"""`openapi_extra` of a route that anybody may ask."""
TAGS = {
    "health": "The collector itself; says nothing of any plugin's health.",
    "sql": "Read-only SQL over the stable views.",
    "plugins": "How plugins stand, and their calls.",
    "judging": "Rules, objectives, alerts and silences.",
    "capacity": "What plugins ask of their hosts.",
    "traces": "Traces that sampling kept.",
    "quarantine": "What is taken out of service, and by whom.",
    "directives": "What sidecars obey.",
    "alertmanager": "Alertmanager's own API.",
    "upkeep": "What people decide about the store.",
    "store": "The store as a file.",
    "audit": "The decision log.",
}
REFERENCE = "#/components/schemas/{model}"
SETTINGS = "__pydantic_config__"
"""Attribute in which pydantic looks for the settings of a dataclass."""


class Routes(APIRouter):
    """A router whose `response_model` is for the document alone; every route may answer with a problem."""

    def __init__(self, **options: Any) -> None:
        super().__init__(responses=problems(401, 403, 422, 503, "default"), **options)
        self.answers: dict[str, Any] = {}
        """Operation -> what it answers."""

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Add a route, as FastAPI does."""
        model = options.pop("response_model")
        if not isinstance(model, DefaultPlaceholder):
            self.answers[endpoint.__name__] = model
        super().add_api_route(path, endpoint, response_model=None, **options)


def operation_id(route: APIRoute) -> str:
    """Return what generated clients call a route: the name of its function. A test holds them, for they are a promise."""
    return route.name


def problems(*statuses: int | str, model: str = "Problem") -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may answer with problem documents."""
    content = {PROBLEM: {"schema": {"$ref": REFERENCE.format(model=model)}}}
    return {status: {"description": "Why not", "content": content} for status in statuses}


def sends(media_type: str, **schema: Any) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that sends something other than JSON."""
    return {200: {"content": {media_type: {"schema": {"type": "string", "contentMediaType": media_type}, **schema}}}}


class Document:
    """The OpenAPI document of an application, as bytes. Made once, by whoever asks first, in any thread."""

    def __init__(self, app: FastAPI, answers: Mapping[str, Any]) -> None:
        self._app, self._answers = app, answers
        self._lock = threading.Lock()
        self._made: bytes | None = None

    def __call__(self) -> bytes:
        """Return it."""
        with self._lock:
            if self._made is None:
                self._made = json.dumps(_whole(self._app.openapi(), self._answers), ensure_ascii=False).encode()
            return self._made


def _whole(document: dict[str, Any], answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with the schemas of all answers, and with what no route says by itself."""
    kinds = {**answers, "problem": Problem, "push_problem": PushProblem}
    inputs: list[tuple[str, Any, TypeAdapter[Any]]] = [
        (name, "serialization", _adapter(kind)) for name, kind in kinds.items()
    ]
    found, shared = TypeAdapter.json_schemas(inputs, ref_template=REFERENCE)
    for path, operation in ((path, item) for path, items in document["paths"].items() for item in items.values()):
        responses = operation["responses"]
        if path.startswith(ALERTMANAGER):
            del responses["422"]  # it answers 400
            for response in responses.values():
                if response["content"].pop(PROBLEM, None) is not None:
                    response["content"]["application/json"] = {"schema": {"type": "string"}}
        if operation["operationId"] in answers:
            done = next(answer for status, answer in responses.items() if status in {"200", "201"})
            done["content"]["application/json"]["schema"] = found[operation["operationId"], "serialization"]
        if operation.get("security") == []:
            del responses["401"], responses["403"]
        if "parameters" not in operation and "requestBody" not in operation:
            responses.pop("422", None)
    components = document["components"]
    components["schemas"] |= shared["$defs"]
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        **document,
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "security": [{"token": []}, {}],  # on a loopback address none is needed
    }


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return what makes the schema of an answer. Rows of the store know nothing of it: they get the settings of answers here."""
    for row in (kind, *get_args(kind)):
        if is_dataclass(row) and not hasattr(row, SETTINGS):
            setattr(row, SETTINGS, Answer.__pydantic_config__)
    return TypeAdapter(kind)
