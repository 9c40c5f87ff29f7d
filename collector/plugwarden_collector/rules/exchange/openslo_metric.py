"""What an SLI of OpenSLO measures: a source of the type `plugwarden`, or queries of Prometheus that count the same.

Of a source of our type, `spec.plugins`, `versions` and `operations` have the patterns, and `spec.calls` is `good`, `bad` or `total`; a
threshold metric of it is the duration of calls in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping

from plugwarden_collector.rules.objective import Sli
from plugwarden_collector.rules.table import nearest
from plugwarden_collector.rules.workable import shown
from plugwarden_collector.rules.yaml_text import Value, plain

from .draft import Draft, Found

__all__ = ["PATTERNS", "TYPE", "Metrics", "Named", "names_of"]

TYPE = "plugwarden"
"""Type of a metric source that is of plugins' calls."""
PATTERNS = ("plugins", "versions", "operations")
"""Keys of its `spec` that say whose calls are meant."""
Named = Mapping[tuple[str, str], Value]
"""Objects by kind and name."""


def names_of(named: Named, kind: str) -> tuple[str, ...]:
    """Return the names of the objects of one kind."""
    return tuple(name for there, name in named if there == kind)


class Metrics:
    """Reads metrics that may refer to data sources by name."""

    def __init__(self, named: Named, second: bool, found: Found) -> None:
        """`second`: whether they are of `v2alpha`, where a source stands in the metric itself."""
        self._named, self._second, self._found = named, second, found

    def read(self, metric: Value, objective: Value, draft: Draft) -> None:
        """Set what is measured, from the `spec` of an SLI and the objective that it is for."""
        found, threshold, ratio = self._found, metric.at("thresholdMetric"), metric.at("ratioMetric")
        if (threshold is None) is (ratio is None):
            found.refuse(metric, "write thresholdMetric or ratioMetric, and not both")
        elif threshold is not None:
            self._read_threshold(threshold, objective, draft)
        elif ratio is not None:
            self._read_ratio(ratio, draft)

    def _read_threshold(self, threshold: Value, objective: Value, draft: Draft) -> None:
        found, (kind, source) = self._found, self._source(threshold)
        if kind is None or source is None:
            return
        if kind.text.lower() != TYPE:
            found.refuse(
                kind,
                f"thresholds of {shown(kind.text)} are not judged; write the type {TYPE}, whose value is the duration of a call in seconds",
            )
            return
        self._read_patterns(source, set(), draft)
        draft.put("sli", Sli.LATENCY.value, threshold)
        op, value = objective.at("op"), objective.at("value")
        if op is None or op.text not in ("lt", "lte"):
            found.refuse(op or objective, "a call is good when it is fast; write op: lte")
        if value is None or isinstance(value.value, bool) or not isinstance(value.value, int | float):
            found.refuse(value or objective, "value must be the seconds that a call may take, such as value: 0.25")
        else:
            draft.put("threshold", value.value, value)

    def _read_ratio(self, ratio: Value, draft: Draft) -> None:
        found = self._found
        found.known(ratio, {"counter", "good", "bad", "total", "raw", "rawType"})
        if (raw := ratio.at("raw")) is not None:
            found.refuse(raw, "a ratio says nothing of single calls; write good or bad, and total")
            return
        total, parts = ratio.at("total"), [key for key in ("good", "bad") if ratio.at(key) is not None]
        if total is None or len(parts) != 1:
            found.refuse(ratio, "write total, and one of good and bad")
            return
        part = ratio.fields[parts[0]]
        sources = [self._source(item) for item in (part, total)]
        (kind, first), (other, second) = sources
        if kind is None or other is None or first is None or second is None:
            return
        if kind.text.lower() != other.text.lower():
            found.refuse(other, f"is another type than {shown(kind.text)}; write one for both")
        elif kind.text.lower() == TYPE:
            draft.put("sli", Sli.AVAILABILITY.value, part)
            for key in PATTERNS:
                one, both = (None if (said := source.at(key)) is None else plain(said) for source in (first, second))
                if one != both:
                    found.refuse(
                        second.at(key) or second, f"the {parts[0]} calls are of other {key}; write the same for both"
                    )
            for source, calls in ((first, parts[0]), (second, "total")):
                self._read_patterns(source, {"calls"}, draft)
                if (said := source.at("calls")) is not None and said.text != calls:
                    found.refuse(said, f"{shown(said.text)} must be {calls} here")
        elif kind.text.lower() == "prometheus":
            queries = [found.text(source, "query", needed=True) for source in (first, second)]
            if queries[0] is not None and queries[1] is not None:
                draft.queries(queries[0], queries[1], good=parts[0] == "good")
        else:
            found.refuse(
                kind,
                f"{shown(kind.text)} is not read; write the type {TYPE} with the plugins, or Prometheus with queries of their calls",
            )

    def _read_patterns(self, source: Value, more: set[str], draft: Draft) -> None:
        self._found.known(source, {*PATTERNS, *more})
        for key in PATTERNS:
            said = source.at(key)
            if said is not None:
                draft.put(key, plain(said), said)
        if source.at("plugins") is None:
            self._found.refuse(source, 'plugins is missing; write their patterns, such as ["image-*"]')

    def _source(self, metric: Value) -> tuple[Value | None, Value | None]:
        """Return the type of a metric's source, and its `spec`; None for what is missing, which is noted."""
        found = self._found
        if self._second:
            found.known(metric, {"dataSourceRef", "dataSourceSpec", "spec"})
            kind, reference, spec = metric.at("dataSourceSpec", "type"), metric.at("dataSourceRef"), metric.at("spec")
        else:
            found.known(metric, {"metricSource"})
            source = found.mapping(metric, "metricSource", needed=True)
            if source is None:
                return None, None
            found.known(source, {"type", "metricSourceRef", "spec"})
            kind, reference, spec = source.at("type"), source.at("metricSourceRef"), source.at("spec")
        if kind is None and reference is not None:
            held = self._named.get(("DataSource", reference.text))
            if held is None:
                found.refuse(
                    reference,
                    f"there is no DataSource {shown(reference.text)}{nearest(reference.text, names_of(self._named, 'DataSource'))}",
                )
                return None, None
            kind = held.at("spec", "type")
        if kind is None:
            found.refuse(metric, f"has no type of its source; write {TYPE} or Prometheus")
        if kind is not None and spec is None:
            known = kind.text.lower() in (TYPE, "prometheus")
            wrong = (
                "spec is missing; write the plugins, or the query, below it"
                if known
                else f"is of the type {shown(kind.text)}, which is not read; write {TYPE}, or Prometheus with queries"
            )
            found.refuse(metric, wrong)
        return kind, spec
