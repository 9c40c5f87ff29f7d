"""Saves an OTLP/JSON request from records whose texts hold half of a surrogate pair: JavaScript cuts texts in the middle of one.

Such a text has no form in protobuf, so the record is refused by itself, as in protobuf a record whose text is no UTF-8 (poison).
"""

from __future__ import annotations

import json
from typing import Any

from plugwarden_collector.errors import MalformedTelemetryError

from .batch import Signal
from .json_form import HALF_PAIR, to_protobuf

__all__ = ["InPart", "to_protobuf_in_part"]

_LEVELS = {
    Signal.TRACES: ("resourceSpans", "scopeSpans", "spans"),
    Signal.METRICS: ("resourceMetrics", "scopeMetrics", "metrics"),
    Signal.LOGS: ("resourceLogs", "scopeLogs", "logRecords"),
}
_KINDS = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")


class InPart(bytes):
    """A request of which records were left out."""

    refused: int
    """Records that were refused."""
    reason: str
    """Why they were refused, for the sender's log."""


def to_protobuf_in_part(signal: Signal, body: bytes) -> bytes:
    """The request in protobuf, an `InPart` where records had to be left out; raises `MalformedTelemetryError` for all else."""
    try:
        return to_protobuf(signal, body)
    except MalformedTelemetryError as error:
        if HALF_PAIR not in str(error):
            raise
        try:
            document = json.loads(body, object_pairs_hook=_once)
        except (ValueError, RecursionError):
            raise error from None  # more is wrong with it than its texts
        refused = _left_out(document, signal)
        if not refused:
            raise  # it is in what stands around the records
        found = InPart(to_protobuf(signal, json.dumps(document).encode()))
        found.refused = refused
        found.reason = f"{refused}: a text with half of a surrogate pair; the first is {error.field}"
        return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _left_out(document: Any, signal: Signal) -> int:
    """Take the records out that hold such a text; return how many."""
    outer, scoped, inner = _LEVELS[signal]
    refused = 0
    for group in _list(document, outer):
        for scope in _list(group, scoped):
            leaves = _list(scope, inner)
            if signal is Signal.METRICS:
                for metric in leaves:
                    refused += _points_left_out(metric)
            else:
                kept = [leaf for leaf in leaves if not _torn(leaf)]
                refused += len(leaves) - len(kept)
                leaves[:] = kept
    return refused


def _points_left_out(metric: Any) -> int:
    """Points that hold such a text, or all where the metric itself does."""
    torn = isinstance(metric, dict) and _torn({key: value for key, value in metric.items() if key not in _KINDS})
    refused = 0
    for kind in _KINDS:
        points = _list(metric.get(kind) if isinstance(metric, dict) else None, "dataPoints")
        kept = [] if torn else [point for point in points if not _torn(point)]
        refused += len(points) - len(kept)
        points[:] = kept
    if torn:
        metric.clear()  # nothing is left of it
    return refused


def _list(node: Any, key: str) -> list[Any]:
    found = node.get(key) if isinstance(node, dict) else None
    return found if isinstance(found, list) else []


def _torn(node: Any) -> bool:
    """Whether any text in it has half of a pair. Nested no deeper than Python's own parser goes."""
    waiting = [node]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if not item.isascii() and any("\ud800" <= character <= "\udfff" for character in item):
                return True
        elif isinstance(item, dict):
            waiting += [*item, *item.values()]
        elif isinstance(item, list):
            waiting += item
    return False
