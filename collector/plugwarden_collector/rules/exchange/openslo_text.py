"""Objectives as SLOs of `openslo/v1`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.pattern import alternatives

from .openslo import MAX_DESCRIPTION, PREFIX, V1
from .openslo_metric import TYPE
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
    table, latency = slo_table(objective), objective.sli is Sli.LATENCY
    short = len(objective.description) <= MAX_DESCRIPTION
    period = (
        table["period"] if isinstance(table["period"], str) and re.fullmatch(r"\d+[mhd]", table["period"]) else "30d"
    )
    kept: dict[str, Any] = {
        key: table[key] for key in ("display_name", "owner", "labels", "plugins", "sli") if key in table
    }
    kept |= {"name": slug, "period": period, "objective": objective.target_ratio}
    kept |= {"description": objective.description} if short else {}
    kept |= {"threshold": table["threshold"]} if latency else {}
    metadata = {
        "name": slug,
        "displayName": objective.display_name,
        "labels": ({"owner": objective.owner} if objective.owner else {}) | dict(objective.labels),
        "annotations": texts_of(objective, kept, PREFIX),
    }
    plugins = list(alternatives(objective.plugins))
    return {
        "apiVersion": V1,
        "kind": "SLO",
        "metadata": {key: value for key, value in metadata.items() if value},
        "spec": {
            **({"description": objective.description} if objective.description and short else {}),
            "service": objective.labels.get("service", TYPE),
            "indicator": {"metadata": {"name": f"{slug}-sli"}, "spec": _sli(plugins, latency)},
            "timeWindow": [{"duration": period, "isRolling": True}],
            "budgetingMethod": "Occurrences",
            "objectives": [
                {
                    **({"op": "lte", "value": objective.threshold_seconds} if latency else {}),
                    "target": objective.target_ratio,
                }
            ],
        },
    }


def _sli(plugins: list[str], latency: bool) -> dict[str, Any]:
    def source(**spec: str) -> dict[str, Any]:
        return {"metricSource": {"type": TYPE, "spec": {"plugins": list(plugins), **spec}}}

    if latency:
        return {"thresholdMetric": source()}
    return {"ratioMetric": {"counter": True, "good": source(calls="good"), "total": source(calls="total")}}
