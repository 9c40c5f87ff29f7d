"""Takes secrets and personal data out of what plugins say before it leaves the process: messages, stack traces, annotations, logs.

The rules are in plugwarden.redaction, for sidecar and collector alike. A miss is possible, so arguments and results are never captured
unless the host asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.util.types import AttributeValue

from plugwarden.redaction import REDACTED, hides_value, redact

__all__ = ["REDACTED", "Redact", "redact", "redact_attribute", "redact_messages"]

Redact = Callable[[str], str]


def redact_attribute(key: str, value: AttributeValue, redactor: Redact) -> AttributeValue:
    """A value without secrets: all of it under a key that names one, else what looks like one in it."""
    if redactor is not str and hides_value(key, value):  # `str` keeps everything: the host wants it so
        return REDACTED
    if isinstance(value, str):
        return redactor(value)
    if isinstance(value, list | tuple):
        return [redactor(item) if isinstance(item, str) else item for item in value]
    return value


def redact_messages(pairs: Any, redactor: Redact) -> None:
    """The same for attributes that are OTLP messages already (`KeyValue`), in place."""
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        if kind == "string_value":
            pair.value.string_value = str(redact_attribute(pair.key, pair.value.string_value, redactor))
        elif kind == "array_value":
            for item in pair.value.array_value.values:
                if item.WhichOneof("value") == "string_value":
                    item.string_value = str(redact_attribute(pair.key, item.string_value, redactor))
        elif kind == "kvlist_value":
            redact_messages(pair.value.kvlist_value.values, redactor)
        elif kind is not None and redactor is not str and hides_value(pair.key, getattr(pair.value, kind)):
            pair.value.string_value = REDACTED
