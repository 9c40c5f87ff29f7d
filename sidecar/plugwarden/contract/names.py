"""What may name a plugin, version, operation, instance or tenant: one rule, for sidecars, for the collector's door and for directives.

A name is shown to people, written into directives, and compared. So it is not empty, it is no longer than people can read,
and holds no character that breaks a line, moves a terminal's cursor, or turns the direction of the text around it.
"""

from __future__ import annotations

import re

__all__ = ["MAX_NAME", "ODD_SIGNS_RE2", "OVERFLOW", "PARTS", "fitting", "name_fault"]

MAX_NAME = 200
"""Characters of a name. Names are attributes of every signal; a longer one is a URL, a prompt or a mistake."""
OVERFLOW = "_OTHER"
"""Stands for names that are not told apart (OpenTelemetry's word for values beyond a bound); no plugin or version may have it."""
PARTS = ("plugin", "version", "operation", "instance", "tenant")
"""What a name can be of: the parts of a scope."""
_UNNAMED = "unnamed"
_CONTROL = "\x00-\x1f\x7f-\x9f\u2028\u2029"
_DIRECTION = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
ODD_SIGNS_RE2 = "[" + "".join(sign if sign == "-" else f"\\x{{{ord(sign):x}}}" for sign in _CONTROL + _DIRECTION) + "]"
"""Characters that no name has, as a class of RE2's syntax, which Arrow and DuckDB speak; their texts hold no surrogates."""
_FAULTS = (
    (f"[{_CONTROL}]", "has a control character or a line break"),
    (f"[{_DIRECTION}]", "has a character that turns the direction of text"),
    ("[\ud800-\udfff]", "has half of a surrogate pair"),
)
_ODD = re.compile(f"[{_CONTROL}{_DIRECTION}\ud800-\udfff]")


def name_fault(part: str, name: object) -> str | None:
    """Why `name` cannot name a plugin, version, operation, instance or tenant (`part`); None when it can."""
    if not isinstance(name, str):
        return "must be text"
    if not name.strip(" "):
        return "is empty"
    if len(name) > MAX_NAME:
        return f"is longer than {MAX_NAME} characters"
    if _ODD.search(name) is not None:
        return next(text for odd, text in _FAULTS if re.search(odd, name) is not None)
    if name == OVERFLOW and part in {"plugin", "version"}:
        return f"is {OVERFLOW}, which stands for names that are not told apart"
    return None


def fitting(part: str, name: object) -> str:
    """`name`, or the nearest to it that can be one: cut, with what cannot stand in it replaced. Never raises."""
    if name_fault(part, name) is None:
        return str(name)
    try:
        text = _ODD.sub("\ufffd", str(name)[:MAX_NAME])
    except Exception:  # noqa: BLE001 - an object of the host's that cannot even be shown
        text = _UNNAMED
    return _UNNAMED if name_fault(part, text) is not None else text
