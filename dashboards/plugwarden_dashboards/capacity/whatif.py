"""What would be, if load, costs, plugins or hosts were others: operands that the address holds, and the API's answer to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from plugwarden_collector.api.client import ApiError
from plugwarden_collector.capacity.wording import limit_amount

from plugwarden_dashboards import data, linked, words
from plugwarden_dashboards.capacity.limits import CONFIDENCE, whose
from plugwarden_dashboards.linked import Cell, Column, Tone
from plugwarden_dashboards.page import since

__all__ = ["answer", "changes_of", "operands"]

NONE = ""
"""In place of a plugin: none has an empty name."""
MOST_TIMES = 1000.0
"""Most that the API takes load or cost times."""
SURE = {
    "high": "High confidence: near what was measured.",
    "medium": "Medium confidence: an estimate.",
    "low": "Low confidence: a guess.",
    "none": "No confidence: too little is known.",
}
"""How sure an answer is, in plain words."""
_COLUMNS = (
    Column("Of"), Column("Operation", narrow=False), Column("Limit now", narrow=False), Column("Limit then", narrow=False),
    Column("Use now", "end"), Column("Use then", "end"),
)  # fmt: skip


def operands(plugins: Sequence[str]) -> None:
    """Draw what can be changed; the address keeps it. `plugins` are those that have made a call."""
    st.subheader("What if")
    query = st.query_params
    names = sorted(
        {
            *plugins,
            *(
                words.named(query[name])
                for name in ("w_of", "w_without")
                if query.get(name) not in (None, "⟨all⟩", "⟨none⟩")
            ),
        }
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="whatif_operands"):
        st.number_input("Traffic ×", 0.0, MOST_TIMES, 1.0, 0.1, key="w_traffic", bind="query-params", width=140)
        st.number_input("CPU per call ×", 0.0, MOST_TIMES, 1.0, 0.1, key="w_cost", bind="query-params", width=140)
        st.selectbox("Of which plugin", [NONE, *names], format_func=_all, key="w_of", bind="query-params", width=200)
        st.number_input("Hosts more or fewer", -1000, 1000, 0, 1, key="w_hosts", bind="query-params", width=160)
        st.selectbox(
            "Without plugin", [NONE, *names], format_func=_none, key="w_without", bind="query-params", width=200
        )


def changes_of(traffic: float, cost: float, of: str, hosts: int, without: str) -> tuple[str, ...]:
    """Return the changes as the API takes them; what changes nothing is left out."""
    place = f":{of}" if of else ""
    found = [
        f"traffic{place}={traffic!r}" if traffic != 1 else "",
        f"cost{place}={cost!r}" if cost != 1 else "",
        f"hosts={hosts:+d}" if hosts else "",
        f"remove={without}" if without else "",
    ]
    return tuple(filter(None, found))


def answer() -> None:
    """Draw what is full first after the changes, how sure that is, and every limit before and after."""
    state = st.session_state
    changes = changes_of(
        _number(state.get("w_traffic")), _number(state.get("w_cost")), state.get("w_of") or NONE, int(state.get("w_hosts") or 0),
        state.get("w_without") or NONE,
    )  # fmt: skip
    try:
        found = data.fetch("capacity/what-if", since=since(), change=changes)
    except ApiError as error:
        linked.notice("warn", str(error), key="whatif_problem")
        return
    if found.value is None:
        return
    title = f"If {', '.join(map(words.option, changes))}" if changes else "As it is now"
    _verdict(title, found.value)
    rows = [_row(item) for item in found.value["outcomes"]]
    if rows:
        linked.table("Limits before and after, the fullest afterwards first", _COLUMNS, rows, key="outcomes")


def _number(value: float | None) -> float:
    return 1.0 if value is None else float(value)


def _verdict(title: str, found: Mapping[str, Any]) -> None:
    first, left, confidence = found["bottleneck"], found["times_left"], found["confidence"]
    why = "; ".join(found["reasons"])
    sure = f"{CONFIDENCE[confidence].split()[0]} {SURE[confidence]}" + (f" {why[:1].upper()}{why[1:]}." if why else "")
    tone: Tone = "none"
    if first is None:
        text = "No bottleneck is known."
    else:
        tone = "bad" if first["ratio"] >= 1 else "good"
        operation = f" {words.option(first['plugin_operation'])}" if first["plugin_operation"] else ""
        room = (
            "Load fills no limit." if left is None
            else f"Only {words.percent(left)} of that load fits." if left < 1
            else f"Load can be {words.times(left)} that before a limit is full."
        )  # fmt: skip
        text = f"Full first: {whose(first).text}{operation}, {limit_amount(first)}, {words.percent(first['ratio'])} used. {room}"
    links = [Cell(f"Capacity of {whose(first).text}", href=whose(first).href)] if first and whose(first).href else []
    linked.notice(tone, f"{text}\n{sure}", key="whatif_answer", title=title, links=links)


def _row(item: Mapping[str, Any]) -> list[linked.Said]:
    before, after = item["before"], item["after"]
    return [
        whose(before),
        words.option(before["plugin_operation"] or "") or "—",
        Cell(limit_amount(before), value=before["limit"]),
        Cell(limit_amount(after), value=after["limit"]),
        Cell(words.percent(before["ratio"]), value=before["ratio"], share=min(1.0, before["ratio"])),
        Cell(words.percent(after["ratio"]), value=after["ratio"], share=min(1.0, after["ratio"])),
    ]


def _all(name: str) -> str:
    return words.option(name) if name else "⟨all⟩"  # which no name's option is


def _none(name: str) -> str:
    return words.option(name) if name else "⟨none⟩"
