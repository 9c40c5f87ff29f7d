"""Error budgets: how much is left, how fast it goes, and in which windows that is too fast."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pandas as pd
import streamlit as st

from plugwarden_dashboards import charts, data, linked, words
from plugwarden_dashboards.linked import Cell
from plugwarden_dashboards.page import live

__all__ = ["page"]


def page() -> None:
    """The page."""
    live(_body, "budgets_body")


def _body() -> None:
    budgets, slos, rules = data.fetch("budgets"), data.fetch("slos"), data.fetch("rules")
    corrections = data.fetch("corrections")
    if budgets.value is None or slos.value is None or rules.value is None or corrections.value is None:
        return
    plugins = sorted(budgets.value, key=lambda row: (_left(row), row["plugin_id"], row["slo"]))
    for item in rules.value["objectives"]:
        if item["no_limit"]:
            unknown = ", ".join(words.plain(plugin) for plugin in item["no_limit"])
            st.text(f"{words.plain(item['name'])}: no limit known of {unknown}, and so no budget.")
    if not plugins:
        st.info("No objective has been judged yet: budgets appear a few seconds after the first calls.")
        return
    spent = [row for row in plugins if row["budget_remaining_ratio"] is not None and row["budget_remaining_ratio"] <= 0]
    with st.grid(4, row_height="content"):
        st.metric("Budgets kept", len(plugins), border=True)
        st.metric("Overspent", len(spent), border=True)
        st.metric(
            "Fastest burn", words.times(max((row["fast_burn_rate"] or 0 for row in slos.value), default=0)), border=True
        )
        st.metric("Objectives", len(rules.value["objectives"]), border=True)
    st.text("A budget is a plugin's, over all of its versions: a release goes on with what those before it left.")
    rows = _with_versions(plugins, slos.value)
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "Plugin": words.plain(row["plugin_id"]),
                    "Version": _version(row),
                    "Objective": words.plain(row["slo"]),
                    "Target": words.percent(row["objective"]),
                    "Over": _over(row),
                    "Measured": words.percent(row["sli_value"]),
                    "Bad / all": f"{words.count(row['bad'])} / {words.count(row['total'])}{_unit(row)}",
                    "Left": max(0.0, _left(row)),
                    "Exactly": words.budget(row["budget_remaining_ratio"]),
                    "Burn rate": words.times(row["fast_burn_rate"]),
                    "Empty in": _empty_in(row),
                }
                for row in rows
            ]
        ),
        hide_index=True,
        key="budgets_table",
        alt="Error budgets, those with the least left first; below each, what its versions spent",
        height=min(620, 38 * (len(rows) + 1)),
        column_config={
            "Left": st.column_config.ProgressColumn("Budget left", min_value=0, max_value=1, format="percent")
        },
    )
    _corrections(corrections.value)
    _tiers(slos.value, rules.value["objectives"])


def _unit(row: dict[str, Any]) -> str:
    """Return what is counted, where it is not calls."""
    if row["sli"] == "saturation":
        return " minutes"
    return " slices" if row["sli"].endswith("_slices") else ""


def _corrections(found: list[dict[str, Any]]) -> None:
    if not found:
        return
    st.subheader("What is left out of budgets")
    st.markdown(
        "`plugwarden corrections add` leaves a stretch of time out, `withdraw` takes that back. Isolation takes no notice of it."
    )
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "From": words.moment(item["starts_at"]),
                    "Until": words.moment(item["ends_at"]),
                    "Plugins": words.plain(item["plugins"]),
                    "Objectives": words.plain(item["objectives"]),
                    "Owners": words.plain(item["owners"]),
                    "Why": words.plain(item["reason"]),
                    "Who": words.plain(item["created_by"]),
                }
                for item in reversed(found)
            ]
        ),
        hide_index=True, key="corrections_table", alt="Stretches of time that count in no budget, the newest first",
    )  # fmt: skip


def _with_versions(plugins: list[dict[str, Any]], versions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each plugin's own line, and then one for each version that was judged, the one with the least left first."""
    of: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for item in sorted(versions, key=lambda item: (_left(item), item["plugin_version"])):
        of[item["plugin_id"], item["slo"]].append(item)
    return [item for row in plugins for item in (row, *of[row["plugin_id"], row["slo"]])]


def _version(row: dict[str, Any]) -> str:
    return words.plain(row["plugin_version"]) if "plugin_version" in row else f"all ({words.count(row['versions'])})"


def _tiers(rows: list[dict[str, Any]], objectives: list[dict[str, Any]]) -> None:
    st.subheader("When an objective burns too fast")
    st.text(
        "A tier is met when both of its windows burn faster than its limit. At a burn rate of 1 the budget is spent exactly "
        "when the period ends. Pages are told of a version, tickets of a plugin over all of its versions."
    )
    for objective in objectives:
        worst = max(
            (row for row in rows if row["slo"] == objective["name"]),
            key=lambda row: row["fast_burn_rate"] or 0,
            default=None,
        )
        target, period = words.percent(objective["target_ratio"]), words.duration(objective["period_seconds"])
        linked.line(
            Cell(objective["name"], strong=True), f"{target} over {period}", key=f"objective_{objective['name']}"
        )
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "Tier": tier["severity"],
                        "Windows": f"{words.duration(tier['long_seconds'])} and {words.duration(tier['short_seconds'])}",
                        "Limit": words.times(tier["factor"]),
                        "Fails at": words.percent(tier["bad_ratio"]),
                        "Whole budget gone in": words.duration(tier["spent_in_seconds"]),
                    }
                    for tier in objective["tiers"]
                ]
            ),
            hide_index=True, key=f"tiers_{objective['name']}", alt="Burn-rate tiers",
        )  # fmt: skip
        if worst is not None and (worst["fast_burn_rate"] or 0) > 0:
            fast = max(objective["tiers"], key=lambda tier: tier["factor"])
            frame = pd.DataFrame(
                [
                    {
                        "window": f"{words.plain(row['plugin_id'], 40)}@{words.plain(row['plugin_version'], 20)}",
                        "rate": row["fast_burn_rate"] or 0.0,
                        "limit": fast["factor"],
                        "state": "too fast" if (row["fast_burn_rate"] or 0) >= fast["factor"] else "within",
                    }
                    for row in sorted(rows, key=lambda row: -(row["fast_burn_rate"] or 0))
                    if row["slo"] == objective["name"]
                ][:12]
            )
            st.altair_chart(
                charts.burn_rates(frame, 40 + 26 * len(frame)), key=f"burn_{objective['name']}", width="stretch",
                alt=f"Burn rates over {words.duration(fast['long_seconds'])}; the tick is the limit",
            )  # fmt: skip


def _left(row: dict[str, Any]) -> float:
    left = row["budget_remaining_ratio"]
    return 1.0 if left is None else float(left)


def _over(row: dict[str, Any]) -> str:
    """Return how long a period is, when it ends where it is of the calendar, and how much of it is left out."""
    over = str(words.duration(row["period_seconds"]))
    if row["period_ends_at"] is not None:
        over += f", until {words.moment(row['period_ends_at'])}"
    return f"{over}; {words.duration(row['excluded_seconds'])} left out" if row["excluded_seconds"] else over


def _empty_in(row: dict[str, Any]) -> str:
    if row["budget_remaining_ratio"] is not None and row["budget_remaining_ratio"] <= 0:
        return "empty"
    return "not at this rate" if row["exhausted_in_seconds"] is None else words.duration(row["exhausted_in_seconds"])
