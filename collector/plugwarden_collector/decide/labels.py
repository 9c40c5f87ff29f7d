"""Labels of what people are told of: silences match them and receivers route by them, in messages, in the API and in the store alike."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["LABELS", "TOLDER", "TOLD_BY", "about", "alert_labels", "labels_of", "tolder_of"]

LABELS = (
    "alertname", "severity", "plugin", "version", "operation", "instance", "tenant", "slo", "component", "quarantine",
    "incident", "cause", "silence",
)  # fmt: skip
"""Names of all labels that the collector itself gives; pushed alerts bring their own."""


TOLD_BY = ("told_by", "plugwarden")
"""Annotation of whatever a collector tells in Alertmanager's form, and its value: what comes back by it is not news."""
TOLDER = "plugwarden"
"""Label of what a collector tells in Alertmanager's form: which collector. Without it, two that tell alike would be one alert there, and
nobody would know their own word when it comes back."""


def tolder_of(epoch: str) -> str:
    """Return the value of `TOLDER` for the collector that has a database: it stays over restarts, and no other has it."""
    return epoch[:12]


def labels_of(name: str, severity: str, **about: str | None) -> dict[str, str]:
    """Return the labels of something with a name and a severity; of `about`, those that apply (None: it does not).

    Raises `ValueError` for a label that is not in `LABELS`: nobody would know that it can be matched.
    """
    if unknown := about.keys() - set(LABELS):
        raise ValueError(f"{', '.join(sorted(unknown))}: no such label")
    return {
        "alertname": name,
        "severity": severity,
        **{key: value for key, value in about.items() if value is not None},
    }


def about(labels: Mapping[str, str], part: str) -> str | None:
    """Return which `plugin`, `version` or `operation` a pushed alert is about: its label of that name, or `plugin_` and `plugin.`'s, as our
    own metrics have them."""
    return labels.get(part) or labels.get("plugin_id" if part == "plugin" else f"plugin_{part}")


def alert_labels(
    name: str, severity: str, slo: str, plugin: str, version: str | None, component: str = ""
) -> dict[str, str]:
    """Return the labels of an alert: on a plugin, or on the part of the collector that `component` names. What is empty has none."""
    if component:
        return labels_of(name, severity, component=component)
    return labels_of(name, severity, slo=slo or None, plugin=plugin or None, version=version)
