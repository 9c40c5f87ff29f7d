"""Puts tables, lines, tiles, cards, maps and notices on a page: one component of ours, whose links are anchors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import streamlit as st
from plugwarden_collector.wording import harmless, one_line

from plugwarden_dashboards.linked.cell import Cell, Said, Tone, as_data, rounded

__all__ = ["Card", "Column", "Event", "Tile", "cards", "line", "notice", "ribbon", "table", "tiles"]

MOST_TEXT = 2000
"""Characters of a line of a card, and of a notice."""
MOST_FIND = 200
"""Characters of a filter that an address may hold."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    align: Literal["start", "end"] = "start"
    narrow: bool = True
    """Whether it stays where there is little room, as on a telephone."""
    wide: bool = False
    """Whether it holds sentences."""
    choice: bool = False
    """Whether rows can be chosen by its text."""
    sortable: bool = True
    note: str = ""
    """What its numbers mean."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A number with its name, and where it leads."""

    label: str
    value: str
    href: str | None = None
    note: str = ""
    tone: Tone | None = None
    trend: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """Something that needs a person: what, why, and where to go."""

    tone: Tone
    head: Sequence[Cell]
    lines: Sequence[str] = ()
    links: Sequence[Cell] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a moment."""

    at: float
    """Place between both ends of the line, 0 to 1."""
    text: str
    href: str | None
    tone: Tone


def table(
    caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Said]], *, key: str, sort: str = "", note: str = "",
    current: int | None = None, squares: bool = False,
) -> None:  # fmt: skip
    """Draw a table that sorts, filters and links.

    `sort` is a column's name, after a `-` where it falls; empty: as given. The address of the page keeps it as `KEY_sort`, what is
    searched for as `KEY_find`, and what is chosen of a column as `KEY_` and its name in lower case. `note` says what is left out,
    `current` is the row that the page is about. With `squares` each row stands above as a small square of its state's colour, too: its
    first two cells are its name and its state.
    """
    view, problem = _asked(key, columns, sort)

    def kept() -> None:
        _keep(key, columns, sort)

    _draw(
        "table", key, on_view=kept, caption=one_line(caption), note=" · ".join(filter(None, (one_line(note), problem))), view=view,
        current=current, squares=squares, columns=[{name: getattr(column, name) for name in Column.__slots__} for column in columns],
        rows=[[as_data(said) for said in row] for row in rows],
    )  # fmt: skip


def line(
    *cells: Said, key: str, size: Literal["small", "large"] = "small", align: Literal["start", "end"] = "start"
) -> None:
    """Draw cells beside one another."""
    _draw("line", key, cells=[as_data(said) for said in cells], size=size, align=align)


def tiles(found: Sequence[Tile], *, key: str) -> None:
    """Draw numbers in a row, or in several where there is no room."""
    _draw("tiles", key, tiles=[_named(tile) for tile in found])


def cards(found: Sequence[Card], *, key: str) -> None:
    """Draw cards, two beside one another where there is room."""
    _draw(
        "cards", key,
        cards=[
            {"tone": card.tone, "head": [as_data(said) for said in card.head], "links": [as_data(said) for said in card.links],
             "lines": [_text(text) for text in card.lines]}
            for card in found
        ],
    )  # fmt: skip


def ribbon(begins: str, ends: str, events: Sequence[Event], *, key: str) -> None:
    """Draw events along a line of time, whose ends carry these texts."""
    data = [
        {"at": item.at, "text": one_line(item.text, MOST_TEXT), "href": item.href, "tone": item.tone} for item in events
    ]
    _draw("ribbon", key, begins=one_line(begins), ends=one_line(ends), events=data)


def notice(tone: Tone, text: str, *, key: str, title: str = "", links: Sequence[Cell] = ()) -> None:
    """Draw a sentence that must be seen. It is text and never markup, so that it may hold what telemetry named."""
    _draw("notice", key, tone=tone, title=one_line(title), text=_text(text), links=[as_data(said) for said in links])


def _text(text: str) -> str:
    return harmless(text)[:MOST_TEXT]


def _named(tile: Tile) -> dict[str, Any]:
    return {
        "label": one_line(tile.label), "value": one_line(tile.value), "href": tile.href, "note": one_line(tile.note),
        "tone": tile.tone, "trend": rounded(tile.trend),
    }  # fmt: skip


def _asked(key: str, columns: Sequence[Column], sort: str) -> tuple[dict[str, Any], str]:
    """Return how the address wants a table to be looked at, and what of that the table does not have, in words. Whether a row has what is
    chosen, the browser knows: rows come and go."""
    said = st.query_params
    by, find = f"{key}_sort", f"{key}_find"
    wanted = said.get(by, sort)
    known = wanted == sort or wanted in _orders(columns)
    choices = {column.name: one_line(said.get(name, ""), MOST_FIND) for name, column in _choosers(key, columns)}
    view = {
        "sort": wanted if known else sort,
        "find": one_line(said.get(find, ""), MOST_FIND),
        "choices": {name: text for name, text in choices.items() if text},
    }
    return view, "" if known else f"there is no column “{one_line(wanted, MOST_FIND)}” to sort by"


def _orders(columns: Sequence[Column]) -> set[str]:
    return {name for column in columns if column.sortable for name in (column.name, f"-{column.name}")}


def _choosers(key: str, columns: Sequence[Column]) -> list[tuple[str, Column]]:
    """Return the columns that rows can be chosen by, with the names that the address has for them."""
    return [(f"{key}_{column.name.lower().replace(' ', '_')}", column) for column in columns if column.choice]


def _keep(key: str, columns: Sequence[Column], sort: str) -> None:
    """Put how a table is looked at into the page's address; what is as given is left out."""
    view = st.session_state[key].get("view")
    if not isinstance(view, dict):
        return
    wanted, find, choices = view.get("sort"), view.get("find"), view.get("choices")
    kept = {f"{key}_sort": wanted if wanted in _orders(columns) and wanted != sort else "", f"{key}_find": find}
    for name, column in _choosers(key, columns):
        kept[name] = choices.get(column.name) if isinstance(choices, dict) else ""
    for name, value in kept.items():
        if isinstance(value, str) and value:
            st.query_params[name] = one_line(value, MOST_FIND)
        else:
            st.query_params.pop(name, None)


def _draw(kind: str, key: str, on_view: Any = None, **data: Any) -> None:
    _component()(key=key, data={"kind": kind, **data}, on_view_change=on_view or _ignored)


def _ignored() -> None:
    """Only tables have something to tell."""


@cache
def _component() -> Any:
    # At the first drawing and not at import: Streamlit knows our files only while it runs.
    return st.components.v2.component("plugwarden-dashboards.linked", js="main.js", css="main.css")
