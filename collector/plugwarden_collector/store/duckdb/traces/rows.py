"""Rows of one trace as people read them: what the view `spans` says in SQL, without the time that it takes to plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from plugwarden_collector.store.duckdb.rows import Row
from plugwarden_collector.store.traces import LogRecord, Span, SpanEvent

__all__ = ["log_of", "span_of", "text_map"]

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")
_WORDS = {True: "true", False: "false", None: None}
_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"


def span_of(stored: Row) -> Span:
    """A span, from a row of `trace_spans`."""
    kind, status = stored["kind"], stored["status_code"]
    return Span(
        span_id=_hex(stored["span_id"]),
        parent_span_id=_hex_of(stored["parent_span_id"]),
        name=stored["name"],
        kind=KINDS[kind] if kind is not None and 0 < kind < len(KINDS) else KINDS[0],
        service_name=stored["service_name"],
        plugin_id=stored["plugin_id"],
        plugin_version=stored["plugin_version"],
        plugin_operation=stored["plugin_operation"],
        outcome=stored["outcome"],
        error_source=stored["error_source"],
        error_type=stored["error_type"],
        downstream=stored["downstream"],
        started_at=stored["started_at"],
        duration_seconds=stored["duration_ns"] / 1e9,
        status=STATUSES[status] if status in (1, 2) else STATUSES[0],
        status_message=stored["status_message"],
        attributes=text_map(stored["attributes"]),
        events=[SpanEvent(item["time"], item["name"], text_map(item["attributes"])) for item in stored["events"] or ()],
    )


def log_of(stored: Row) -> LogRecord:
    """A log record, from a row of `trace_logs`."""
    return LogRecord(**{**stored, "span_id": _hex_of(stored["span_id"])})


def text_map(text: str | None) -> Mapping[str, str | None] | None:
    """An object in JSON with each of its values as text, as the macro `text_map` gives it."""
    if text is None:
        return None
    found = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    if any(isinstance(value, list | dict) for value in found.values()):
        return _raw_values(text)
    return {key: value if isinstance(value, str) else _WORDS[value] for key, value in found.items()}


def _hex(value: int) -> str:
    return f"{value:016x}"


def _hex_of(value: int | None) -> str | None:
    return None if value is None else _hex(value)


def _raw_values(text: str) -> dict[str, str | None]:
    """The same where values hold values: these stay as they are written."""
    found: dict[str, str | None] = {}
    place = _skip(text, text.index("{") + 1)
    while text[place] != "}":
        key, place = _DECODER.raw_decode(text, place)
        begin = _skip(text, text.index(":", place) + 1)
        value: Any
        value, place = _DECODER.raw_decode(text, begin)
        found[key] = value if value is None or isinstance(value, str) else text[begin:place]
        place = _skip(text, place)
        if text[place] == ",":
            place = _skip(text, place + 1)
    return found


def _skip(text: str, place: int) -> int:
    while text[place] in _SPACE:
        place += 1
    return place
