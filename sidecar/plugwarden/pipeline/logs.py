"""A `logging.Handler` that sends what plugins log, with the ids of the invocation they log from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from plugwarden.contract.value import value
from plugwarden.invocation import Failure, current_invocation, identify
from plugwarden.operation import Operation

__all__ = ["LogEntry", "PluginLogHandler"]

MAX_BODY = 8_000


@value
class LogEntry:
    """One log record on its way to the collector."""

    at_ns: int
    severity_number: int
    """OpenTelemetry's: 5 debug, 9 info, 13 warning, 17 error, 21 fatal."""
    severity_text: str
    body: str
    operation: Operation | None
    trace_id: int
    span_id: int
    logger: str
    failure: Failure | None = None
    place: tuple[str, int, str] | None = None
    """(file, line, function) that logged."""


class PluginLogHandler(logging.Handler):
    """Takes records emitted while a plugin runs; everything else is the host's own business and is left alone."""

    def __init__(self, emit: Callable[[LogEntry], None], level: int = logging.INFO) -> None:
        super().__init__(level)
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one record. Never raises and never blocks."""
        invocation = current_invocation()
        if invocation is None:
            return
        try:
            ids = identify(invocation)
            error = record.exc_info[1] if record.exc_info else None
            self._emit(
                LogEntry(
                    at_ns=int(record.created * 1e9),
                    severity_number=severity_number(record.levelno),
                    severity_text=record.levelname,
                    body=record.getMessage()[:MAX_BODY].encode("utf-8", "replace").decode("utf-8"),
                    operation=invocation.operation,
                    trace_id=ids.trace_id,
                    span_id=ids.span_id,
                    logger=record.name,
                    failure=None if error is None else Failure(error),
                    place=(record.pathname, record.lineno, record.funcName),
                )
            )
        except Exception:  # noqa: BLE001 - a log call with wrong arguments is the plugin's bug, not the host's
            self.handleError(record)


def severity_number(level: int) -> int:
    """OpenTelemetry's number for a level of the logging module."""
    return max(1, min(24, 1 + level * 4 // 10)) if level < logging.CRITICAL else 21


def own_entry(
    operation: Operation, logger: str, severity: int, body: str, place: tuple[str, int, str] | None = None
) -> LogEntry:
    """A record of the sidecar's own about an operation, such as a breaker's change of state."""
    text = {9: "INFO", 13: "WARNING"}.get(severity, "ERROR")
    return LogEntry(time.time_ns(), severity, text, body, operation, 0, 0, logger, place=place)
