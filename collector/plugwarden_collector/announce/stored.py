"""Tellings as the ledger keeps them, and back. What cannot be read back is told anew."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from plugwarden_collector.store.ledger import TellingRow

from .message import Ending, Key, Telling
from .subject import Subject

__all__ = ["row_of", "telling_in"]

T = TypeVar("T", Subject, Ending)


def row_of(key: Key, telling: Telling) -> TellingRow:
    """Return the row that the ledger keeps of a telling."""
    receiver, fingerprint = key
    ended = None if telling.ended is None else _text(telling.ended)
    return TellingRow(
        receiver, fingerprint, telling.due_at, telling.told_at, telling.given_up_by, _text(telling.subject), ended
    )


def telling_in(row: TellingRow) -> tuple[Key, Telling] | None:
    """Return the telling of a row; None where it is not one of ours."""
    try:
        subject = _read(Subject, row.subject)
        ended = None if row.ended is None else _read(Ending, row.ended)
        if "severity" not in subject.labels:
            return None
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None
    return (row.receiver, row.fingerprint), Telling(subject, row.due_at, row.told_at, ended, row.given_up_by)


def _text(value: Subject | Ending) -> str:
    return json.dumps(asdict(value), default=lambda at: at.isoformat())


def _read(kind: type[T], text: str) -> T:
    """Return a value with the fields that are there: a later version may have added some."""
    found: dict[str, Any] = json.loads(text)
    known = {item.name for item in fields(kind)}
    values = {name: value for name, value in found.items() if name in known}
    for name in values.keys() & {"at", "started_at", "told_at"}:
        if values[name] is None:
            continue
        at = datetime.fromisoformat(values[name])
        values[name] = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo is not None else at
    if "labels" in values:
        values["labels"] = {str(name): str(value) for name, value in values["labels"].items()}
    return kind(**values)
