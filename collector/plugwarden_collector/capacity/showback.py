"""Who uses what: the whole, divided among owners or tenants. Parts add up to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["NOBODY", "Share", "Usage", "showback"]

NOBODY = "nobody"
"""Whom belongs what names no owner, or no tenant."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one plugin, or one tenant of it, used; None is what is not known."""

    who: str | None
    """None: nobody is named."""
    plugin_id: str | None
    """None: of no plugin, such as telemetry of the host itself."""
    calls: int = 0
    busy_seconds: float | None = None
    cpu_seconds: float | None = None
    memory_bytes: float | None = None
    stored_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """What belongs to one owner or tenant."""

    name: str
    """`nobody`: none is named."""
    named: bool
    """Whether it is the name of somebody: a tenant may call itself `nobody`."""
    plugins: int
    calls: int
    busy_seconds: float | None
    cpu_seconds: float | None
    """Null: none of it was measured."""
    cpu_share_ratio: float | None
    """Share of all CPU time that was measured, 0 to 1."""
    memory_bytes: float | None
    """Resident memory of worker processes, as told last; null where none is told."""
    stored_bytes: float | None
    """Raw telemetry on our disk, by the mean size of a row."""


def showback(used: Iterable[Usage]) -> list[Share]:
    """Return what belongs to whom, most CPU first, then most calls; `nobody` has what is left."""
    parts: dict[str | None, list[Usage]] = {}
    for item in used:
        parts.setdefault(item.who or None, []).append(item)
    sums = {who: _sums(items) for who, items in parts.items()}
    whole = sum(found["cpu_seconds"] or 0.0 for found in sums.values())
    shares = [
        Share(
            who or NOBODY,
            who is not None,
            len({item.plugin_id for item in parts[who] if item.plugin_id is not None}),
            sum(item.calls for item in parts[who]),
            found["busy_seconds"],
            found["cpu_seconds"],
            None if found["cpu_seconds"] is None or not whole else found["cpu_seconds"] / whole,
            found["memory_bytes"],
            found["stored_bytes"],
        )
        for who, found in sums.items()
    ]
    return sorted(shares, key=lambda item: (-(item.cpu_seconds or 0.0), -item.calls, item.name))


def _sums(items: Iterable[Usage]) -> Mapping[str, float | None]:
    found: dict[str, float | None] = dict.fromkeys(("busy_seconds", "cpu_seconds", "memory_bytes", "stored_bytes"))
    for item in items:
        for name in found:
            value = getattr(item, name)
            if value is not None:
                found[name] = (found[name] or 0.0) + value
    return found
