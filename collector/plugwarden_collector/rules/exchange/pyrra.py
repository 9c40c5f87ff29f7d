"""Pyrra's `ServiceLevelObjective` (pyrra.dev/v1alpha1)."""

from __future__ import annotations

from plugwarden_collector.rules.workable import shown
from plugwarden_collector.rules.yaml_text import Value

from .draft import Draft, Found

__all__ = ["read_pyrra"]

_SPEC = {"target", "window", "description", "indicator", "alerting", "partial_response_strategy"}
_INDICATORS = ("ratio", "latency", "latencyNative", "bool_gauge")
_LABEL = "pyrra.dev/"
"""Beginning of the labels that Pyrra hands on."""


def read_pyrra(document: Value, found: Found) -> None:
    """Read a document of Pyrra. Its alerts are those of the windows `pyrra`."""
    found.known(document, {"apiVersion", "kind", "metadata", "spec", "status"})
    kind = document.at("kind")
    if kind is None or kind.text != "ServiceLevelObjective":
        found.refuse(kind or document, "is no kind of Pyrra's that is read; write ServiceLevelObjective")
        return
    before, draft = len(found.problems), Draft(found, document)
    metadata, spec = found.mapping(document, "metadata", needed=True), found.mapping(document, "spec", needed=True)
    if metadata is None or spec is None:
        return
    found.known(spec, _SPEC)
    name = found.text(metadata, "name", needed=True)
    draft.text("name", name)
    if (space := metadata.at("namespace")) is not None:
        draft.label("namespace", space)
    for key, value in ({} if (labels := found.mapping(metadata, "labels")) is None else labels.fields).items():
        if key.startswith(_LABEL):
            draft.label("owner" if key == f"{_LABEL}team" else key.removeprefix(_LABEL), value)
    draft.text("description", found.text(spec, "description"))
    draft.text("period", found.text(spec, "window", needed=True))
    draft.ratio(found.text(spec, "target", needed=True), percent=True)
    draft.put("windows", "pyrra", name)
    _read_alerting(spec, found)
    indicator = found.mapping(spec, "indicator", needed=True)
    if indicator is not None:
        _read_indicator(indicator, draft, found)
    draft.finish(before=before)


def _read_alerting(spec: Value, found: Found) -> None:
    alerting = found.mapping(spec, "alerting")
    if alerting is None:
        return
    found.known(alerting, {"disabled", "burnrates", "absent", "name", "absentName"})
    for key, off in (("disabled", True), ("burnrates", False)):
        if (value := alerting.at(key)) is not None and value.value is off:
            found.refuse(
                value,
                "an objective without alerts is not known; leave it out, and choose by `severities` of a [[receiver]] who is told",
            )
    for key in ("absent", "absentName", "name"):
        if (value := alerting.at(key)) is not None:
            found.warn(value, "is left out: alerts are named by their objective, and calls that are missing raise none")


def _read_indicator(indicator: Value, draft: Draft, found: Found) -> None:
    found.known(indicator, _INDICATORS)
    given = [key for key in _INDICATORS if indicator.at(key) is not None]
    if len(given) != 1:
        found.refuse(indicator, "write one indicator: ratio or latency")
        return
    kind, value = given[0], indicator.fields[given[0]]
    if kind in ("latencyNative", "bool_gauge"):
        found.refuse(value, f"{kind} is not read; write ratio, or latency with a bucket of the plugins' calls")
        return
    part = "errors" if kind == "ratio" else "success"
    found.known(value, {part, "total", "grouping"})
    grouping = value.at("grouping")
    for label in [] if grouping is None else grouping.items:
        if label.text != "plugin_id":
            found.refuse(
                label,
                f"{shown(label.text)}: each plugin has a budget of its own, and nothing else has; write plugin_id",
            )
    first, second = (found.mapping(value, key, needed=True) for key in (part, "total"))
    metrics = [None if item is None else found.text(item, "metric", needed=True) for item in (first, second)]
    if metrics[0] is not None and metrics[1] is not None:
        draft.queries(
            metrics[0], metrics[1], good=kind == "latency", by_plugin=grouping is not None and bool(grouping.items)
        )
