"""What is told of an upstream, and which shared causes are the same thing. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from .alert import AlertRecord, AlertState
from .standing import Incident, Standing

__all__ = ["UPSTREAM", "firing_upstreams", "is_cause_of", "is_unnamed", "is_upstream", "speaker_of"]

UPSTREAM = "upstream"
"""Label that names an upstream, and kind of the alerts that are about one."""
_CAUSE = "downstream:"
"""How the cause of an incident begins that an upstream is: plugins call it their downstream."""
_UNNAMED = tuple(f"{slow}{kind}:" for kind in ("simultaneous", "everything") for slow in ("", "slow "))
"""Causes that nothing names, of failures and of slow calls."""


def is_unnamed(incident: Incident) -> bool:
    """Whether nothing names a shared cause."""
    return incident.cause in _UNNAMED


def is_upstream(record: AlertRecord) -> bool:
    """Whether an alert is on the budget of one upstream."""
    return record.watched and record.detail.get("kind") == UPSTREAM and UPSTREAM in record.more


def is_cause_of(incident: Incident, upstream: str) -> bool:
    """Whether a shared cause is an upstream of a name."""
    return incident.cause == f"{_CAUSE}{upstream}"


def firing_upstreams(standing: Standing) -> Iterator[AlertRecord]:
    """Yield the pages on upstreams that fire now."""
    for record in standing.alerts.values():
        if record.severity == "page" and record.alert.state is AlertState.FIRING and is_upstream(record):
            yield record


def speaker_of(incident: Incident, standing: Standing) -> str | None:
    """Return the page on the upstream that a shared cause is; None where none is told of it.

    A cause that bears the upstream's name is that. One without a name is where that was counted, of each of its plugins.
    """
    for record in firing_upstreams(standing):
        if is_cause_of(incident, record.more[UPSTREAM]) or record.alert.fingerprint == incident.explained_by:
            return record.alert.fingerprint
    return None
