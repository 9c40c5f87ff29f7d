"""One POST to a receiver over HTTP: whatever goes wrong is an answer, for a receiver may be anything."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpcore2
import httpx2

from ..certificates import certificates
from .answer import Answer, Verdict

__all__ = ["TIMEOUT_SECONDS", "http_client", "post", "verdict_of"]

TIMEOUT_SECONDS = 5.0
"""Longest wait for a connection, and for each piece of an answer."""
WHOLE_SECONDS = 10.0
"""Longest time of one delivery in all: a receiver that answers a byte at a time must not hold its place for ever."""
MAX_HEAD_BYTES = 64 * 1024
"""Bytes that are read of an answer up to its status and headers, interim answers (1xx) included: several times what heads have."""
PIECE_BYTES = 4 * 1024
"""Bytes that are read at once: the parser works through a piece, which may be all interim answers, without letting anybody else run."""
_AGAIN = frozenset({408, 425, 429})
"""Answers that say "later", beside those of 500 and above."""


def http_client() -> httpx2.AsyncClient:
    """Return a client that waits so long and keeps no cookies: one receiver would fill the head of what is sent to another of its host."""
    client = httpx2.AsyncClient(timeout=TIMEOUT_SECONDS, verify=certificates())
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for transport in (client._transport, *client._mounts.values()):
        pool = getattr(
            transport, "_pool", None
        )  # the library has no other way to a backend that keeps proxies of the environment
        if pool is not None:
            pool._network_backend = _Bounded(pool._network_backend)
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
    except _EndlessAnswerError:
        return Answer(Verdict.MISSED, f"no end of the answer's headers within {MAX_HEAD_BYTES // 1024} KiB")
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


class _EndlessAnswerError(Exception):
    """An answer has more before its body than any server sends."""


class _Bounded(httpcore2.AsyncNetworkBackend):
    """Connections of which what is read at once, and for each request in all, is bounded."""

    def __init__(self, backend: httpcore2.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(self, *arguments: Any, **options: Any) -> httpcore2.AsyncNetworkStream:
        return _BoundedStream(await self._backend.connect_tcp(*arguments, **options))

    async def connect_unix_socket(self, *arguments: Any, **options: Any) -> httpcore2.AsyncNetworkStream:
        return _BoundedStream(await self._backend.connect_unix_socket(*arguments, **options))

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class _BoundedStream(httpcore2.AsyncNetworkStream):
    """A connection; what is written begins a request."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream, self._read_bytes = stream, 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(min(max_bytes, PIECE_BYTES), timeout)
        self._read_bytes += len(data)
        if self._read_bytes > MAX_HEAD_BYTES:
            raise _EndlessAnswerError
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._read_bytes = 0
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(self, *arguments: Any, **options: Any) -> httpcore2.AsyncNetworkStream:
        return _BoundedStream(await self._stream.start_tls(*arguments, **options))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
