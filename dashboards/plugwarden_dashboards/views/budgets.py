"""Error budgets: which one goes, and how fast; and one of them, with how it was spent."""

from __future__ import annotations

from collections import Counter
from typing import Any

import streamlit as st

from plugwarden_dashboards import budget, corrections, data, linked, states, words
from plugwarden_dashboards.address import budget_link, plugin_link, subject_link
from plugwarden_dashboards.linked import Cell, Column, Tile
from plugwarden_dashboards.page import live, since

__all__ = ["page"]

_ORDER = {"spent": 0, "burning": 1, "unsure": 2, "kept": 3, "unknown": 4}
_COLUMNS = (
    Column("Objective"), Column("State", choice=True), Column("Plugin"), Column("Budget left", "end"),
    Column("Bad calls left", "end", narrow=False, note="Or slices, of as many as the calls so far allow"),
    Column("Burn rate", "end", narrow=False, note="How many times too fast, in the long window of the fastest pair"),
    Column("Gone in", "end", narrow=False, note="At this burn rate"), Column("Target", "end", narrow=False),
    Column("Measured", "end", narrow=False), Column("Over", narrow=False), Column("Alerts", narrow=False),
)  # fmt: skip
_UPSTREAMS = (
    Column("Upstream"), Column("State", choice=True), Column("Objective"), Column("Budget left", "end"),
    Column("Bad calls left", "end", narrow=False), Column("Burn rate", "end", narrow=False), Column("Target", "end", narrow=False),
    Column("Measured", "end", narrow=False), Column("Owner", narrow=False), Column("Called by", narrow=False),
)  # fmt: skip
MOST_CALLERS = 3
"""Plugins that are named beside an upstream, those with the most failures."""


def page() -> None:
    """The page."""
    slo, plugin = (words.named(st.query_params.get(name, "")) for name in ("slo", "plugin"))
    if slo and plugin:
        budget.show(slo, plugin, words.named(st.query_params.get("version", "")))
    else:
        live(_body, "budgets_body")


def _body() -> None:
    answer, rules = data.fetch("budgets"), data.fetch("rules")
    if answer.value is None or rules.value is None:
        return
    rows = sorted(
        answer.value, key=lambda row: (_ORDER.get(row["state"], 9), budget.left(row), row["plugin_id"], row["slo"])
    )
    for item in rules.value["objectives"]:
        if item["no_limit"]:
            unknown = ", ".join(words.plain(plugin) for plugin in item["no_limit"])
            st.text(f"{words.plain(item['name'])}: no limit known of {unknown}, and so no budget.")
    if not rows:
        st.info("No objective has been judged yet: budgets appear a few seconds after the first calls.")
    else:
        _tiles(rows, rules.value["objectives"])
        alerts = (data.fetch("alerts").value or {"alerts": []})["alerts"]
        severity = {row["fingerprint"]: row["severity"] for row in alerts}
        linked.table(
            "Error budgets, what is spent first and then what burns", _COLUMNS, [_row(row, severity) for row in rows],
            key="budgets", note="A budget is a plugin's, over all of its versions: a release goes on with what those before it left.",
        )  # fmt: skip
    _upstreams()
    found = data.fetch("corrections").value
    if found:
        st.markdown("#### What is left out")
        corrections.table("What is left out of budgets, the newest first", list(reversed(found)))


def _tiles(rows: list[dict[str, Any]], objectives: list[dict[str, Any]]) -> None:
    states_now = Counter(row["state"] for row in rows)
    fastest = max(rows, key=lambda row: row["fast_burn_rate"] or 0.0)
    linked.tiles(
        [
            Tile("Budgets", words.count(len(rows))),
            Tile("Spent", words.count(states_now["spent"]), tone="bad" if states_now["spent"] else "good"),
            Tile("Burning", words.count(states_now["burning"]), tone="warn" if states_now["burning"] else "good",
                 note="an alert on how fast it goes fires"),
            Tile("Fastest burn", words.times(fastest["fast_burn_rate"]),
                 budget_link(fastest["slo"], fastest["plugin_id"]).href, f"{words.option(fastest['plugin_id'])}, {fastest['slo']}"),
            Tile("Objectives", words.count(len(objectives))),
        ],
        key="budgets_tiles",
    )  # fmt: skip


def _row(row: dict[str, Any], severity: dict[str, str]) -> list[linked.Said]:
    over = words.duration(row["period_seconds"])
    if row["period_ends_at"] is not None:
        over += f", until {words.moment(row['period_ends_at'])}"
    return [
        budget_link(row["slo"], row["plugin_id"]),
        states.badge(row["state"], value=_ORDER.get(row["state"], 9)),
        plugin_link(row["plugin_id"]),
        *_left(row),
        Cell(words.times(row["fast_burn_rate"]), value=row["fast_burn_rate"]),
        Cell(budget.gone_in(row), value=row["exhausted_in_seconds"]),
        Cell(words.percent(row["objective"]), value=row["objective"]),
        Cell(words.percent(row["sli_value"]), value=row["sli_value"]),
        Cell(over, value=row["period_seconds"]),
        [subject_link(mark, states.said(severity.get(mark, "firing"))) for mark in row["alerts"]] or "—",
    ]


def _left(row: dict[str, Any]) -> list[Cell]:
    ratio, (bad_left, text) = row["budget_remaining_ratio"], budget.bad_left(row)
    share = None if ratio is None else max(0.0, ratio)
    return [Cell(words.budget(ratio), value=ratio), Cell(text, value=bad_left, share=share)]


def _upstreams() -> None:
    """Draw what is left of budgets of what plugins call and others answer for."""
    found = data.fetch("upstreams", since=since()).value
    rows = [(item, own) for item in found["upstreams"] for own in item["budgets"]] if found else []
    if not rows:
        return
    rows.sort(key=lambda pair: (_ORDER.get(pair[1]["state"], 9), budget.left(pair[1]), pair[0]["upstream"]))
    st.markdown("#### Upstreams")
    linked.table(
        "Upstreams: what plugins call that others answer for", _UPSTREAMS, [_upstream(*pair) for pair in rows], key="upstreams",
        note=f"Those that were called within {since()}, as the plugins that call them saw it.",
    )  # fmt: skip


def _upstream(item: dict[str, Any], own: dict[str, Any]) -> list[linked.Said]:
    mark = item["alert"] or item["incident"]
    name = words.option(item["upstream"])
    callers = list(dict.fromkeys(row["plugin_id"] for row in item["plugins"]))
    more = [Cell(f"and {len(callers) - MOST_CALLERS} more")] if len(callers) > MOST_CALLERS else []
    state = states.badge(own["state"], value=_ORDER.get(own["state"], 9))
    return [
        Cell(name, strong=True),
        [state, subject_link(mark, "why")] if mark else state,
        own["slo"],
        *_left(own),
        Cell(words.times(own["fast_burn_rate"]), value=own["fast_burn_rate"]),
        Cell(words.percent(own["objective"]), value=own["objective"]),
        Cell(words.percent(own["sli_value"]), value=own["sli_value"]),
        own["owner"] or "—",
        [*map(plugin_link, callers[:MOST_CALLERS]), *more] or "—",
    ]
