"""Whose something is that people are told of, and with which labels of the rules: receivers are chosen by both. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.file import Rules

from .subject import Subject

__all__ = ["owners_of", "with_owners"]

Pairs = tuple[tuple[str, str], ...]
"""Labels with their values; a label may come several times, as of a plugin with two owners."""


def with_owners(subjects: Iterable[Subject], standing: Standing, rules: Rules) -> list[Subject]:
    """Return subjects with what the rules say of them: of an alert its objective, of all else the objectives of its plugins.

    What an `[[alert]]` gives its alerts are labels already.
    """
    said = [(item, pairs) for item in rules.objectives if (pairs := _pairs(item.owner, item.labels))]
    if not said:
        return list(subjects)
    of_slo = {item.name: pairs for item, pairs in said}

    def about(subject: Subject) -> Pairs:
        record = standing.alerts.get(subject.key)
        if record is not None and (record.slo or record.watched):
            return of_slo.get(record.slo, ())
        incident = standing.incidents.get(subject.key)
        plugins = (subject.labels.get("plugin", ""),) if incident is None else incident.plugins
        found = (pairs for item, pairs in said if any(plugin and item.covers(plugin) for plugin in plugins))
        return tuple(dict.fromkeys(pair for pairs in found for pair in pairs))

    found = ((subject, about(subject)) for subject in subjects)
    return [replace(subject, also=pairs) if pairs else subject for subject, pairs in found]


def owners_of(plugin: str, rules: Rules) -> list[str]:
    """Return who answers for a plugin: the owners of the objectives that are about it, in order."""
    return sorted({item.owner for item in rules.objectives if item.owner and item.covers(plugin)})


def _pairs(owner: str, labels: Mapping[str, str]) -> Pairs:
    return tuple(labels.items()) + ((("owner", owner),) if owner else ())
