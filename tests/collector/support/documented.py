"""Every answer of a collector's API in these tests, held against the OpenAPI document that the same collector hands out."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import jsonschema
from plugwarden_collector.api import app as api
from plugwarden_collector.web.problem import ALERTMANAGER
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Answer", "Answers", "document", "faults", "watching"]

MAX_BYTES = 4_000_000
"""A longer answer is not held: it has the shape of a shorter one."""
FORMATS = jsonschema.FormatChecker(())
FORMATS.checks("date-time", ValueError)(lambda text: not isinstance(text, str) or bool(datetime.fromisoformat(text)))


@dataclass(frozen=True)
class Answer:
    """What was answered to one request."""

    method: str
    path: str
    """As it was sent, quoted."""
    status: int
    media_type: str
    body: bytes


@dataclass
class Answers:
    """The answers of one collector; the same answer is held once."""

    seen: dict[Answer, None] = field(default_factory=dict)

    def check(self) -> None:
        """Raise `AssertionError` that names what the document does not say."""
        found = [f"{item.method} {item.path}: {fault}" for item in self.seen for fault in faults(item)]
        assert not found, "answers are not as /openapi.json says: " + "; ".join(found[:5])


_watched: dict[Any, Answers] = {}
"""By the database's path: what a start and a test have in common."""
_api_app = api.api_app
_apps: deque[Any] = deque(maxlen=1)
"""Of the last start."""


@contextmanager
def watching(data: Any) -> Iterator[Answers]:
    """Note the answers of the collector over a data folder that starts within the block; check them at its end."""
    answers = _watched[data.resolve()] = Answers()
    try:
        yield answers
        answers.check()
    finally:
        _watched.pop(data.resolve(), None)


def _watched_app(parts: api.Parts) -> Any:
    app = _api_app(parts)
    answers = _watched.get(parts.database.path.parent.resolve())
    if answers is None:
        return app
    _apps.append(app)
    return _noting(app, answers)


api.api_app = _watched_app


@cache
def document() -> Mapping[str, Any]:
    """Return what `/openapi.json` answers, the same for every collector of a process, with all objects closed."""
    endpoint = next(route.endpoint for route in _apps[0].routes if getattr(route, "path", "") == "/openapi.json")
    found: Mapping[str, Any] = json.loads(asyncio.run(endpoint(None)).body)
    _forbid_more(found["components"]["schemas"])
    return found


def _forbid_more(node: Any) -> None:
    """Let no object have members that its schema does not name. Clients are told that there may be more: we know better."""
    if isinstance(node, dict):
        if "properties" in node:
            node.setdefault("additionalProperties", False)
        for inner in node.values():
            _forbid_more(inner)
    elif isinstance(node, list):
        for inner in node:
            _forbid_more(inner)


def _noting(app: ASGIApp, answers: Answers) -> ASGIApp:
    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        status, media_type, body = 0, "", bytearray()

        async def note(message: Message) -> None:
            nonlocal status, media_type
            if message["type"] == "http.response.start":
                status = message["status"]
                media_type = dict(message["headers"]).get(b"content-type", b"").decode().partition(";")[0].lower()
            elif len(body) <= MAX_BYTES:
                body.extend(message.get("body", b""))
                if not message.get("more_body") and len(body) <= MAX_BYTES:
                    path = scope.get("raw_path", b"").decode("latin-1").partition("?")[0]
                    kept = bytes(body) if media_type.endswith("json") else b""
                    answers.seen[Answer(scope["method"], path, status, media_type, kept)] = None
            await send(message)

        await app(scope, receive, note)

    return noted


def faults(answer: Answer) -> Iterator[str]:
    """Yield what an answer has that the document does not say of it, or lacks."""
    operation = _operation(answer)
    if operation is None:  # nobody's route: no more than a refusal can be expected
        if answer.status >= 400 and answer.body:
            text = answer.path.startswith(ALERTMANAGER)
            yield from _faults_of(answer, {"type": "string"} if text else {"$ref": "#/components/schemas/Problem"})
        return
    responses = operation["responses"]
    said = responses.get(str(answer.status), responses["default"] if answer.status >= 400 else None)
    if said is None:
        yield f"status {answer.status} is not documented"
        return
    content = said.get("content", {})
    if not content or answer.method == "HEAD" or answer.status == 499:
        return
    if answer.media_type not in content:
        yield f"{answer.status} as {answer.media_type or 'nothing'} is not documented"
    elif answer.media_type.endswith("json"):
        yield from _faults_of(answer, content[answer.media_type]["schema"])


def _operation(answer: Answer) -> Any:
    for template, methods in document()["paths"].items():
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]*", re.escape(template)), answer.path):
            return methods.get(answer.method.lower())
    return None


def _faults_of(answer: Answer, schema: Mapping[str, Any]) -> Iterator[str]:
    try:
        value = json.loads(answer.body)
    except ValueError as error:
        yield f"{answer.status} is no JSON: {error}"
        return
    for fault in _validator(json.dumps(schema)).iter_errors(value):
        yield f"{answer.status} {fault.json_path}: {fault.message[:200]}"


@cache
def _validator(schema: str) -> Any:
    whole = {**json.loads(schema), "components": document()["components"]}
    return jsonschema.Draft202012Validator(whole, format_checker=FORMATS)
