"""Which scopes are within which. Pure."""

from __future__ import annotations

from plugwarden.contract import Scope

__all__ = ["covers"]


def covers(wide: Scope, narrow: Scope) -> bool:
    """Whether every call in the narrow scope is in the wide one."""
    outer, inner = wide.as_dict(), narrow.as_dict()
    return all(outer[part] in {None, inner[part]} for part in outer)
