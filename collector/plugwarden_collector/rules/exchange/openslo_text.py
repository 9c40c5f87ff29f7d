"""Objectives as SLOs of `openslo/v1`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from plugwarden_collector.rules.duration import written
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.pattern import EVERY, alternatives

from .openslo import MAX_DESCRIPTION, PREFIX, V1
from .openslo_metric import PATTERNS, TYPE
from .openslo_window import FIRST_DAY, LENGTH_OF
from .tables import slo_table, texts_of

__all__ = ["openslo_documents"]


def openslo_documents(objectives: Iterable[Objective]) -> Iterator[dict[str, Any]]:
    """Yield an SLO of `openslo/v1` for each objective, with what OpenSLO has no key for in annotations."""
    taken: set[str] = set()
    for item in objectives:
        yield _document(item, _slug(item.name, taken))


def _slug(name: str, taken: set[str]) -> str:
    """Return a name as Kubernetes takes it, that no other objective has. Source: RFC 1123, labels."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:55].strip("-") or "objective"
    found = next(
        slug
        for number in range(1, len(taken) + 2)
        if (slug := words if number == 1 else f"{words}-{number}") not in taken
    )
    taken.add(found)
    return found


def _document(objective: Objective, slug: str) -> dict[str, Any]:
    table, (metric, compared) = slo_table(objective), _METRICS[objective.sli](objective)
    short = len(objective.description) <= MAX_DESCRIPTION
    window, same = _window(objective)
    kept: dict[str, Any] = {
        key: table[key] for key in ("display_name", "owner", "labels", *PATTERNS, "sli") if key in table
    }
    kept |= {"name": slug, "objective": objective.target_ratio} | same
    kept |= {"description": objective.description} if short else {}
    sliced = (
        {"timeSliceWindow": table["slice"], "timeSliceTarget": table["slice_objective"]} if "slice" in table else {}
    )
    kept |= {key: table[key] for key in ("slice", "slice_objective") if sliced}
    kept |= {"threshold": table["threshold"]} if "value" in compared else {}
    metadata = {
        "name": slug,
        "displayName": objective.display_name,
        "labels": ({"owner": objective.owner} if objective.owner else {}) | dict(objective.labels),
        "annotations": texts_of(objective, kept, PREFIX),
    }
    return {
        "apiVersion": V1,
        "kind": "SLO",
        "metadata": {key: value for key, value in metadata.items() if value},
        "spec": {
            **({"description": objective.description} if objective.description and short else {}),
            "service": objective.labels.get("service", TYPE),
            "indicator": {"metadata": {"name": f"{slug}-sli"}, "spec": metric},
            "timeWindow": [window],
            "budgetingMethod": "Timeslices" if sliced else "Occurrences",
            "objectives": [{**compared, "target": objective.target_ratio, **sliced}],
        },
    }


def _window(objective: Objective) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a window, and the keys of a rules file that it says."""
    if objective.calendar is None:
        length = written(objective.period_seconds)
        length = length if isinstance(length, str) and re.fullmatch(r"\d+[mhd]", length) else "30d"
        return {"duration": length, "isRolling": True}, {"period": length}
    unit, zone = objective.calendar.unit, objective.calendar.time_zone
    calendar = {"startTime": f"{FIRST_DAY} 00:00:00", "timeZone": zone}
    return {"duration": LENGTH_OF[unit], "isRolling": False, "calendar": calendar}, {
        "period": unit.value,
        "time_zone": zone,
    }


def _ratio(objective: Objective) -> tuple[dict[str, Any], dict[str, Any]]:
    good, total = (_source(objective, calls=calls) for calls in ("good", "total"))
    return {"ratioMetric": {"counter": True, "good": good, "total": total}}, {}


def _threshold(objective: Objective) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"thresholdMetric": _source(objective)}, {"op": "lte", "value": objective.threshold_seconds}


def _source(objective: Objective, **spec: str) -> dict[str, Any]:
    patterns = {key: list(alternatives(pattern)) for key in PATTERNS if (pattern := getattr(objective, key)) != EVERY}
    return {"metricSource": {"type": TYPE, "spec": {"plugins": [EVERY], **patterns, **spec}}}


_METRICS: Mapping[Sli, Callable[[Objective], tuple[dict[str, Any], dict[str, Any]]]] = {
    Sli.AVAILABILITY: _ratio,
    Sli.LATENCY: _threshold,
}
"""What makes the `spec` of an SLI, and what its values are compared with."""
