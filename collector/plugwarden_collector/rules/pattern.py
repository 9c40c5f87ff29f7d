"""Patterns of plugin ids: those of a shell, several in one as `{image-*,thumb-*}`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import translate
from functools import lru_cache

__all__ = ["ALTERNATIVE_SIGNS", "EVERY", "alternatives", "from_regex", "joined", "literal", "matches", "to_regex"]

EVERY = "*"
ALTERNATIVE_SIGNS = "{},"
"""What no pattern may hold that is one of several."""
_SHELL = re.compile(r"\[[!]?\]?[^]]*\]|.", re.DOTALL)
"""Signs of a shell pattern: a set of characters, or one character."""
_REGEX = re.compile(r"\.\*|\\.|\[\^?\]?[^]\\[]*\]|.", re.DOTALL)
"""Those of the regular expressions that such a pattern can be."""
_META = frozenset("\\.+*?()|[]{}^$")
MAX_CACHED = 4096
"""Patterns that are kept compiled: a rules file has hundreds."""


def joined(patterns: Iterable[str]) -> str:
    """Return one pattern that matches what any of some matches; none of several may hold one of `ALTERNATIVE_SIGNS`."""
    found = tuple(dict.fromkeys(patterns))
    return found[0] if len(found) == 1 else "{" + ",".join(found) + "}"


def alternatives(pattern: str) -> tuple[str, ...]:
    """Return the shell patterns that a pattern is made of: itself, where it is not several."""
    if pattern.startswith("{") and pattern.endswith("}") and "," in pattern:
        return tuple(pattern[1:-1].split(","))
    return (pattern,)


def matches(pattern: str, plugin: str) -> bool:
    """Whether a plugin id is meant by a pattern."""
    return pattern == EVERY or _compiled(pattern).match(plugin) is not None


@lru_cache(MAX_CACHED)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, alternatives(pattern))))


def literal(pattern: str) -> str | None:
    """Return the one plugin id that a pattern means; None where it means several."""
    return pattern if alternatives(pattern) == (pattern,) and not any(sign in pattern for sign in "*?[") else None


def to_regex(pattern: str) -> str:
    """Return a pattern as a regular expression of RE2 that must match a whole id, as Prometheus' matchers do."""
    return "|".join("".join(map(_to_regex, _SHELL.findall(one))) for one in alternatives(pattern))


def from_regex(regex: str) -> str | None:
    """Return the pattern that a regular expression is; None where it is none, or holds more than `to_regex` writes."""
    if regex.startswith("(") and regex.endswith(")") and "(" not in regex[1:]:
        regex = regex[1:-1].removeprefix("?:")
    try:
        found = ["".join(map(_from_regex, _REGEX.findall(one))) for one in _branches(regex)]
    except ValueError:
        return None
    if not all(found) or (len(found) > 1 and any(sign in one for one in found for sign in ALTERNATIVE_SIGNS)):
        return None
    return joined(found)


def _to_regex(sign: str) -> str:
    if sign == "*":
        return ".*"
    if sign == "?":
        return "."
    if len(sign) > 1:
        negated = sign[1] == "!"
        inside = sign[2 if negated else 1 : -1].replace("\\", "\\\\")
        if negated:
            return f"[^{inside}]"
        return f"[\\{inside}]" if inside.startswith("^-") and len(inside) > 2 else _set(inside, "^", "\\^")
    return "\\" + sign if sign in _META else sign


def _from_regex(sign: str) -> str:
    if sign == ".*":
        return "*"
    if sign == ".":
        return "?"
    if sign.startswith("[") and len(sign) > 1:
        return "[!" + sign[2:] if sign[1] == "^" else _set(sign[1:-1], "!", "!")
    if sign.startswith("\\") and len(sign) == 2 and sign[1] in _META:
        return f"[{sign[1]}]" if sign[1] in "*?[" else sign[1]
    if sign[0] in _META:
        raise ValueError(sign)
    return sign


def _set(inside: str, negates: str, alone: str) -> str:
    """Return a set of characters in which the one that would negate it stands last; raises `ValueError` where a range begins with it."""
    if not inside.startswith(negates):
        return f"[{inside}]"
    if inside == negates:
        return alone
    if inside[1] == "-" and len(inside) > 2:
        raise ValueError(inside)
    return f"[{inside[1:]}{negates}]"


def _branches(regex: str) -> Iterator[str]:
    """Yield the alternatives of a regular expression."""
    branch = ""
    for sign in _REGEX.findall(regex):
        if sign == "|":
            yield branch
            branch = ""
        else:
            branch += sign
    yield branch
