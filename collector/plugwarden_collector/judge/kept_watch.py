"""The watch as text: what is suspected outlives the process that suspects it."""

from __future__ import annotations

import json
from datetime import datetime

from .evidence import ALTERNATIVES, Line, Suspicion
from .parts import PartCount, PartKey, Step
from .watch import StreamKey, Watch

__all__ = ["kept", "resumed"]

_FORM = 3
"""Grows when the text, or what its numbers mean, changes; another form is not read, and suspicion begins anew."""


def kept(watch: Watch) -> str:
    """Return a watch as JSON, without the cells of the last seconds."""
    streams = [
        [
            *key, item.bad_at.isoformat(), [[line.nats, line.since.isoformat(), line.mark] for line in item.lines],
            item.well_nats, None if item.well_since is None else item.well_since.isoformat(),
        ]
        for key, item in watch.streams.items()
    ]  # fmt: skip
    parts = [
        [
            *key, [[step.at.isoformat(), step.mark, step.before] for step in item.steps],
            item.bad_at.isoformat(), item.bad, item.looked, item.weighed,
        ]
        for key, item in watch.parts.items()
    ]  # fmt: skip
    at = None if watch.at is None else watch.at.isoformat()
    marks = [[began.isoformat(), mark] for began, mark in watch.marks]
    told = {"form": _FORM, "at": at, "mark": watch.mark, "marks": marks, "streams": streams, "parts": parts}
    return json.dumps(told)


def resumed(text: str | None) -> Watch | None:
    """Return the watch that was kept; None where none was, or one that this version cannot read."""
    if text is None:
        return None
    try:
        raw = json.loads(text)
        if raw["form"] != _FORM:
            return None
        streams = {
            StreamKey(*row[:4]): Suspicion(
                tuple(Line(nats, datetime.fromisoformat(since), mark) for nats, since, mark in row[5]),
                datetime.fromisoformat(row[4]),
                row[6],
                None if row[7] is None else datetime.fromisoformat(row[7]),
            )
            for row in raw["streams"]
            if len(row[5]) == len(ALTERNATIVES)
        }
        parts = {
            PartKey(*row[:5]): PartCount(
                tuple(Step(datetime.fromisoformat(at), mark, before) for at, mark, before in row[5]),
                datetime.fromisoformat(row[6]),
                *row[7:10],
            )
            for row in raw["parts"]
            if row[5]
        }
        at = None if raw["at"] is None else datetime.fromisoformat(raw["at"])
        marks = tuple((datetime.fromisoformat(began), int(mark)) for began, mark in raw.get("marks", []))
        return Watch(int(raw["mark"]), streams, parts, marks=marks, at=at)
    except (ValueError, TypeError, KeyError, IndexError):
        return None
