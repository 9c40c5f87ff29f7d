"""What a sender is: it takes one encoded request and says what became of it."""

from __future__ import annotations

import enum
from typing import Final, Protocol

__all__ = ["REQUEST_TIMEOUT_SECONDS", "SIGNALS", "Sender", "Verdict", "verdict_of"]

SIGNALS: Final = {"spans": "traces", "metrics": "metrics", "logs": "logs"}
"""A signal's name with us -> in OpenTelemetry's variables and paths."""
REQUEST_TIMEOUT_SECONDS = 5.0
"""One request. Shorter than OpenTelemetry's 10 s: what fails is kept here and tried again anyway."""
_PERMANENT_STATUS = frozenset({400, 405, 413, 414, 415, 422})
"""Answers that say the bytes are wrong, so that sending them again cannot help. An address may yet be mended, so 404 is tried
again."""
_DENIED_STATUS = frozenset({401, 403})


class Verdict(enum.Enum):
    """What became of one sending."""

    TAKEN = "taken"
    RETRY = "retry"
    REFUSED = "refused"
    """It will never be taken."""
    DENIED = "denied"
    """Whoever sent it is not let in. Tried again: a token may yet be set."""


def verdict_of(status: int) -> Verdict:
    """What an HTTP status says; 0, where there was none, is to be tried again."""
    if 200 <= status < 300:
        return Verdict.TAKEN
    if status in _DENIED_STATUS:
        return Verdict.DENIED
    return Verdict.REFUSED if status in _PERMANENT_STATUS else Verdict.RETRY


class Sender(Protocol):
    """Sends requests of one signal. One thread uses it; `shutdown` may be called from another."""

    def send(self, data: bytes) -> Verdict:
        """Send one request (protobuf); blocks up to `REQUEST_TIMEOUT_SECONDS` and raises nothing of the network's."""

    def shutdown(self) -> None:
        """Let connections go."""
