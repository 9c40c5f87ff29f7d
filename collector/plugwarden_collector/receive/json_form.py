"""OTLP/JSON to protobuf bytes, so that both forms take the same way in.

OTLP's JSON differs from protobuf's own mapping in one thing: trace and span ids are hex, not base64
(OTLP specification, "JSON Protobuf Encoding").
"""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf import json_format

from plugwarden_collector.errors import MalformedTelemetryError

from .decode import REQUESTS, Signal

__all__ = ["to_protobuf"]

_ID_KEYS = frozenset({"traceId", "spanId", "parentSpanId"})
_MAX_DEPTH = 100


def to_protobuf(signal: Signal, body: bytes) -> bytes:
    """The same request in protobuf; raises `MalformedTelemetryError` with the field that is wrong."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedTelemetryError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise MalformedTelemetryError("an export request is a JSON object")
    try:
        message = json_format.ParseDict(
            _with_base64_ids(document, 0),
            REQUESTS[signal](),
            ignore_unknown_fields=True,
            max_recursion_depth=_MAX_DEPTH,
        )
    except (json_format.ParseError, ValueError, TypeError, AttributeError) as error:
        raise MalformedTelemetryError(f"not a valid {signal} export request: {error}") from error
    return bytes(message.SerializeToString())


def _with_base64_ids(node: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise MalformedTelemetryError(f"nested deeper than {_MAX_DEPTH}")
    if isinstance(node, dict):
        return {
            key: _base64(key, value) if key in _ID_KEYS else _with_base64_ids(value, depth + 1)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_with_base64_ids(item, depth + 1) for item in node]
    return node


def _base64(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise MalformedTelemetryError(f"{key}: must be a hex string")
    try:
        return base64.b64encode(bytes.fromhex(value)).decode("ascii")
    except ValueError as error:
        raise MalformedTelemetryError(f"{key}: {value[:40]!r} is not hex") from error
