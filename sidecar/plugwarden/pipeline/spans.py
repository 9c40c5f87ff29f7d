"""Invocations as OTLP spans, straight to bytes.

All that two plain successes of one operation differ in is ids and times, so the rest is encoded once per operation and
each span is one `struct.pack` around it. Everything else is put together field by field.
(opentelemetry/proto/trace/v1/trace.proto; the SDK's own encoder costs some fifty times as much per span.)
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from opentelemetry.util.types import AttributeValue

from plugwarden.chance import random_bytes
from plugwarden.contract import Outcome, attributes
from plugwarden.invocation import Invocation, identify
from plugwarden.redaction import redactor_of_record

from .redaction import Redact, redact_attribute, redact_messages
from .sampling import Kept
from .stack import exception_attributes
from .wire import attribute, delimited, key_value, resource_bytes, scope_bytes, varint

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.sdk.trace import ReadableSpan

    from plugwarden.operation import Operation

__all__ = ["SpanEncoder"]

_ATTRIBUTE, _EVENT, _EVENT_ATTRIBUTE = b"\x4a", b"\x5a", b"\x1a"
_KIND_INTERNAL, _KIND_CLIENT = b"\x30\x01", b"\x30\x03"
_FLAGS = b"\x85\x01" + struct.pack("<I", 0x101)  # sampled; it is known whether the parent is remote, and it is not
_FLAGS_REMOTE = b"\x85\x01" + struct.pack("<I", 0x301)
_SUCCESS = Outcome.SUCCESS.value
_TIMES = struct.Struct("<BQBQ").pack
_IDS = struct.Struct("16s8s")
"""Layout of the ids of a trace and of a span."""


class _Template:
    """The constant parts of plain successes of one operation, kept for one reason."""

    __slots__ = ("child_head", "child_pack", "lone_pack", "root_head", "root_pack", "scope", "tail")

    def __init__(self, scope: tuple[str, str | None], tail: bytes) -> None:
        self.scope = scope
        self.tail = tail + _FLAGS
        root, child = 18 + 10 + 18 + len(self.tail), 18 + 10 + 10 + 18 + len(self.tail)
        self.root_head = b"\x12" + varint(root) + b"\x0a\x10"
        self.child_head = b"\x12" + varint(child) + b"\x0a\x10"
        self.root_pack = struct.Struct(f">{len(self.root_head)}s16s2sQ").pack
        self.lone_pack = struct.Struct(f"<{len(self.root_head)}s16s2s8sBQBQ{len(self.tail)}s").pack
        self.child_pack = struct.Struct(f">{len(self.child_head)}s16s2sQ2sQ").pack


class SpanEncoder:
    """Encodes for one process; remembers what repeats."""

    def __init__(self, resource: Mapping[str, AttributeValue], redact: Redact) -> None:
        self._resource = resource_bytes(resource)
        self._redact = redact
        self.failed = 0
        """Spans that could not be encoded, since the last look."""
        self._templates: dict[tuple[Operation, str], _Template] = {}

    def encode(self, kept: Sequence[Kept], clock_offset_ns: int) -> bytes:
        """An ExportTraceServiceRequest. `clock_offset_ns` turns performance-counter times into wall-clock times."""
        scopes: defaultdict[tuple[str, str | None], list[bytes]] = defaultdict(list)
        foreign: list[ReadableSpan] = []
        templates = self._templates
        # Ids for those that nobody asked for theirs: all at once, and no object is made of them.
        draw = _IDS.iter_unpack(random_bytes(_IDS.size * len(kept))).__next__
        operation = why = None
        for item, reason in kept:
            if type(item) is not Invocation:
                foreign.append(item)  # type: ignore[arg-type]
                continue
            if item.more is None:
                if item.operation is not operation or reason != why:
                    operation, why = item.operation, reason
                    template = templates.get((operation, reason)) or self._template(operation, reason)
                    put = scopes[template.scope].append
                    lone_pack, lone_head, lone_tail = template.lone_pack, template.root_head, template.tail
                if item.ids is None and item.parent is None:
                    started = item.started_ns + clock_offset_ns
                    trace, span = draw()
                    ended = started + item.duration_ns
                    put(lone_pack(lone_head, trace, b"\x12\x08", span, 0x39, started, 0x41, ended, lone_tail))
                    continue
                trace_id, span_id, parent_id, is_root, state = identify(item)
                if not state and not (is_root and parent_id):
                    started = item.started_ns + clock_offset_ns
                    trace = trace_id.to_bytes(16, "big")
                    times = _TIMES(0x39, started, 0x41, started + item.duration_ns)
                    if parent_id:
                        head = template.child_pack(
                            template.child_head, trace, b"\x12\x08", span_id, b"\x22\x08", parent_id
                        )
                    else:
                        head = template.root_pack(template.root_head, trace, b"\x12\x08", span_id)
                    put(head + times + template.tail)
                    continue
            scope = item.operation.scope
            try:
                encoded = self._full(item, reason, clock_offset_ns)
            except Exception:  # noqa: BLE001 - one span that cannot be told must not take the others with it
                self.failed += 1
                continue
            scopes[scope.plugin, scope.version].append(delimited(b"\x12", encoded))
        ours = b""
        if scopes:
            parts = [self._resource]
            for key, spans in scopes.items():
                parts.append(delimited(b"\x12", scope_bytes(key) + b"".join(spans)))
            ours = delimited(b"\x0a", b"".join(parts))
        if foreign:
            from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

            # Messages of one type, one after the other, are one message: their repeated fields are joined.
            request = encode_spans(foreign)
            self._redact_foreign(request)
            ours += request.SerializeToString()
        return ours

    def _template(self, operation: Operation, reason: str) -> _Template:
        tail = delimited(b"\x2a", operation.name.encode()) + _KIND_INTERNAL + _labels(operation, _SUCCESS, reason)
        template = _Template((operation.scope.plugin, operation.scope.version), tail)
        self._templates[operation, reason] = template
        return template

    def _full(self, invocation: Invocation, reason: str, offset_ns: int) -> bytes:
        operation = invocation.operation
        trace_id, span_id, parent_id, is_root, state = identify(invocation)
        started = invocation.started_ns + offset_ns
        ended = started + invocation.duration_ns
        parts = [
            b"\x0a\x10" + trace_id.to_bytes(16, "big") + b"\x12\x08" + span_id.to_bytes(8, "big"),
            delimited(b"\x1a", state.to_header().encode()) if state else b"",
            b"\x22\x08" + parent_id.to_bytes(8, "big") if parent_id else b"",
            _TIMES(0x39, started, 0x41, ended),
        ]
        if invocation.downstream is None:
            parts.append(delimited(b"\x2a", operation.name.encode()) + _KIND_INTERNAL)
        else:
            name = f"downstream {invocation.downstream}".encode("utf-8", "replace")
            parts.append(delimited(b"\x2a", name) + _KIND_CLIENT)
        parts.append(_labels(operation, invocation.outcome.value, reason))
        for key, value in (
            (attributes.PLUGIN_ERROR_SOURCE, invocation.source and invocation.source.value),
            (attributes.ERROR_TYPE, invocation.error_type),
            (attributes.PLUGIN_REJECTION_REASON, invocation.rejection),
            (attributes.TENANT_ID, invocation.tenant),
            (attributes.PLUGIN_DOWNSTREAM, invocation.downstream),
            (attributes.PLUGIN_DIRECTIVE, invocation.admitted_by),
        ):
            if value is not None:
                parts.append(attribute(_ATTRIBUTE, key, value))
        for flag, applies in (
            (attributes.PLUGIN_FALLBACK, invocation.fallback),
            (attributes.PLUGIN_ABANDONED, invocation.abandoned),
            (attributes.PLUGIN_PROBE, bool(invocation.probe)),
        ):
            if applies:
                parts.append(delimited(_ATTRIBUTE, key_value(flag, True)))
        if invocation.queued_ns:
            parts.append(delimited(_ATTRIBUTE, key_value(attributes.PLUGIN_QUEUED, invocation.queued_ns / 1e9)))
        if invocation.cpu_ns >= 0:
            parts.append(delimited(_ATTRIBUTE, key_value(attributes.PLUGIN_CPU, invocation.cpu_ns / 1e9)))
        redact = redactor_of_record(self._redact)
        for key, annotation in (invocation.attributes or {}).items():
            told = redact_attribute(key, annotation, redact)
            parts.append(delimited(_ATTRIBUTE, key_value(key, told)))
        for event, at_ns, details in invocation.events or ():
            parts.append(_event(event, at_ns, details, redact))
        failure = invocation.failure
        if invocation.outcome is Outcome.ERROR or invocation.outcome is Outcome.TIMEOUT:
            message = b""
            if failure is not None:
                parts.append(_event("exception", ended, exception_attributes(failure), redact))
                message = delimited(b"\x12", redact(failure.message).encode("utf-8", "replace"))
            parts.append(delimited(b"\x7a", message + b"\x18\x02"))
        parts.append(_FLAGS_REMOTE if is_root and parent_id else _FLAGS)
        return b"".join(parts)

    def _redact_foreign(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    redact = redactor_of_record(self._redact)
                    redact_messages(span.attributes, redact)
                    for event in span.events:
                        redact_messages(event.attributes, redact)
                    if span.status.message:
                        span.status.message = redact(span.status.message)


def _event(name: str, at_ns: int, details: dict[str, object], redact: Redact) -> bytes:
    body = struct.pack("<BQ", 0x09, at_ns) + delimited(b"\x12", name.encode("utf-8", "replace"))
    for key, value in details.items():
        redacted = redact_attribute(key, value, redact)  # type: ignore[arg-type]
        body += delimited(_EVENT_ATTRIBUTE, key_value(key, redacted))
    return delimited(_EVENT, body)


def _labels(operation: Operation, outcome: str, reason: str) -> bytes:
    scope = operation.scope
    pairs = (
        (attributes.PLUGIN_ID, scope.plugin),
        (attributes.PLUGIN_VERSION, scope.version or ""),
        (attributes.PLUGIN_OPERATION, scope.operation or ""),
        (attributes.PLUGIN_OUTCOME, outcome),
        (attributes.PLUGIN_SAMPLE_REASON, reason),
        (attributes.PLUGIN_RUNTIME, operation.declaration.runner),
    )
    return b"".join(attribute(_ATTRIBUTE, key, value) for key, value in pairs)
