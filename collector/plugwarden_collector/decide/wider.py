"""Which scopes are within which. Pure."""

from __future__ import annotations

from plugwarden.contract import Scope

__all__ = ["covers", "overlap"]


def covers(wide: Scope, narrow: Scope) -> bool:
    """Whether every call in the narrow scope is in the wide one."""
    outer, inner = wide.as_dict(), narrow.as_dict()
    return all(outer[part] in {None, inner[part]} for part in outer)


def overlap(one: Scope, other: Scope) -> bool:
    """Whether there can be a call that is in both scopes."""
    mine, theirs = one.as_dict(), other.as_dict()
    return all(None in {mine[part], theirs[part]} or mine[part] == theirs[part] for part in mine)
