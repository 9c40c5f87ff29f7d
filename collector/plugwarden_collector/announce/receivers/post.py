"""One POST to a receiver over HTTP: whatever goes wrong is an answer, for a receiver may be anything."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy

import httpx2

from ..certificates import certificates
from .answer import Answer, Verdict

__all__ = ["TIMEOUT_SECONDS", "http_client", "post", "verdict_of"]

TIMEOUT_SECONDS = 5.0
"""Longest wait for a connection, and for each piece of an answer."""
WHOLE_SECONDS = 10.0
"""Longest time of one delivery in all: a receiver that answers a byte at a time must not hold its place for ever."""

_AGAIN = frozenset({408, 425, 429})
"""Answers that say "later", beside those of 500 and above."""


def http_client() -> httpx2.AsyncClient:
    """Return a client that waits so long and keeps no cookies: one receiver would fill the head of what is sent to another of its host."""
    client = httpx2.AsyncClient(timeout=TIMEOUT_SECONDS, verify=certificates())
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return client


async def post(
    client: httpx2.AsyncClient,
    url: str,
    body: str,
    attempt: str,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> Answer:
    """Return what the receiver at an address made of a body."""
    sent = {"content-type": content_type, "plugwarden-attempt": attempt, **(headers or {})}
    try:
        async with asyncio.timeout(WHOLE_SECONDS):
            # Streamed, so that an answer without an end is not read.
            async with client.stream("POST", url, content=body.encode("utf-8", "replace"), headers=sent) as answer:
                return verdict_of(answer.status_code, answer.headers.get("retry-after"))
    except TimeoutError:
        return Answer(Verdict.MISSED, f"no answer within {WHOLE_SECONDS:g} s")
    except httpx2.TimeoutException as problem:
        return Answer(Verdict.MISSED, f"no answer within {TIMEOUT_SECONDS:g} s ({type(problem).__name__})")
    except Exception as problem:  # noqa: BLE001 - told to whoever asked, and the others want their alerts
        # Not its text: a library may name the address in it, which is often the secret.
        return Answer(Verdict.MISSED, f"no answer ({type(problem).__name__})")


def verdict_of(status: int, retry_after: str | None = None) -> Answer:
    """Return what a status of HTTP says, and how long to wait where the receiver asks for that in seconds."""
    if 200 <= status < 300:
        return Answer(Verdict.TAKEN)
    later = status >= 500 or status in _AGAIN
    try:
        wait = max(0.0, float(retry_after or 0.0))
    except ValueError:
        wait = 0.0  # a date: 429 is backed off from as from any trouble
    error = f"the receiver answered {status}"
    return Answer(Verdict.MISSED if later else Verdict.REFUSED, error, wait if later and math.isfinite(wait) else 0.0)
