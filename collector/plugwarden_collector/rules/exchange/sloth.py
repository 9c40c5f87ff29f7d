"""Sloth's files: `prometheus/v1`, and the same for Kubernetes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from plugwarden_collector.rules.duration import seconds
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.yaml_text import Value

from .draft import Draft, Found, percent_of, ratio_of
from .promql import queries_of
from .tables import slo_table, texts_of

__all__ = ["SERVICE", "read_sloth", "service_of", "sloth_document", "sloth_name"]

PREFIX = "plugwarden_"
"""Beginning of the annotations that carry what Sloth has no key for; they are labels of Prometheus' alerts."""
SERVICE = "plugins"
"""Service of an objective that has no label `service`."""
_SPEC = {"service", "labels", "slos", "slo_plugins", "sloPlugins"}
_SLO = {"name", "description", "objective", "labels", "sli", "alerting", "plugins", "interval"}
_ALERTING = {"name", "labels", "annotations", "page_alert", "pageAlert", "ticket_alert", "ticketAlert"}
_ALERT = {"disable", "labels", "annotations", "for"}
_EVENTS = {False: ("error_query", "total_query"), True: ("errorQuery", "totalQuery")}
_ALERTS = {False: ("page_alert", "ticket_alert"), True: ("pageAlert", "ticketAlert")}
"""Keys of the plain form, and of that for Kubernetes."""


def read_sloth(document: Value, found: Found) -> None:
    """Read a document of Sloth."""
    kind = document.at("kind")
    kubernetes = kind is not None
    if kubernetes:
        found.known(document, {"apiVersion", "kind", "metadata", "spec", "status"})
        spec = found.mapping(document, "spec", needed=True)
    else:
        found.known(document, _SPEC | {"version"})
        spec = document
    if spec is None:
        return
    if kubernetes:
        found.known(spec, _SPEC)
    _refuse_plugins(spec, found)
    for item in found.list_of(spec, "slos", needed=True):
        _read_slo(item, spec, kubernetes, found)


def _refuse_plugins(value: Value, found: Found) -> None:
    for key in ("slo_plugins", "sloPlugins", "plugins"):
        if (plugins := value.at(key)) is not None:
            found.refuse(plugins, "Sloth's plugins are programs, and none is run here; leave it out")


def _read_slo(slo: Value, spec: Value, kubernetes: bool, found: Found) -> None:
    before, draft = len(found.problems), Draft(found, slo)
    found.known(slo, _SLO)
    _refuse_plugins(Value({"plugins": slo.fields.get("plugins", Value(None, slo.line))}, slo.line), found)
    name, service = found.text(slo, "name", needed=True), found.text(spec, "service", needed=True)
    if name is not None and service is not None:
        draft.put("name", sloth_name(service.text, name.text), name)
        if service.text != SERVICE:
            draft.label("service", service)
    draft.text("description", found.text(slo, "description"))
    draft.ratio(found.text(slo, "objective", needed=True), percent=True)
    for labels in (found.mapping(spec, "labels"), found.mapping(slo, "labels")):
        for label, value in ({} if labels is None else labels.fields).items():
            draft.label(label, value)
    if (interval := slo.at("interval")) is not None:
        found.warn(interval, "is left out; objectives are judged every second")
    _read_sli(slo, kubernetes, draft, found)
    _read_alerting(slo, kubernetes, draft, found)
    _choose_windows(slo, draft, found)
    draft.finish(before=before)


def _choose_windows(slo: Value, draft: Draft, found: Found) -> None:
    """Set the windows that were given for the objective's period, as Sloth chooses them."""
    try:
        period = seconds(draft.table.get("period", "30d"))
    except ValueError:
        return
    if period in found.tables and "windows" not in draft.table:
        draft.put("windows", found.tables[period].name, slo)


def _read_sli(slo: Value, kubernetes: bool, draft: Draft, found: Found) -> None:
    sli = found.mapping(slo, "sli", needed=True)
    if sli is None:
        return
    found.known(sli, {"events", "raw", "plugin"})
    for key, why in (
        ("raw", "a ratio says nothing of single calls; write events"),
        ("plugin", "Sloth's plugins are programs, and none is run here; write events"),
    ):
        if (given := sli.at(key)) is not None:
            found.refuse(given, why)
            return
    events = found.mapping(sli, "events", needed=True)
    if events is None:
        return
    found.known(events, _EVENTS[kubernetes])
    bad, total = (found.text(events, key, needed=True) for key in _EVENTS[kubernetes])
    if bad is not None and total is not None:
        draft.queries(bad, total)


def _read_alerting(slo: Value, kubernetes: bool, draft: Draft, found: Found) -> None:
    alerting = found.mapping(slo, "alerting")
    if alerting is None:
        return
    found.known(alerting, _ALERTING)
    annotations = found.mapping(alerting, "annotations")
    for key in ("runbook", "runbook_url"):
        draft.text("runbook", None if annotations is None else annotations.at(key))
    alerts = [alert for key in _ALERTS[kubernetes] if (alert := found.mapping(alerting, key)) is not None]
    left_out = [key for key in ("labels", "annotations") if any(alert.at(key) is not None for alert in alerts)]
    for alert in alerts:
        found.known(alert, _ALERT)
        if (off := alert.at("disable")) is not None and off.value is not False:
            found.refuse(
                off,
                "an objective without alerts is not known; leave it out, and choose by `severities` of a [[receiver]] who is told",
            )
        draft.text("for", alert.at("for"))
    if len({None if (given := alert.at("for")) is None else given.text for alert in alerts}) > 1:
        found.warn(alerting, "page and ticket wait equally long here: as long as the last `for` says")
    if left_out:
        found.warn(alerting, f"{' and '.join(left_out)} of page and ticket are left out; receivers choose by severity")
    draft.carried(annotations, PREFIX)


def sloth_name(service: str, name: str) -> str:
    """Return the name of an objective: as Sloth's id, which tells services apart."""
    return name if service == SERVICE else f"{service}-{name}"


def service_of(objective: Objective) -> str:
    """Return Sloth's service of an objective."""
    return objective.labels.get("service", SERVICE)


def sloth_id(objective: Objective) -> str:
    """Return what Sloth's rules know an objective by."""
    return f"{service_of(objective)}-{objective.name}"


def sloth_document(objectives: Iterable[Objective]) -> Iterator[dict[str, Any]]:
    """Yield a document for each service, with what Sloth has no key for in annotations of the alert."""
    services: dict[str, list[Objective]] = {}
    for item in objectives:
        services.setdefault(service_of(item), []).append(item)
    for service, items in services.items():
        yield {"version": "prometheus/v1", "service": service, "slos": [_slo(item, service) for item in items]}


def _slo(objective: Objective, service: str) -> dict[str, Any]:
    table, queries = slo_table(objective), queries_of(objective)
    percent = percent_of(objective.target_ratio)
    hold = {"for": table["for"]} if isinstance(table.get("for"), str) else {}
    same = ("description", "owner", "runbook", "labels", "plugins", "versions", "operations", "sli", "threshold")
    kept = {key: table[key] for key in same if key in table} | hold
    kept |= {"name": sloth_name(service, objective.name), "period": "30d", "objective": ratio_of(percent)}
    page = "runbook_url" if objective.runbook.startswith(("http://", "https://")) else "runbook"
    labels = ({"owner": objective.owner} if objective.owner else {}) | dict(objective.labels)
    annotations = ({page: objective.runbook} if objective.runbook else {}) | texts_of(objective, kept, PREFIX)
    alerting = {
        "name": "PluginBudgetBurn",
        "annotations": annotations,
        "page_alert": dict(hold),
        "ticket_alert": dict(hold),
    }
    written = {
        "name": objective.name,
        "objective": percent,
        "description": objective.description,
        "labels": labels,
        "sli": {"events": {"error_query": queries.bad, "total_query": queries.total}},
        "alerting": {key: value for key, value in alerting.items() if value},
    }
    return {key: value for key, value in written.items() if value}
