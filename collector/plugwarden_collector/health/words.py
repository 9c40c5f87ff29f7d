"""Sentences about ourselves: how many of something, and what was set aside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["amount", "aside_sentence"]


def amount(number: int, noun: str) -> str:
    """`1 sender`, `2 senders`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def aside_sentence(entry: Mapping[str, Any]) -> str:
    """A row of `list_set_aside`: `3 rows of metric_points in commit 17 of order-flow csv: why`."""
    whose = " ".join(str(entry[name]) for name in ("service_name", "plugin_id") if entry[name])
    of = f" of {whose}" if whose else ""
    return f"{amount(int(entry['rows']), 'row')} of {entry['what']} in commit {entry['batch']}{of}: {entry['error']}"
