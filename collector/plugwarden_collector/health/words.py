"""Numbers in sentences about ourselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ago", "amount", "aside_sentence", "length", "size"]


def ago(seconds: float) -> str:
    """How long ago something was."""
    return "just now" if seconds < 1.0 else f"{length(seconds)} ago"


def amount(number: int, noun: str) -> str:
    """`1 sender`, `2 senders`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def aside_sentence(entry: Mapping[str, Any]) -> str:
    """A row of `list_set_aside`: `3 rows of metric_points in commit 17 of order-flow csv: why`."""
    whose = " ".join(str(entry[name]) for name in ("service_name", "plugin_id") if entry[name])
    of = f" of {whose}" if whose else ""
    return f"{amount(int(entry['rows']), 'row')} of {entry['what']} in commit {entry['batch']}{of}: {entry['error']}"


def length(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    for limit, unit, factor in (
        (1.0, "ms", 1e3),
        (120.0, "s", 1.0),
        (7200.0, "min", 1 / 60),
        (172_800.0, "h", 1 / 3600),
    ):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds / 86_400:.3g} d"


def size(number: float) -> str:
    """Bytes, in powers of 1024."""
    for limit, unit in ((2**10, "B"), (2**20, "KiB"), (2**30, "MiB"), (2**40, "GiB")):
        if number < limit:
            return f"{number / (limit / 2**10):.3g} {unit}"
    return f"{number / 2**40:.3g} TiB"
