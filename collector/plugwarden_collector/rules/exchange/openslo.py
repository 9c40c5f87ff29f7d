"""OpenSLO: objects of `openslo/v1`, and those parts of `openslo.com/v2alpha` that say the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from plugwarden_collector.rules.table import nearest
from plugwarden_collector.rules.workable import shown
from plugwarden_collector.rules.yaml_text import Value

from .draft import Draft, Found
from .openslo_metric import TYPE, Metrics, Named, names_of
from .openslo_window import Window, window_in

__all__ = ["MAX_DESCRIPTION", "PREFIX", "V1", "VERSIONS", "read_openslo"]

PREFIX = "plugwarden/"
"""Beginning of the annotations that carry what OpenSLO has no key for."""
V1 = "openslo/v1"
VERSIONS = (V1, "openslo.com/v2alpha", "openslo.com/v2alpha1")
_KINDS: Mapping[str, frozenset[str]] = {
    "SLO": frozenset({
        "description", "service", "indicator", "indicatorRef", "sli", "sliRef", "timeWindow", "budgetingMethod", "objectives",
        "alertPolicies",
    }),
    "SLI": frozenset({"description", "thresholdMetric", "ratioMetric"}),
    "Service": frozenset({"description"}),
    "DataSource": frozenset({"description", "type", "connectionDetails"}),
    "AlertPolicy": frozenset({
        "description", "alertWhenNoData", "alertWhenResolved", "alertWhenBreaching", "conditions", "notificationTargets",
    }),
    "AlertCondition": frozenset({"description", "severity", "condition"}),
    "AlertNotificationTarget": frozenset({"description", "target"}),
}  # fmt: skip
"""Keys of each kind's `spec`."""
_OBJECTIVE = {
    "displayName", "labels", "op", "value", "target", "targetPercent", "timeSliceTarget", "timeSliceWindow", "indicator",
    "indicatorRef", "sli", "sliRef", "compositeWeight",
}  # fmt: skip
_COMPOSITE = ("indicator", "indicatorRef", "sli", "sliRef", "compositeWeight")
MAX_DESCRIPTION = 1050
"""Characters of a description. Source: OpenSLO's specification."""


def read_openslo(objects: Iterable[Value], found: Found, beside: Iterable[Value] = ()) -> None:
    """Read OpenSLO's objects, which may refer to each other, and to those `beside`, by name."""
    held = [item for item in objects if _checked(item, found)]
    others = [item for item in beside if _checked(item, Found())]
    named = {
        (item.fields["kind"].text, name.text): item
        for item in (*others, *held)
        if (name := item.at("metadata", "name")) is not None
    }
    for item in held:
        kind = item.fields["kind"].text
        if kind == "SLO":
            _Slo(item, named, found).read()
        elif kind.startswith("Alert"):
            found.warn(
                item.fields["kind"],
                f"{kind} is left out: people are alerted by `windows`, and who is told is a [[receiver]] of a rules file",
            )


def _checked(item: Value, found: Found) -> bool:
    """Whether an object is one of OpenSLO's with a name and keys that it may have; what is wrong is noted."""
    before = len(found.problems)
    kind = found.text(item, "kind", needed=True)
    if kind is None:
        return False
    if kind.text not in _KINDS:
        found.refuse(kind, f"{shown(kind.text)} is no kind that is read{nearest(kind.text, tuple(_KINDS))}")
        return False
    found.known(item, {"apiVersion", "kind", "metadata", "spec"})
    metadata, spec = (
        found.mapping(item, "metadata", needed=True),
        found.mapping(item, "spec", needed=kind.text != "Service"),
    )
    if metadata is not None:
        found.known(metadata, {"name", "displayName", "labels", "annotations"})
        found.text(metadata, "name", needed=True)
    if spec is not None:
        found.known(spec, _KINDS[kind.text])
        description = found.text(spec, "description")
        if description is not None and len(description.text) > MAX_DESCRIPTION:
            found.refuse(description, f"has {len(description.text)} characters; OpenSLO allows {MAX_DESCRIPTION}")
        _check_alerting(kind.text, spec, found)
    return len(found.problems) == before


def _check_alerting(kind: str, spec: Value, found: Found) -> None:
    if kind == "AlertNotificationTarget":
        found.text(spec, "target", needed=True)
    elif kind == "AlertCondition":
        found.text(spec, "severity", needed=True)
        condition = found.mapping(spec, "condition", needed=True)
        for key in () if condition is None else ("lookbackWindow", "threshold"):
            found.text(condition or spec, key, needed=True)
    elif kind == "AlertPolicy":
        conditions = found.list_of(spec, "conditions", needed=True)
        if len(conditions) > 1:
            found.refuse(conditions[1], "OpenSLO allows one condition; leave this one out")
        found.list_of(spec, "notificationTargets", needed=True)


class _Slo:
    """Reads one SLO."""

    def __init__(self, item: Value, named: Named, found: Found) -> None:
        self._item, self._named, self._found = item, named, found
        self._second = not item.fields["apiVersion"].text.startswith("openslo/")
        self._before = len(found.problems)
        self._sliced = False

    def read(self) -> None:
        """Add an objective for each of the SLO's."""
        spec, found = self._item.fields["spec"], self._found
        window = window_in(spec, found)
        self._sliced = self._by_slices(spec)
        if (policies := spec.at("alertPolicies")) is not None and (policies.items or policies.text):
            found.warn(
                policies,
                "are left out: people are alerted by `windows`, and who is told is a [[receiver]] of a rules file",
            )
        metric = self._metric(spec)
        objectives = found.list_of(spec, "objectives", needed=True)
        for index, objective in enumerate(objectives):
            self._read_objective(objective, index if len(objectives) > 1 else None, window, metric)

    def _by_slices(self, spec: Value) -> bool:
        """Return whether a budget is of slices of time; another method than of slices or calls is noted."""
        method = spec.at("budgetingMethod")
        if method is not None and method.text == "RatioTimeslices":
            self._found.refuse(
                method,
                f"{method.text} is not judged, as it is a mean of ratios: a slice is good or bad here; write Timeslices",
            )
        elif method is not None and method.text not in ("Occurrences", "Timeslices"):
            self._found.refuse(method, f"{shown(method.text)} is no budgeting method; write Occurrences or Timeslices")
        return method is not None and method.text == "Timeslices"

    def _metric(self, spec: Value) -> Value | None:
        """Return the `spec` of the SLI, inline or by its name."""
        found, inline, by_name = self._found, *(("sli", "sliRef") if self._second else ("indicator", "indicatorRef"))
        for key in ("sli", "sliRef", "indicator", "indicatorRef"):
            if key not in (inline, by_name) and (other := spec.at(key)) is not None:
                found.refuse(
                    other, f"is of another version of OpenSLO; write {inline if 'Ref' not in key else by_name}"
                )
        sli, reference = spec.at(inline), spec.at(by_name)
        if reference is not None:
            named = self._named.get(("SLI", reference.text))
            if named is None:
                found.refuse(
                    reference,
                    f"there is no SLI {shown(reference.text)}{nearest(reference.text, names_of(self._named, 'SLI'))}",
                )
                return None
            return named.at("spec")
        if sli is None:
            found.refuse(spec, f"{inline} is missing; write it, or {by_name} with the name of an SLI")
            return None
        metric = found.mapping(sli, "spec", needed=True)
        if metric is not None:
            found.known(metric, _KINDS["SLI"])
        return metric

    def _read_objective(self, objective: Value, index: int | None, window: Window, metric: Value | None) -> None:
        item, found, draft = self._item, self._found, Draft(self._found, objective)
        name, metadata, spec = item.at("metadata", "name"), item.fields["metadata"], item.fields["spec"]
        found.known(objective, _OBJECTIVE)
        for key in _COMPOSITE:
            if (part := objective.at(key)) is not None:
                found.refuse(part, "objectives that are made of several are not judged; write an SLO for each")
        said = objective.at("displayName")
        if name is not None:
            draft.put(
                "name",
                name.text if index is None else f"{name.text}/{said.text if said is not None else index + 1}",
                name,
            )
        draft.text("display_name", metadata.at("displayName"))
        draft.text("description", spec.at("description"))
        for key, (text, at) in window.items():
            draft.put(key, text, at)
        service = spec.at("service")
        if service is not None and service.text != TYPE:
            draft.label("service", service)
        for labels in (metadata.at("labels"), objective.at("labels")):
            for key, value in ({} if labels is None else labels.fields).items():
                draft.label(key, value)
        self._read_target(objective, draft)
        self._read_slices(objective, draft)
        if metric is not None:
            Metrics(self._named, self._second, found).read(metric, objective, draft)
        draft.carried(metadata.at("annotations"), PREFIX)
        draft.finish(before=self._before)

    def _read_slices(self, objective: Value, draft: Draft) -> None:
        for key, mine in (("timeSliceWindow", "slice"), ("timeSliceTarget", "slice_objective")):
            said = objective.at(key)
            if said is not None and not self._sliced:
                self._found.refuse(said, "is of slices of time; write budgetingMethod: Timeslices, or leave it out")
            elif said is None and self._sliced:
                example = "1m" if mine == "slice" else "0.95"
                self._found.refuse(objective, f"{key} is missing, which Timeslices need; write {key}: {example}")
            elif said is not None:
                draft.put(mine, said.value, said)

    def _read_target(self, objective: Value, draft: Draft) -> None:
        target, percent = objective.at("target"), objective.at("targetPercent")
        if target is not None and percent is not None:
            self._found.refuse(percent, "target says it already; leave one out")
        elif target is None and percent is None:
            self._found.refuse(objective, "target is missing; write a ratio such as 0.99, or targetPercent")
        draft.ratio(target)
        draft.ratio(percent, percent=True)
