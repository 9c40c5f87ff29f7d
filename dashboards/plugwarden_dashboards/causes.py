"""What is wrong with the fleet, one card a cause: why, since when, what was done, and where to go. Pure but for addresses."""

from __future__ import annotations

from typing import Any

from plugwarden_dashboards import states, words
from plugwarden_dashboards.address import address, plugin_link, subject_link
from plugwarden_dashboards.evidence import traces_of
from plugwarden_dashboards.linked import Card, Cell

__all__ = ["cards"]

UPSTREAM = "upstream"
"""Label that names the upstream that an alert is about."""
_ORDER = {"degraded": 0, "quarantined": 1, "probation": 2}
"""Suggestions first: they wait for a person."""


def cards(
    alerts: list[dict[str, Any]], incidents: list[dict[str, Any]], quarantines: list[dict[str, Any]]
) -> list[Card]:
    """Return a card for each upstream with an alert of its own that fires, each shared cause, each scope that is isolated or suggested to
    be, and each plugin with other alerts that fire. An upstream of which a ticket alone is told comes after what is isolated: a spent
    budget is told for weeks, and can wait."""
    shared = [row for row in incidents if row["ended_at"] is None]
    held = sorted(
        (row for row in quarantines if row["ended_at"] is None and not row["superseded_by"] and row["state"] in _ORDER),
        key=lambda row: (_ORDER[row["state"]], row["started_at"]),
    )
    firing = [row for row in alerts if row["state"] == "firing"]
    upstreams = [
        row
        for row in firing
        if row["plugin_id"] is None and row["labels"].get(UPSTREAM) and row["inhibited_by"] is None
    ]
    own = {row["fingerprint"] for row in upstreams}
    failing: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(upstreams, key=lambda row: row["severity"] != "page"):
        failing.setdefault(row["labels"][UPSTREAM], []).append(row)
    spoken = {name for row in shared for name in row["plugins"]} | {row["plugin_id"] for row in held}
    others: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(firing, key=lambda row: row["severity"] != "page"):
        if row["inhibited_by"] is None and row["plugin_id"] not in spoken and row["fingerprint"] not in own:
            others.setdefault(row["plugin_id"] or row["fingerprint"], []).append(row)
    paged, ticketed = (
        [rows for rows in failing.values() if (rows[0]["severity"] == "page") is page] for page in (True, False)
    )
    return [
        *map(_upstream, paged),
        *(_shared(row, firing) for row in shared),
        *(_held(row, firing) for row in held),
        *map(_upstream, ticketed),
        *(_alerting(rows) for rows in others.values()),
    ]


def _upstream(rows: list[dict[str, Any]]) -> Card:
    row = rows[0]
    owner = row["labels"].get("owner")
    taken = (
        f"{row['acknowledged_by']} knows of it."
        if row["acknowledged_by"]
        else "Silenced."
        if row["silenced_by"]
        else ""
    )
    name = row["labels"][UPSTREAM]
    seen = list(row["detail"].get("plugins") or ())
    return Card(
        "bad" if row["severity"] == "page" else "warn",
        [
            Cell("■ upstream", tone="bad" if row["severity"] == "page" else "warn"),
            subject_link(row["fingerprint"], words.option(name)),
            _since(row["firing_at"]),
        ],
        [
            row["summary"] or row["name"],
            f"Nothing is isolated for it: {f'{owner} answers' if owner else 'others answer'} for it.",
            *([taken] if taken else []),
        ],
        [*map(plugin_link, seen[:8]), *_alert_links(rows)],
    )


def _shared(row: dict[str, Any], firing: list[dict[str, Any]]) -> Card:
    known = [f"{row['acknowledged_by']} knows of it."] if row["acknowledged_by"] else []
    return Card(
        "bad",
        [
            Cell("■ shared cause", tone="bad"),
            subject_link(row["id"], words.option(row["cause"])),
            _since(row["started_at"]),
        ],
        [row["summary"], "Nothing is isolated for it: no single plugin is to blame.", *known],
        [
            *map(plugin_link, row["plugins"][:8]),
            *_alert_links([item for item in firing if item["inhibited_by"] == row["id"]]),
        ],
    )


def _held(row: dict[str, Any], firing: list[dict[str, Any]]) -> Card:
    state = "suspected" if row["state"] == "degraded" else row["state"]
    about = [item for item in firing if item["plugin_id"] == row["plugin_id"]]
    return Card(
        states.tone(state),
        [
            states.badge(state),
            plugin_link(row["plugin_id"], row["plugin_version"], strong=True),
            _since(row["started_at"]),
        ],
        [row["reason"], _done(row)],
        [
            subject_link(row["id"], "Decide" if row["state"] == "degraded" else "What was done"),
            *traces_of(row["evidence"])[:1],
            *_alert_links(about),
        ],
    )


def _done(row: dict[str, Any]) -> str:
    """Return what was done about a scope, in a sentence."""
    if row["state"] == "degraded":
        return "Nothing is isolated yet: a person has to decide."
    if row["state"] == "probation":
        return f"On probation: {words.percent(row['share_ratio'])} of its calls are let through."
    until = (
        f"; probation begins {words.moment(row['hold_until'])}" if row["hold_until"] else " until somebody releases it"
    )
    return f"Isolated by {row['actor']}{until}."


def _alerting(rows: list[dict[str, Any]]) -> Card:
    first = rows[0]
    taken = "Silenced." if first["silenced_by"] else ""
    if first["acknowledged_by"]:
        taken = f"{first['acknowledged_by']} knows of it."
    failing = []
    if first["plugin_id"]:
        found = address("traces", t_plugin=words.option(first["plugin_id"]), t_outcome="error")
        failing = [Cell("Failing traces", href=found)]
    return Card(
        "bad" if first["severity"] == "page" else "warn",
        [
            states.badge("firing"),
            plugin_link(first["plugin_id"], first["plugin_version"], strong=True),
            _since(first["firing_at"]),
        ],
        [first["summary"] or first["name"], taken or "Nothing was done about it yet."],
        [*_alert_links(rows), *failing],
    )


def _alert_links(rows: list[dict[str, Any]]) -> list[Cell]:
    return [subject_link(row["fingerprint"], f"Alert: {row['name']} ({row['severity']})") for row in rows[:3]]


def _since(at: str | None) -> Cell:
    return Cell(f"began {words.age(at)}", note=words.moment(at))
