"""What a web host answers when the gate refuses a call: 503 with `Retry-After`, and nothing about the host's insides.

try:
    answer = view(request)
except CallNotPermitted as error:
    refused = http_refusal(error)
    return Response(refused.body, refused.status, dict(refused.headers))
"""

from __future__ import annotations

import math

from plugwarden.contract.value import value
from plugwarden.errors import CallNotPermitted

__all__ = ["HttpRefusal", "http_refusal"]

UNKNOWN_SECONDS = 30.0
"""Told to clients where nothing says when another try may succeed."""


@value
class HttpRefusal:
    """An answer, in the words of HTTP."""

    status: int
    """503."""
    headers: tuple[tuple[str, str], ...]
    """Names in lower case; `retry-after` in whole seconds, 1 or more, is always among them."""
    body: bytes
    """A line of text with the reason as a fixed word."""

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as ASGI wants them."""
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]


def http_refusal(error: CallNotPermitted) -> HttpRefusal:
    """The answer to a request whose call was refused."""
    seconds = error.retry_after_seconds
    if seconds is None or not 0 <= seconds < math.inf:
        seconds = UNKNOWN_SECONDS
    body = f"this part of the service is not available: {error.reason.value}".encode()
    headers = (
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", str(len(body))),
        ("retry-after", str(max(1, math.ceil(seconds)))),  # never sooner than the gate lets the next one in
    )
    return HttpRefusal(503, headers, body)
