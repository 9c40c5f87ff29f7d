"""What telemetry says of logs: values that every engine answers with. Ids are hex text, times UTC without a zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

__all__ = ["LogFilter", "LogLine", "LogMark", "LogPage"]


class LogMark(NamedTuple):
    """A place in the order of arrival."""

    batch: int = 0
    """Number of the commit; grows."""
    place: int = 0
    """Which of the records of that commit, from 1 on."""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What a record must be like; None matches all."""

    plugin: str | None = None
    least_severity: int | None = None
    """OpenTelemetry's number, 1 to 24, at least."""
    text: str | None = None
    """Part of the message, in any case."""
    trace_id: int | None = None
    """A 128-bit integer."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log record."""

    id: str
    """Its place in the order of arrival; stays the same while it is kept."""
    time: datetime
    severity_number: int
    """OpenTelemetry's, 1 to 24; 0 when unknown."""
    severity_text: str
    body: str
    service_name: str
    plugin_id: str | None
    plugin_version: str | None
    plugin_operation: str | None
    error_type: str | None
    trace_id: str | None
    """32 hex digits."""
    span_id: str | None
    """16 hex digits."""


@dataclass(frozen=True, slots=True)
class LogPage:
    """Some records, and where to go on."""

    lines: Sequence[LogLine]
    mark: LogMark
    """All records up to it are in this page, in those before it, or do not match."""
