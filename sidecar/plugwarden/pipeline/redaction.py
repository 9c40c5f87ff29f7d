"""Takes secrets out of what plugins say before it leaves the process: messages, stack traces, annotations, logs.

The patterns are the shapes that secret scanners agree on; a miss is possible, so arguments and results are never
captured unless the host asks for it. Replacing keeps the words around, so that a message can still be understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from opentelemetry.util.types import AttributeValue

__all__ = ["REDACTED", "Redact", "redact", "redact_attribute"]

Redact = Callable[[str], str]
REDACTED = "[redacted]"
_SECRET_KEY = re.compile(
    r"passw|passphrase|secret|token|authori[sz]ation|api[-_.]?key|credential|cookie|private[-_.]?key", re.I
)
_HINT = re.compile(
    r"passw|passphrase|secret|token|bearer|basic |api[-_]?key|apikey|authori|cookie|akia|asia|gh[pousr]_|glpat-|xox|sk-|eyj|"
    r"private key|://[^/\s]*@",
    re.I,
)
"""A cheap first look: nearly all text holds none of this."""
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.S), REDACTED),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.I), rf"\1 {REDACTED}"),
    (re.compile(r"(\w+://[^/\s:@]*):[^/\s@]+@"), rf"\1:{REDACTED}@"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), REDACTED),  # JSON Web Token
    (re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"), REDACTED),  # AWS access key id
    (
        re.compile(
            r"\b(gh[pousr]_[A-Za-z0-9]{20,}|glpat-[A-Za-z0-9_-]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{20,})"
        ),
        REDACTED,
    ),
    (
        re.compile(
            r"(?P<key>[\"']?(?<![\w.-])[\w.-]{0,64}?(?:passw(?:or)?d|passphrase|secret|token|api[-_]?key|credential|cookie|authori[sz]ation)"
            r"[\w.-]{0,64}[\"']?\s{0,4}[=:]\s{0,4})(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;&)}\]]+)",
            re.I,
        ),
        rf"\g<key>{REDACTED}",
    ),
)


def redact(text: str) -> str:
    """The text without what looks like a secret."""
    if not _HINT.search(text):
        return text
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


def redact_attribute(key: str, value: AttributeValue, redactor: Redact) -> AttributeValue:
    """A value without secrets: all of it under a key that names one, else what looks like one in it."""
    if _SECRET_KEY.search(key):
        return REDACTED
    if isinstance(value, str):
        return redactor(value)
    if isinstance(value, list | tuple):
        return [redactor(item) if isinstance(item, str) else item for item in value]
    return value
