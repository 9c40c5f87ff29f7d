"""Tables as a person uses them: filtered, chosen from, sorted; the files that the browser runs, given what our cells become."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import plugwarden_dashboards
import pytest
from playwright.sync_api import Browser, Page, Route, expect
from plugwarden_dashboards.linked import Cell, Column, Said
from plugwarden_dashboards.linked.cell import as_data

from .browser import browsing

pytestmark = pytest.mark.browser

ASSETS = Path(plugwarden_dashboards.__file__).parent / "linked" / "assets"
DRAW = """async ([data]) => {
    const parentElement = document.querySelector("main")
    window.told ??= []
    const draw = (await import("/main.js")).default
    draw({ data, parentElement, setStateValue: (_, view) => window.told.push(view) })
}"""
COLUMNS = (Column("State", choice=True), Column("Who"), Column("Took", "end"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that holds nothing but our files, under an address of its own."""

    def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        if name:
            route.fulfill(path=ASSETS / name)
        else:
            route.fulfill(body="<!doctype html><main></main>", content_type="text/html")

    found = browser.new_page()
    found.route("http://table.test/**", answer)
    found.goto("http://table.test/")
    yield found
    found.close()


def draw(
    page: Page, rows: Sequence[Sequence[Said]], columns: Sequence[Column] = COLUMNS, sort: str = "", find: str = "",
    **choices: str,
) -> None:  # fmt: skip
    data = {
        "kind": "table", "caption": "All", "note": "", "current": None, "squares": False,
        "view": {"sort": sort, "find": find, "choices": choices},
        "columns": [{name: getattr(column, name) for name in Column.__slots__} for column in columns],
        "rows": [[as_data(said) for said in row] for row in rows],
    }  # fmt: skip
    page.evaluate(DRAW, [data])


def firsts(page: Page) -> list[str]:
    return page.locator("tbody th").all_inner_texts()


def told(page: Page) -> Any:
    """The last that the table told the page of how it is looked at."""
    return page.evaluate("window.told.at(-1)")


FIRING: list[list[Said]] = [["firing", "csv", "1"], ["firing", "pdf", "2"]]


def test_a_filter_that_empties_a_short_table_is_seen_says_so_and_is_cleared(page: Page) -> None:
    draw(page, FIRING, find="nothing like it")
    assert firsts(page) == []
    expect(page.get_by_role("searchbox")).to_have_value("nothing like it")
    expect(page.get_by_role("searchbox")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("0 of 2 rows")
    expect(page.locator(".empty")).to_have_text("No row has “nothing like it” in it: all 2 are hidden by this filter.")
    page.get_by_role("button", name="Clear filter").click()
    assert firsts(page) == ["firing", "firing"]
    assert told(page) == {"sort": "", "find": "", "choices": {}}
    for part in (
        page.get_by_role("searchbox"),
        page.get_by_role("button", name="Clear filter"),
        page.locator(".empty"),
    ):
        expect(part).to_be_hidden()
    expect(page.locator("thead button").first).to_be_focused()  # and not the body, from where Tab would begin anew


def test_a_box_that_somebody_types_in_stays_when_rows_become_few(page: Page) -> None:
    draw(page, FIRING * 4)
    page.get_by_role("searchbox").fill("csv")
    draw(page, FIRING)
    page.get_by_role("searchbox").fill("")
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_a_choice_is_told_and_one_that_no_row_has_any_more_hides_nothing(page: Page) -> None:
    rows: list[list[Said]] = [*FIRING * 3, ["pending", "zip", "3"]]
    draw(page, rows)
    page.get_by_label("State: which").focus()
    page.get_by_label("State: which").select_option("pending")
    assert firsts(page) == ["pending"]
    expect(page.get_by_role("status")).to_have_text("1 of 7 rows")
    expect(page.get_by_label("State: which")).to_be_focused()
    assert told(page)["choices"] == {"State": "pending"}
    draw(page, FIRING, State="pending")  # the last pending one fires: the chooser has nothing to offer, and is gone
    assert firsts(page) == ["firing", "firing"]
    expect(page.get_by_role("status")).to_have_text("no row has State “pending”, so it is passed over")
    page.get_by_role("button", name="Clear filter").click()
    assert told(page)["choices"] == {}
    expect(page.get_by_role("status")).to_be_hidden()


def test_a_choice_in_force_shows_its_chooser_however_few_there_are(page: Page) -> None:
    draw(page, FIRING, State="firing")
    expect(page.get_by_label("State: which")).to_have_value("firing")
    expect(page.get_by_role("status")).to_have_text("2 of 2 rows")
    page.get_by_label("State: which").select_option("")
    assert told(page)["choices"] == {"State": ""}
    expect(page.get_by_label("State: which")).to_be_hidden()


def test_cells_with_several_links_are_filtered_and_sorted_by_what_they_say(page: Page) -> None:
    def both(*names: str) -> list[Cell]:
        return [Cell(name, href=f"/plugin?plugin={name}") for name in names]

    rows: list[list[Said]] = [
        ["third", both("c", "d"), ""], ["second", both("b", "z"), ""], ["none", [], ""], ["first", both("b", "a"), ""]
    ]  # fmt: skip
    draw(page, rows, sort="Who")
    assert firsts(page) == ["first", "second", "third", "none"]
    draw(page, rows, find="b z")
    assert firsts(page) == ["second"]
    draw(page, rows, find="object")
    assert firsts(page) == []


NAN = float("nan")


@pytest.mark.parametrize("missing", [Cell("—"), "—", "", Cell("—", value=NAN), Cell("—", value=""), [Cell("—")], []])
def test_what_is_not_known_comes_last_in_both_directions(page: Page, missing: Said) -> None:
    rows: list[list[Said]] = [
        ["b", "", Cell("20 s", value=20.0)], ["?", "", missing], ["a", "", Cell("3 s", value=3.0)],
    ]  # fmt: skip
    draw(page, rows, sort="Took")
    assert firsts(page) == ["a", "b", "?"]
    page.get_by_role("button", name="Took").click()
    assert firsts(page) == ["b", "a", "?"]
