"""Who looks: somebody at this machine, who acts with the dashboards' token, or somebody who signed in with their own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import NoReturn

import streamlit as st
from plugwarden_collector.api.client import CollectorClient
from plugwarden_collector.web.caller import proxy_header

from plugwarden_dashboards.signin import Ended, Session, Sessions, SignIn
from plugwarden_dashboards.signin.cookie import identity_of

__all__ = [
    "LOGIN",
    "SESSIONS",
    "VIA",
    "at_this_machine",
    "name_of_token",
    "now",
    "refused",
    "session",
    "sign_in",
    "sign_out",
    "use",
]

LOGIN = "PLUGWARDEN_DASHBOARDS_LOGIN"
"""`required` where the dashboards can be reached from elsewhere; set by `serve`."""
VIA = "1.1 plugwarden-dashboards"
"""Sent with what is asked on behalf of others, so that a collector without tokens does not take it for its own machine's."""
SESSIONS = Sessions()
"""Who is signed in to this process: the server and the pages share it."""


def now() -> float:
    """Return the seconds by which sessions end. A clock that somebody sets back would make them last longer."""
    return time.monotonic()


def at_this_machine() -> bool:
    """Whether this visitor's browser is connected to us from this machine, with no proxy in between."""
    return not _brings_a_token(st.context.headers)


def session() -> Session | Ended:
    """Return who is signed in by this visitor's browser, or why nobody is."""
    identity = _identity()
    return Ended.NEVER if identity is None else SESSIONS.look(identity, now())


def use() -> Session | Ended:
    """Return the same, since the person does something."""
    identity = _identity()
    return Ended.NEVER if identity is None else SESSIONS.use(identity, now())


def sign_out() -> None:
    """Sign this browser out, in all its tabs."""
    _end(Ended.OUT)


def refused() -> NoReturn:
    """Sign out a visitor whose token the collector does not take any more, and draw the page that says so."""
    _end(Ended.REFUSED)
    st.rerun()


def sign_in() -> SignIn:
    """Return the sign-in of this process."""
    return SignIn(SESSIONS, now, name_of_token, lambda connection: _brings_a_token(connection.headers))


def name_of_token(token: str) -> str:
    """Ask the collector for the name of a token that may look; raises `ApiError`."""
    with CollectorClient(os.environ["PLUGWARDEN_COLLECTOR_URL"], token=token, timeout=5.0, via=VIA) as client:
        return str(client.get("caller")["name"])


def _brings_a_token(headers: Iterable[str]) -> bool:
    if os.environ.get(LOGIN) == "required":
        return True
    return proxy_header((name.lower().encode("latin-1", "replace"), b"") for name in headers) is not None


def _identity() -> str | None:
    return identity_of(st.context.cookies)


def _end(why: Ended) -> None:
    identity = _identity()
    if identity is not None:
        SESSIONS.end(identity, why)
