"""What a sender is: it takes one encoded request and says what became of it."""

from __future__ import annotations

import enum
from typing import Final, Protocol

__all__ = ["PERMANENT_STATUS", "REQUEST_TIMEOUT_SECONDS", "SIGNALS", "Sender", "Verdict"]

SIGNALS: Final = {"spans": "traces", "metrics": "metrics", "logs": "logs"}
"""A signal's name with us -> in OpenTelemetry's variables and paths."""
REQUEST_TIMEOUT_SECONDS = 5.0
"""One request. Shorter than OpenTelemetry's 10 s: what fails is kept here and tried again anyway."""
PERMANENT_STATUS = frozenset({400, 405, 413, 414, 415, 422})
"""Answers that say the bytes are wrong, so that sending them again cannot help. An address or a token may yet be
mended, so 401, 403 and 404 are tried again."""


class Verdict(enum.Enum):
    """What became of one sending."""

    TAKEN = "taken"
    RETRY = "retry"
    REFUSED = "refused"
    """It will never be taken."""


class Sender(Protocol):
    """Sends requests of one signal. One thread uses it; `shutdown` may be called from another."""

    def send(self, data: bytes) -> Verdict:
        """Send one request (protobuf); blocks up to `REQUEST_TIMEOUT_SECONDS` and raises nothing of the network's."""

    def shutdown(self) -> None:
        """Let connections go."""
