"""The dashboards' door: the names they are reached by, and on whose behalf a visitor comes. Streamlit sees nothing before it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

from plugwarden_collector.web.caller import LOCAL_NAMES, host_name, other_page, wrong_host
from plugwarden_collector.web.headers import COMMON_HEADERS, with_headers
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["HEADERS", "PROBE", "door", "loopback", "names_of"]

PROBE = "/readyz"
"""Says that we are here, and nothing else."""
_UNUSED = (
    "/_stcore/agent",  # drives the app without a browser
    "/_stcore/metrics",
    "/_stcore/script-health-check",
    "/_stcore/upload_file",  # no page takes files, and Streamlit would keep 200 MB of each in memory
    "/auth/",
    "/oauth2callback",
)
"""Routes of Streamlit's that no page of ours uses."""
HEADERS = {
    **COMMON_HEADERS,
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "content-security-policy": "; ".join(
        (
            "default-src 'self'",
            # Streamlit's page starts itself with a script in the page; Vega compiles the expressions of charts.
            "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
            # Streamlit's components write their styles into the page.
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            # Nothing that was smuggled into a page can send what it sees anywhere else.
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    ),
}
"""Headers of each answer. Nothing may be loaded from, or sent to, another place."""
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")


def loopback(host: str) -> bool:
    """Whether only this machine reaches an address; an empty one is 127.0.0.1."""
    if host in {"", "localhost"}:
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def names_of(host: str, told: Sequence[str]) -> frozenset[str]:
    """The names to serve: this machine's, the address itself unless it stands for all, and those told.

    Raises `ValueError` where one is no name of a host.
    """
    names = set(LOCAL_NAMES)
    try:
        if not ip_address(host.strip("[]")).is_unspecified:
            names.add(host_name(host))
    except ValueError:
        names.add(host_name(host or "127.0.0.1"))
    for name in told:
        plain = name.strip().lower().removesuffix(".")
        if not _NAME.fullmatch(plain):
            raise ValueError(
                f"{name!r} is not the name of a host, such as plugwarden.example.org (no scheme, port or *)"
            )
        names.add(plain)
    return frozenset(names)


def door(
    app: ASGIApp, names: frozenset[str], probed_by_any_name: bool, instead: Callable[[HTTPConnection], Response | None]
) -> Callable[..., Any]:
    """The middleware. Probes of an orchestrator ask for an address that nobody told us: they may, for `PROBE` alone.

    `instead` is what a browser gets that has to sign in first.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await app(scope, receive, send)
            return
        refused = _refusal(scope, names)
        if refused is not None and not (probed_by_any_name and scope["type"] == "http" and scope["path"] == PROBE):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})  # before it is open: the server says 403
            else:
                await refused(scope, receive, send)
            return
        await (instead(HTTPConnection(scope)) or app)(scope, receive, send)

    return with_headers(guarded, HEADERS)


def _refusal(scope: Scope, names: frozenset[str]) -> Response | None:
    headers = scope["headers"]
    host = wrong_host(headers, names)
    if host is not None:
        text = f"The dashboards do not serve the name {host!r}. If it is theirs, start them with --host-name and that name."
        return PlainTextResponse(text, 400)
    page = other_page(headers, scope.get("method", "WEBSOCKET"))
    if page is not None:
        return PlainTextResponse(f"A web page elsewhere ({page}) must not use the dashboards.", 403)
    if scope["path"].startswith(_UNUSED):
        return PlainTextResponse("Nothing is here.", 404)
    return None
