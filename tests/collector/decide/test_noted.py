"""What was said of a trouble already outlives the process that said it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from plugwarden_collector.decide.noted import MOST_KEPT, SUSPECTED, kept, resumed

from tests.collector.support.still_clock import AT, after

SAID = ("csv version=2", "availability", "would_quarantine")
SPOKEN_FOR = ("q-1", "", SUSPECTED)


def test_what_was_said_is_read_as_it_was_kept() -> None:
    noted = {SAID: AT, SPOKEN_FOR: after(-3)}
    assert resumed(kept(noted, AT), AT) == noted


def test_a_pause_is_no_sign_that_a_suggestion_is_over_and_makes_nothing_said_more_lately() -> None:
    found = resumed(kept({SAID: AT, SPOKEN_FOR: after(-20)}, AT), after(300))
    assert found == {SAID: AT, SPOKEN_FOR: after(280)}


def test_a_clock_that_went_back_makes_nothing_older() -> None:
    assert resumed(kept({SPOKEN_FOR: AT}, AT), after(-60)) == {SPOKEN_FOR: AT}


def test_the_newest_are_kept_where_there_are_too_many() -> None:
    many = {(f"p{number}", "availability", "would_quarantine"): after(number) for number in range(MOST_KEPT + 5)}
    found = resumed(kept(many, AT), AT)
    assert len(found) == MOST_KEPT
    assert min(found.values()) == AT + timedelta(seconds=5)


@pytest.mark.parametrize(
    "text", [None, "", "null", "{}", "[]", '{"form": 0}', json.dumps({"form": 1, "at": "x", "noted": []}),
             json.dumps({"form": 1, "at": "2026-01-01", "noted": [["a"]]})],
)  # fmt: skip
def test_what_cannot_be_read_was_not_said(text: str | None) -> None:
    assert resumed(text, AT) == {}
