"""What the evidence of a decision or an alert says to people: how sure, which error, which trace. Of any age and form. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from plugwarden_collector.wording import one_line

__all__ = ["first_trace", "sureness", "worst_error"]

MAX_TENS = 15
"""Largest exponent that is said: beyond, doubt is about what was measured and not about chance."""


def sureness(evidence: Mapping[str, Any]) -> str:
    """Return how sure something is, and on what: the calls, and how often chance alone would look so."""
    total, bad = evidence.get("total"), evidence.get("bad")
    nats = evidence.get("nats")
    long = evidence.get("long")
    if isinstance(long, Mapping):  # of an alert, whose windows are what it rests on
        total, bad = long.get("total"), long.get("bad")
    parts = []
    if isinstance(total, int) and isinstance(bad, int):
        parts.append(f"{bad} of {total} calls were bad")
    if isinstance(nats, int | float) and math.isfinite(nats) and nats > 0:
        tens = min(MAX_TENS, int(nats / math.log(10)))
        parts.append(f"by chance that would be seen once in 10^{tens} times" if tens else "it may be chance")
    if isinstance(long, Mapping) and isinstance(evidence.get("long_burn_rate"), int | float):
        parts.append(f"the budget burns {evidence['long_burn_rate']:.3g} times as fast as it may")
    return "; ".join(parts)


def worst_error(evidence: Mapping[str, Any]) -> str:
    """Return the type of error that most bad calls ended with, and how many did."""
    errors = evidence.get("errors")
    if not isinstance(errors, Mapping):
        return ""
    counted = {str(name): count for name, count in errors.items() if isinstance(count, int)}
    if not counted:
        return ""
    name = max(sorted(counted), key=lambda item: counted[item])
    return one_line(f"{name or 'without a type'} ({counted[name]} of {sum(counted.values())})", 300)


def first_trace(evidence: Mapping[str, Any]) -> str:
    """Return the id of a trace that shows it, as hex; empty where there is none."""
    traces = evidence.get("traces")
    found = traces[0] if isinstance(traces, list | tuple) and traces else ""
    return found if isinstance(found, str) and len(found) == 32 and found.isalnum() and found.isascii() else ""
