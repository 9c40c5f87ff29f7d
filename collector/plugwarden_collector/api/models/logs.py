"""Logs: a page of records, and where to go on."""

from __future__ import annotations

from plugwarden.contract.value import value

from plugwarden_collector.store.logs import LogLine

from .answer import Answer

__all__ = ["LogLine", "Logs"]


@value
class Logs(Answer):
    """Some log records."""

    logs: list[LogLine]
    """In the order of time; with `after`, in the order of arrival."""
    cursor: str
    """Give it as `after` for what arrived since: no record is in two pages, or in none."""
