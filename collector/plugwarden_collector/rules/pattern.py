"""Patterns of plugin ids: those of a shell, several in one as `{image-*,thumb-*}`."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache

__all__ = ["ALTERNATIVE_SIGNS", "EVERY", "alternatives", "joined", "matches"]

EVERY = "*"
ALTERNATIVE_SIGNS = "{},"
"""What no pattern may hold that is one of several."""
MAX_CACHED = 4096
"""Patterns whose alternatives are remembered: a rules file has hundreds."""


def joined(patterns: Iterable[str]) -> str:
    """Return one pattern that matches what any of some matches; none of several may hold one of `ALTERNATIVE_SIGNS`."""
    found = tuple(dict.fromkeys(patterns))
    return found[0] if len(found) == 1 else "{" + ",".join(found) + "}"


@lru_cache(MAX_CACHED)
def alternatives(pattern: str) -> tuple[str, ...]:
    """Return the shell patterns that a pattern is made of: itself, where it is not several."""
    if pattern.startswith("{") and pattern.endswith("}") and "," in pattern:
        return tuple(pattern[1:-1].split(","))
    return (pattern,)


def matches(pattern: str, plugin: str) -> bool:
    """Whether a plugin id is meant by a pattern."""
    return pattern == EVERY or any(fnmatchcase(plugin, one) for one in alternatives(pattern))
