"""Log entries as an OTLP logs request, straight to bytes (opentelemetry/proto/logs/v1/logs.proto)."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping

from opentelemetry.util.types import AttributeValue

from plugwarden.contract import attributes
from plugwarden.redaction import redactor_of_record

from .logs import LogEntry
from .points import OWN_SCOPE, ScopeName, operation_attributes, scope_of
from .redaction import Redact, redact_attribute
from .stack import exception_attributes, short_path
from .wire import delimited, key_value, scope_bytes, text_value, varint

__all__ = ["encode_entries", "log_attributes"]

_SAMPLED = b"\x45\x01\x00\x00\x00"
_fixed = struct.Struct("<BQ").pack


def encode_entries(entries: Iterable[LogEntry], resource: bytes, redact: Redact) -> bytes:
    """An ExportLogsServiceRequest. `resource` is its encoded field."""
    scopes: defaultdict[ScopeName, list[bytes]] = defaultdict(list)
    for entry in entries:
        scope = OWN_SCOPE if entry.operation is None else scope_of(entry.operation)
        scopes[scope].append(delimited(b"\x12", _record(entry, redact)))
    parts = [resource]
    for scope, records in scopes.items():
        parts.append(delimited(b"\x12", scope_bytes(scope) + b"".join(records)))
    return delimited(b"\x0a", b"".join(parts))


def log_attributes(entry: LogEntry, redact: Redact) -> Mapping[str, AttributeValue]:
    """What a record says beside its text: whose it is, where it was logged, and the exception."""
    labels: dict[str, AttributeValue] = {}
    if entry.operation is not None:
        labels.update(operation_attributes(entry.operation))
    if entry.place is not None:
        file, line, function = entry.place
        labels[attributes.CODE_FILE], labels[attributes.CODE_LINE] = short_path(file), line
        labels[attributes.CODE_FUNCTION] = function
    if entry.failure is not None:
        for key, value in exception_attributes(entry.failure).items():
            labels[key] = redact_attribute(key, value, redact)  # type: ignore[arg-type]  # texts, all of them
    return labels


def _record(entry: LogEntry, redact: Redact) -> bytes:
    redact = redactor_of_record(redact)
    parts = [
        _fixed(0x09, entry.at_ns),
        b"\x10" + varint(entry.severity_number),
        delimited(b"\x1a", entry.severity_text.encode("utf-8", "replace")),
        delimited(b"\x2a", text_value(redact(entry.body))),
    ]
    parts += [delimited(b"\x32", key_value(key, value)) for key, value in log_attributes(entry, redact).items()]
    if entry.trace_id:
        parts.append(_SAMPLED + b"\x4a\x10" + entry.trace_id.to_bytes(16, "big"))
        parts.append(b"\x52\x08" + entry.span_id.to_bytes(8, "big"))
    parts.append(_fixed(0x59, entry.at_ns))
    return b"".join(parts)
