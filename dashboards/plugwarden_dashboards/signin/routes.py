"""The sign-in over HTTP: what is answered to a page that is asked for without one, to the form, and to what it sends."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from urllib.parse import parse_qs

from plugwarden_collector.api.client import ApiError
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from plugwarden_dashboards.signin.attempts import Attempts
from plugwarden_dashboards.signin.cookie import identity_of, set_cookie
from plugwarden_dashboards.signin.form import HEADERS, PATH, back, bounce, form, sign_in_address
from plugwarden_dashboards.signin.sessions import Ended, Session, Sessions

__all__ = ["SignIn"]

MOST_BYTES = 8192
"""Bytes of what the form sends: a token of a thousand characters and an address of two thousand."""
BODY_SECONDS = 10.0
"""Seconds that the form's few bytes may take."""
MOST_TOKEN = 1000


class SignIn:
    """The sign-in of these dashboards."""

    def __init__(
        self,
        sessions: Sessions,
        clock: Callable[[], float],
        ask: Callable[[str], str],
        needed: Callable[[HTTPConnection], bool],
    ) -> None:
        """`ask` returns the name of a token or raises `ApiError`; `needed` is whether a visitor has to sign in at all."""
        self._sessions, self._clock, self._ask, self._needed = sessions, clock, ask, needed
        self._attempts = Attempts()

    def instead(self, connection: HTTPConnection) -> Response | None:
        """Return what to answer in place of a page, to a browser that asks for one and is not signed in."""
        scope = connection.scope
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] == PATH:
            return None
        if "text/html" not in connection.headers.get("accept", "") or not self._needed(connection):
            return None
        identity = identity_of(connection.cookies)
        if identity is not None and isinstance(self._sessions.use(identity, self._clock()), Session):
            return None
        address = sign_in_address(scope["path"], scope["query_string"].decode("latin-1"))
        return HTMLResponse(bounce(address), headers=HEADERS)

    async def show(self, request: Request) -> Response:
        """Answer with the form, and why one has to sign in again; whoever is signed in goes on to where they wanted."""
        goes = back(request.query_params.get("next", "/"))
        if not self._needed(request):
            return _on(goes)
        identity = identity_of(request.cookies)
        found = None if identity is None else self._sessions.look(identity, self._clock())
        return _on(goes) if isinstance(found, Session) else _form(found.value if isinstance(found, Ended) else "", goes)

    async def enter(self, request: Request) -> Response:
        """Sign in whoever sends a token that the collector knows and that may look."""
        origin = request.headers.get("origin")
        if origin is None:
            # The door has refused the origins of others; a browser that says none may come from anywhere.
            return _form("Your browser did not say which page this form comes from. Try another one.", "/", 403)
        fields = await _fields(request)
        if fields is None:
            return _form("That was no form of this page. Try again.", "/", 400)
        token, goes = fields.get("token", [""])[0].strip(), back(fields.get("next", ["/"])[0])
        address = _address(request)
        wait = self._attempts.take(address, self._clock())
        if wait > 0:
            answer = _form(f"Too many attempts. Try again in {math.ceil(wait)} s.", goes, 429)
            answer.headers["retry-after"] = str(math.ceil(wait))
            return answer
        try:
            person = await asyncio.to_thread(self._ask, token) if _sendable(token) else None
        except ApiError as error:
            if error.status not in {401, 403}:
                self._attempts.give_back(address, self._clock())
            problem, status = _said(error)
            return _form(problem, goes, status)
        if person is None:
            return _form(_UNKNOWN, goes, 401)
        self._attempts.give_back(address, self._clock())
        before = identity_of(request.cookies)
        if before is not None:
            self._sessions.end(before, Ended.OUT)
        identity = self._sessions.begin(token, person, self._clock())
        answer = _on(goes)
        # By the browser's own word, and not by what a proxy may or may not add.
        answer.headers["set-cookie"] = set_cookie(identity, secure=origin.lower().startswith("https://"))
        return answer


_UNKNOWN = "The collector does not know this token. Its tokens are in PLUGWARDEN_TOKEN and PLUGWARDEN_TOKENS_FILE of the collector."


def _said(error: ApiError) -> tuple[str, int]:
    """Return what a refusal means, without what the collector says of itself: this is read by strangers, too."""
    if error.status == 401:
        return _UNKNOWN, 401
    if error.status == 403:
        return "The collector knows this token, but it may not look: it lacks the scope read.", 403
    return "The collector does not answer, so that nobody can sign in. Try again soon; your token may be right.", 503


async def _fields(request: Request) -> dict[str, list[str]] | None:
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return None
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BYTES:
                    return None
        return parse_qs(body.decode("ascii"), max_num_fields=8)
    except (TimeoutError, ValueError):
        return None


def _sendable(token: str) -> bool:
    return 0 < len(token) <= MOST_TOKEN and token.isascii() and token.isprintable() and " " not in token


def _address(request: Request) -> str:
    """Return whose attempts these are: who is connected, and for whom a proxy says that it asks.

    Whoever makes that up is held by what all together may.
    """
    peer = request.client.host if request.client else ""
    last = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()[:64]
    return f"{peer} {last}"


def _form(problem: str, goes: str, status: int = 200) -> Response:
    return HTMLResponse(form(problem, goes), status, headers=HEADERS)


def _on(goes: str) -> Response:
    return RedirectResponse(goes, 303, headers={"cache-control": "no-store"})
