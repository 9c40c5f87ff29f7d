"""What an objective counts of one plugin, by section of time, from one pass over its rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from plugwarden_collector.judge.burn_down import Section
from plugwarden_collector.store.calls import Measure, SectionCounts, Spender
from plugwarden_collector.store.duckdb.rows import Row
from plugwarden_collector.store.duckdb.statements import statement

from .kind import Kind, regex_of
from .source import CallSource

__all__ = ["section_counts"]

HOUR = timedelta(hours=1)
MOST_CUT = 400
"""Hours in which sections end, from which on no whole hour is read: steps are shorter than an hour then, and so is the span."""


def section_counts(
    source: CallSource, plugin: str, measure: Measure, sections: Sequence[Section], version: str | None
) -> SectionCounts:
    """Return the counts of sections that follow one another."""
    if not sections:
        return SectionCounts({}, {}, [])
    kind = Kind.of(measure)
    # By the second where they are kept: a short window begins at any of them.
    span = source.tiers.between(sections[0].first, sections[-1].before, finest=True)
    asked = {"plugin": plugin, **span, "firsts": [item.first for item in sections], **kind.asked}
    if measure.slices is not None:
        if measure.slices.seconds < HOUR.total_seconds():
            asked["hours_end"] = asked["first_hour"]
        rows = source.fetch(statement(f"section_{kind.counted_by}"), asked)
        return SectionCounts({row["section"]: (row["total"], row["bad"]) for row in rows}, {}, [])
    asked |= {
        "fast": measure.fast_index,
        "version": version,
        "versions": regex_of(measure.versions),
        "counting": [item.counts for item in sections],
    }
    cut = sorted({hour for item in sections[1:] if (hour := _hour(item.first)) != item.first})
    if len(cut) > MOST_CUT:
        asked["hours_end"], cut = asked["first_hour"], []
    return _read(source.fetch(statement("section_counts"), {**asked, "cut_hours": cut}))


def _read(rows: Sequence[Row]) -> SectionCounts:
    whole: dict[int, tuple[int, int]] = {}
    of_version: dict[str, dict[int, tuple[int, int]]] = {}
    spenders: list[Spender] = []
    for row in rows:
        version, section, counts = row["plugin_version"], row["section"], (row["total"], row["bad"])
        if section is None:
            spenders.append(Spender(version, row["plugin_operation"], row["error_type"], row["bad"]))
            continue
        of_version.setdefault(version, {})[section] = counts
        total, bad = whole.get(section, (0, 0))
        whole[section] = total + counts[0], bad + counts[1]
    spenders.sort(key=_most_first)
    return SectionCounts(whole, of_version, spenders)


def _most_first(item: Spender) -> tuple[Any, ...]:
    return -item.bad, item.plugin_version, item.plugin_operation, item.error_type


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
