"""One error budget: how it stands and why, what was left of it over its period, how fast it burned, who spent it, and what if."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st
from plugwarden_collector.api.client import ApiError
from plugwarden_collector.ratios import allowed, remaining_ratio

from plugwarden_dashboards import budget_charts, budget_frames, corrections, data, linked, states, words
from plugwarden_dashboards.address import address, budget_link, plugin_link, subject_link
from plugwarden_dashboards.linked import Cell, Column, Tile
from plugwarden_dashboards.page import RANGES, live, since

__all__ = ["bad_left", "gone_in", "left", "show"]

LEAST_TARGET = 0.0
"""Percent above which a target to try must be."""
MOST_TARGET = 99.9999999
"""Percent that a target to try may be at most: 100 % leaves no budget at all."""
_TIERS = (
    Column("Tier"), Column("Limit", "end"), Column("Long window", narrow=False), Column("Burns", "end"),
    Column("Short window", narrow=False),
    Column("Burns now", "end"), Column("State"), Column("Whole budget gone in", "end", narrow=False),
)  # fmt: skip
_VERSIONS = (
    Column("Version"), Column("Bad", "end"), Column("Of", "end", narrow=False), Column("Share of all bad", "end", narrow=False),
    Column("Measured", "end", narrow=False), Column("Burn rate", "end"),
)  # fmt: skip
_SPENDERS = (
    Column("Error"), Column("Version"), Column("Operation"), Column("Bad", "end"),
    Column("Share of all bad", "end", narrow=False),
)  # fmt: skip


def show(slo: str, plugin: str, version: str) -> None:
    """Draw a plugin's budget of an objective, or with a version what that spent of it."""
    st.number_input(
        "What if the target were (%)", LEAST_TARGET, MOST_TARGET, None, 0.1, format="%.6g", key="target", bind="query-params",
        width=220, placeholder="such as 99.5",
    )  # fmt: skip
    live(lambda: _body(slo, plugin, version), "budget_body")


def left(row: dict[str, Any]) -> float:
    """Return what is left of a budget, to sort by; one without calls is whole."""
    ratio = row["budget_remaining_ratio"]
    return 1.0 if ratio is None else float(ratio)


def bad_left(row: dict[str, Any]) -> tuple[float | None, str]:
    """Return how many more events may be bad, and the same in words."""
    if not row["total"]:
        return None, "—"
    most = allowed(row["total"], row["objective"])
    rest = most - row["bad"]
    return rest, f"{words.count(rest)} of {words.count(most)}" if rest > 0 else f"none of {words.count(most)}"


def gone_in(row: dict[str, Any]) -> str:
    """Return when nothing is left of a budget at the pace that it burns at."""
    ratio = row["budget_remaining_ratio"]
    if ratio is None:
        return "—"
    if ratio <= 0:
        return "spent" if row["state"] == "spent" else "—"
    return "not at this pace" if row["exhausted_in_seconds"] is None else words.duration(row["exhausted_in_seconds"])


def _body(slo: str, plugin: str, version: str) -> None:
    try:
        found = data.fetch(("plugins", plugin, "budgets", slo), since=since(), version=version or None).value
    except ApiError as error:
        links = [Cell("All error budgets", href=address("budgets"))]
        linked.notice("warn", str(error), key="budget_problem", title="There is no such budget", links=links)
        return
    if found is None:
        return
    alerts = {row["fingerprint"]: row for row in (data.fetch("alerts").value or {"alerts": []})["alerts"]}
    _head(found, [alerts[mark] for mark in found["alerts"] if mark in alerts])
    _tiles(found)
    _what_if(found)
    unit = "slices" if found["sli"].endswith("_slices") else "calls"
    if found["budget_remaining_ratio"] is None:
        linked.notice("none", f"No {unit} of its period count so far.", key="budget_empty", title="○")
    else:
        _burn_down(found)
    _burn_rates(found)
    _tiers(found)
    _versions(found)
    _spenders(found)
    if found["corrections"]:
        st.markdown("#### What is left out")
        corrections.table("What is left out of this budget", list(reversed(found["corrections"])))


def _head(found: dict[str, Any], alerts: list[dict[str, Any]]) -> None:
    slo, plugin, version = found["slo"], found["plugin_id"], found["plugin_version"]
    linked.line(
        Cell(words.option(slo), strong=True), plugin_link(plugin, version), states.badge(found["state"]),
        *(subject_link(row["fingerprint"], f"{states.said(row['severity'])}: {row['name']}") for row in alerts),
        key="budget_head", size="large",
    )  # fmt: skip
    whole = [budget_link(slo, plugin, text="the budget over all versions")] if version else []
    linked.line(Cell("All error budgets", href=address("budgets")), *whole, key="budget_ways")
    linked.line(Cell(_over(found)), key="budget_promise")


def _over(found: dict[str, Any]) -> str:
    """Return what is promised, of which period, and what is left out of that."""
    said = f"{found['promise']} This period began {words.moment(found['period_started_at'])}"
    if found["period_ends_at"] is not None:
        said += f" and ends {words.moment(found['period_ends_at'])}"
    if found["excluded_seconds"]:
        said += f"; corrections leave out {words.duration(found['excluded_seconds'])} of it"
    return f"{said}."


def _tiles(found: dict[str, Any]) -> None:
    slices = found["sli"].endswith("_slices")
    _, rest = bad_left(found)
    linked.tiles(
        [
            Tile("Budget left", words.budget(found["budget_remaining_ratio"]), tone=states.tone(found["state"]),
                 note=states.said(found["state"])),
            Tile("Bad slices left" if slices else "Bad calls left", rest, note="of as many as the calls so far allow"),
            Tile("Target", words.percent(found["objective"])),
            Tile("Measured", words.percent(found["sli_value"]),
                 note=f"{words.count(found['bad'])} bad of {words.count(found['total'])}"),
            Tile("Burn rate now", words.times(found["fast_burn_rate"] if found["total"] else None),
                 note="in the long window of the fastest pair"),
            Tile("Gone in", gone_in(found), note="at this pace"),
        ],
        key="budget_tiles",
    )  # fmt: skip


def _what_if(found: dict[str, Any]) -> None:
    """Say what another target would leave, of the same calls."""
    target = st.session_state.get("target")
    if not isinstance(target, int | float) or not LEAST_TARGET < target <= MOST_TARGET:
        return
    tried = found | {"objective": target / 100}
    ratio = remaining_ratio(found["bad"], found["total"], tried["objective"])
    _, rest = bad_left(tried)
    text = f"At {words.percent(tried['objective'])} instead of {words.percent(found['objective'])}: "
    text += (
        f"{words.budget(ratio)} of the budget left, {rest} bad ones."
        if ratio is None or ratio > 0
        else f"{words.budget(ratio)}."
    )
    linked.notice("good" if ratio is None or ratio > 0 else "bad", text, key="budget_what_if", title="What if")


def _burn_down(found: dict[str, Any]) -> None:
    st.subheader("What was left, and what will be")
    lines, cone = budget_frames.burn_down(found["points"], found["foreseen"])
    left_out = budget_frames.left_out(found["corrections"], lines["at"].min(), lines["at"].max())
    now = budget_frames.moment(found["time"])
    pace = f"at this pace it is gone in {gone_in(found)}" if found["exhausted_in_seconds"] is not None else "it lasts"
    st.altair_chart(
        budget_charts.burn_down(lines, cone, left_out, now), key="budget_burn_down", width="stretch",
        alt=f"Budget left over its period: {words.budget(found['budget_remaining_ratio'])} now; {pace}; "
        f"{words.counted(len(left_out), 'stretch', 'stretches')} left out by corrections",
    )  # fmt: skip
    st.caption(
        "Of what the calls of the period so far allow. The dashed line is even pace: nothing left just now. The cone is between the "
        "slowest and the fastest burn rate of all windows. Grey stretches are left out by corrections."
    )


def _burn_rates(found: dict[str, Any]) -> None:
    st.subheader("How fast it burned")
    until = budget_frames.moment(found["time"])
    begins = until - pd.Timedelta(since() if since() in RANGES else "15m")
    rates, windows = budget_frames.burn_rates(found["burn_rates"], budget_charts.LEAST_RATE)
    if rates["drawn"].notna().any():
        limits = budget_frames.limits(found["tiers"])
        st.altair_chart(
            budget_charts.burn_rates(rates, limits, windows, begins, until), key="budget_burn_rates", width="stretch",
            alt=f"Burn rates in {', '.join(windows)} over {since()}; {words.times(found['fast_burn_rate'])} now, "
            f"limits at {', '.join(limits['tier'])}",
        )  # fmt: skip
        st.caption(
            "At 1× the budget is spent just when the period ends. Each point is of a whole window up to it. What burned at less than "
            f"{words.times(budget_charts.LEAST_RATE)} is drawn at that; where there were no calls the line is broken. Windows that are "
            "shorter than a step of this time range are not drawn: choose a shorter one."
        )
    else:
        linked.notice("none", f"No calls within its windows over {since()}.", key="budget_no_rates", title="○")


def _tiers(found: dict[str, Any]) -> None:
    # What has met a tier is the collector's to say: it also asks for enough calls, and for how long.
    rows: list[list[linked.Said]] = [
        [
            states.badge(tier["severity"]),
            Cell(words.times(tier["factor"]), value=tier["factor"]),
            Cell(words.duration(tier["long_seconds"]), value=tier["long_seconds"]),
            Cell(words.times(tier["long_rate"]), value=tier["long_rate"]),
            Cell(words.duration(tier["short_seconds"]), value=tier["short_seconds"]),
            Cell(words.times(tier["short_rate"]), value=tier["short_rate"]),
            _met(tier),
            Cell(words.duration(tier["spent_in_seconds"]), value=tier["spent_in_seconds"]),
        ]
        for tier in found["tiers"]
    ]
    st.markdown("#### Tiers")
    linked.table(
        "Tiers, and how fast the budget burns now", _TIERS, rows, key="budget_tiers",
        note="Too fast is a burn rate above the limit in both windows. Pages are told of a version, tickets of all of them.",
    )  # fmt: skip


def _met(tier: dict[str, Any]) -> Cell:
    if tier["met"]:
        return Cell("▲ too fast", tone="warn")
    return Cell("○ no calls", tone="none") if tier["long_rate"] is None else Cell("● within", tone="good")


def _versions(found: dict[str, Any]) -> None:
    """Draw what each version that was judged spent; the one that the page is about is marked."""
    slos = data.fetch("slos").value or []
    slo, plugin, version = found["slo"], found["plugin_id"], found["plugin_version"]
    mine = [row for row in slos if (row["slo"], row["plugin_id"]) == (slo, plugin)]
    if not mine:
        return
    mine.sort(key=lambda row: (-row["bad"], row["plugin_version"]))
    budgets = data.fetch("budgets").value or []
    everything = sum(row["bad"] for row in budgets if (row["slo"], row["plugin_id"]) == (slo, plugin))
    rows: list[list[linked.Said]] = [
        [
            budget_link(slo, plugin, row["plugin_version"], words.option(row["plugin_version"]) or "—"),
            Cell(words.count(row["bad"]), value=row["bad"]),
            Cell(words.count(row["total"]), value=row["total"]),
            _share(row["bad"], everything),
            Cell(words.percent(row["sli_value"]), value=row["sli_value"]),
            Cell(words.times(row["fast_burn_rate"]), value=row["fast_burn_rate"]),
        ]
        for row in mine
    ]
    current = next((index for index, row in enumerate(mine) if row["plugin_version"] == version), None)
    st.markdown("#### Versions that run")
    linked.table(
        "Versions that run, those that spent most first", _VERSIONS, rows, key="budget_versions", current=current
    )


def _spenders(found: dict[str, Any]) -> None:
    if not found["spenders"]:
        return
    plugin, bad = words.option(found["plugin_id"]), found["bad"]
    rows: list[list[linked.Said]] = [
        [
            Cell(
                words.option(row["error_type"]) or "slow",
                href=address(
                    "traces", t_plugin=plugin, t_version=words.option(row["plugin_version"]),
                    t_text=words.plain(row["error_type"], 200),
                ),
            ),
            budget_link(found["slo"], found["plugin_id"], row["plugin_version"], words.option(row["plugin_version"]) or "—"),
            words.option(row["plugin_operation"]) or "—",
            Cell(words.count(row["bad"]), value=row["bad"]),
            _share(row["bad"], bad),
        ]
        for row in found["spenders"]
    ]  # fmt: skip
    rest = found["spenders_left_out"]
    note = f"Beside these {words.counted(rest, 'bad call')}." if rest else ""
    st.markdown("#### Who spent it")
    linked.table("Who spent it: bad calls of this period", _SPENDERS, rows, key="budget_spenders", note=note)


def _share(part: int, whole: int) -> Cell:
    ratio = part / whole if whole else None
    return Cell(words.percent(ratio), value=ratio, share=ratio)
